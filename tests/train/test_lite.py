"""EfficientNet-Lite0: its shapes, and encoders' weights to start from."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from train.drawn_galaxies import quick

from galclass.config import TrainConfig
from galclass.errors import TrainingError
from galclass.train.build import build_network
from galclass.train.checkpoint import load_starting_weights
from galclass.train.dataset import open_training_data
from galclass.train.lite import Lite0Body, _SameConv
from galclass.train.optimizers import renew_statistics
from galclass.train.trainer import Trainer


def published(body: Lite0Body) -> dict[str, torch.Tensor]:
    """Name the weights as the published file does, with a classifier that we have no use for."""
    named = {}
    for key, value in body.state_dict().items():
        parts = [part if part.isdigit() or part in ("weight", "bias") else f"_{part}" for part in key.split(".")]
        named[".".join([*parts[:-1], key.rsplit(".", 1)[1]])] = value
    return named | {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}


def test_size_of_the_encoder_is_the_published_one() -> None:
    body = Lite0Body()
    assert sum(p.numel() for p in body.parameters()) == 3_371_008  # 4,652,008 with the classifier
    assert body.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 1280)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(8, 3, 2), (9, 3, 2), (8, 5, 2), (7, 5, 2), (6, 3, 1)])
def test_padding_is_even_or_has_one_more_at_the_end(size: int, kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    conv = _SameConv(1, 1, kernel, stride=stride, bias=False)
    images = torch.randn(1, 1, size, size)
    found = conv(images)
    wanted = -(-size // stride)
    total = max((wanted - 1) * stride + kernel - size, 0)
    padded = functional.pad(images, (total // 2, total - total // 2) * 2)
    assert found.shape[-1] == wanted
    assert torch.allclose(found, functional.conv2d(padded, conv.weight, stride=stride))


@pytest.mark.parametrize("is_zip", [True, False])
def test_published_weights_are_taken(workspace: Path, is_zip: bool) -> None:
    torch.manual_seed(5)
    body = Lite0Body()
    path = workspace / "encoder.pth"
    torch.save(published(body), path, _use_new_zipfile_serialization=is_zip)  # False: as before torch 1.6
    config = quick(workspace, topology="lite0", initial_weights=str(path), views=1).train
    trainer = Trainer(open_training_data(workspace / "prepared"), config, seed=1)
    for key, value in body.state_dict().items():
        assert torch.equal(trainer.network.body.state_dict()[key], value), key
    assert not torch.equal(
        build_network(config, 24, seed=1, vote_head=False).body.conv_stem.weight, body.conv_stem.weight
    )


def test_path_of_weights_may_name_the_environment(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(published(Lite0Body()), workspace / "encoder.pth")
    monkeypatch.setenv("ENCODERS", str(workspace))
    config = TrainConfig(topology="lite0", initial_weights="${ENCODERS}/encoder.pth", threads=1)
    Trainer(open_training_data(workspace / "prepared"), config, seed=1)


def test_encoder_that_lacks_a_layer_is_refused(workspace: Path) -> None:
    weights = published(Lite0Body())
    del weights["_conv_head.weight"]
    torch.save(weights, workspace / "encoder.pth")
    config = quick(workspace, topology="lite0", initial_weights=str(workspace / "encoder.pth")).train
    with pytest.raises(TrainingError, match="of another topology"):
        Trainer(open_training_data(workspace / "prepared"), config, seed=1)


def test_file_that_would_run_code_is_not_read(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    path = tmp_path / "encoder.pth"
    path.write_bytes(pickle.dumps({"conv_stem.weight": Evil()}, protocol=2))
    with pytest.raises(TrainingError, match="not a training checkpoint"):
        load_starting_weights(path)
    for is_zip in (True, False):
        torch.save({"conv_stem.weight": Evil()}, path, _use_new_zipfile_serialization=is_zip)
        with pytest.raises(TrainingError, match="damaged"):
            load_starting_weights(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{}, {"conv_stem.weight": 3}, [1, 2]])
def test_file_without_weights_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "encoder.pth"
    torch.save(content, path)
    with pytest.raises(TrainingError, match="no weights|another format"):
        load_starting_weights(path)


def test_averaged_weights_get_statistics_of_their_own() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)).eval()
    batches = [torch.randn(8, 3, 5, 5) * (1 + i) + i for i in range(4)]
    weight = network[0].weight.clone()
    renew_statistics(network, iter(batches))
    before = [network[0](batch) for batch in batches]
    mean = torch.stack([batch.mean((0, 2, 3)) for batch in before]).mean(0)
    variance = torch.stack([batch.var((0, 2, 3)) for batch in before]).mean(0)
    assert torch.allclose(network[1].running_mean, mean, atol=1e-5)
    assert torch.allclose(network[1].running_var, variance, rtol=1e-4)
    assert torch.equal(network[0].weight, weight)
    assert network[1].momentum == 0.1
    assert not network.training


def test_network_without_batch_normalisation_is_left_alone() -> None:
    def none() -> Iterator[torch.Tensor]:
        raise AssertionError("asked for a batch")
        yield

    renew_statistics(nn.Sequential(nn.Conv2d(3, 4, 1)), none())
