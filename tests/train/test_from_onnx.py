"""An exported residual network gives its weights back as a start for training, and takes others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from residual_models import SIZE_PX, network, residual_model
from tiny_model import tiny_model
from train.drawn_galaxies import write_prepared

from galclass.config import Config, config_from_dict
from galclass.errors import ModelError, TrainingError
from galclass.scoring import Scorer
from galclass.scoring.fitted_ids import base_unknown, split_fitted
from galclass.train import train
from galclass.train.dataset import open_training_data
from galclass.train.from_onnx import frozen_body, restored_body, topology_of, with_body
from galclass.train.starting import with_topology_of_start
from galclass.train.trainer import Trainer

CUTOUTS = np.random.default_rng(5).integers(0, 256, (16, 3, SIZE_PX, SIZE_PX), dtype=np.uint8)


def embedded(model: bytes, cutouts: np.ndarray) -> np.ndarray:
    found: np.ndarray = Scorer(model).score_cutouts(np.ascontiguousarray(cutouts.transpose(0, 2, 3, 1))).embedding
    return found


def options(folder: Path, **train_options: object) -> Config:
    return config_from_dict({"workspace": str(folder), "train": {"num_epochs": 1, "threads": 1, **train_options}})


def changed(model: bytes, name: str, row: int) -> bytes:
    """The model with one weight changed."""
    graph = onnx.load_from_string(model)
    tensor = next(one for one in graph.graph.initializer if one.name == name)
    values = numpy_helper.to_array(tensor).copy()
    values[row] += 0.1
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    found: bytes = graph.SerializeToString()
    return found


@torch.no_grad()
def test_a_frozen_body_embeds_as_the_model_does() -> None:
    body, scale, size_px = frozen_body(residual_model())
    assert size_px == SIZE_PX
    found = body(scale.apply(torch.from_numpy(CUTOUTS).float()))
    np.testing.assert_allclose(found, embedded(residual_model(), CUTOUTS), atol=1e-4, rtol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("size_px", [SIZE_PX, 32])
def test_a_restored_body_embeds_alike_and_has_statistics_of_the_cutouts(size_px: int) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (8, 3, size_px, size_px), dtype=np.uint8)
    body, scale = restored_body(residual_model(), pictures)
    other = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (4, 3, size_px, size_px), dtype=np.uint8))
    expected = frozen_body(residual_model()).body(scale.apply(other.float()))
    torch.testing.assert_close(body(scale.apply(other.float())), expected, atol=1e-3, rtol=1e-3)
    spread = body.layers[1].norm.var
    assert not torch.allclose(spread, torch.ones_like(spread), atol=0.01)


@torch.no_grad()
def test_a_model_takes_the_weights_of_another_body() -> None:
    other = frozen_body(residual_model(1)).body
    made = with_body(residual_model(0), other)
    np.testing.assert_allclose(embedded(made, CUTOUTS), embedded(residual_model(1), CUTOUTS), atol=1e-4, rtol=1e-3)


def test_the_topology_is_read_off_the_shapes() -> None:
    assert topology_of(residual_model()) == "residual"
    assert topology_of(residual_model(0, "residual_large")) == "residual_large"


def test_convolutions_that_do_not_turn_are_refused() -> None:
    with pytest.raises(ModelError, match="are not equivariant"):
        frozen_body(changed(residual_model(), "body.1.0.weight", 8))


def test_another_network_is_refused() -> None:
    with pytest.raises(ModelError, match="no weights to start from"):
        frozen_body(tiny_model())


def test_training_starts_from_a_model_file(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 36)
    (tmp_path / "start.onnx").write_bytes(residual_model(0, "residual_large"))
    config = with_topology_of_start(options(tmp_path, initial_weights=str(tmp_path / "start.onnx")))
    assert config.train.topology == "residual_large"
    data = open_training_data(tmp_path / "prepared")
    found = Trainer(data, config.train, seed=0).network.eval()
    expected = network(0, "residual_large")
    pixels = torch.from_numpy(data.store.central([0, 1, 2])).permute(0, 3, 1, 2).float() * (4 / 255) - 0.2
    with torch.no_grad():
        torch.testing.assert_close(found(pixels).logits, expected(pixels).logits, atol=1e-3, rtol=1e-3)
    summary = train(config, progress=False)
    assert summary.model.is_file()
    assert base_unknown(Scorer(summary.model).signature.trained)  # that model records no ids
    (tmp_path / "start.onnx").write_bytes(residual_model(1, "residual_large"))
    assert not train(config, progress=False).skipped  # another start is another training


def test_training_starts_from_the_model_in_the_package(tmp_path: Path) -> None:
    config = with_topology_of_start(options(tmp_path, initial_weights="package"))
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 12)
    data = open_training_data(tmp_path / "prepared")
    body = Trainer(data, config.train, seed=0).network.eval().body
    pixels = torch.from_numpy(data.store.central([0, 1])).permute(0, 3, 1, 2).float() * (4 / 255) - 0.2
    with torch.no_grad():
        expected = frozen_body(Scorer().value).body(pixels)
        torch.testing.assert_close(body(pixels), expected, atol=1e-2, rtol=1e-2)
    summary = train(config, progress=False)
    trained, before = Scorer(summary.model).signature.trained, ["587722981746540704", "kaggle-100078", "100078"]
    assert split_fitted(trained, [*before, "100143"]) == (set(before), set())
    assert not base_unknown(trained)


def test_a_start_that_does_not_fit_the_options_is_refused(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 12)
    with pytest.raises(TrainingError, match="another topology"):
        with_topology_of_start(options(tmp_path, initial_weights="package", topology="lite0"))
    config = with_topology_of_start(options(tmp_path, initial_weights="package", normalize="no"))
    with pytest.raises(TrainingError, match="another scale"):
        train(config, progress=False)
    with pytest.raises(ModelError, match="cannot be read"):
        train(options(tmp_path, initial_weights=str(tmp_path / "absent.onnx")), progress=False)
