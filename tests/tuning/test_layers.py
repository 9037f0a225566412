"""Fine-tuning the network itself: what it becomes, what is said of it, and when the head alone is kept."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from residual_models import residual_model
from tiny_model import tiny_model

from galclass.cli import cli
from galclass.errors import ExtraError, GalclassError, ModelError
from galclass.scoring import Scorer
from galclass.scoring.logistic import log_loss, softmax
from galclass.train import fine_tuning, tune
from galclass.train.from_onnx import frozen_body

COUNT = 48


def draw(folder: Path, count: int = COUNT) -> dict[str, str]:
    """Thin and round ellipses at any angle."""
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True)
    labels = {f"J{n}": "thin" if n % 2 else "round" for n in range(count)}
    for name, label in labels.items():
        picture = np.full((48, 48, 3), 8, np.uint8)
        axes = (12, 3) if label == "thin" else (8, 8)
        cv2.ellipse(picture, (24, 24), axes, float(rng.uniform(0, 360)), 0, 360, (200, 170, 140), -1)
        noisy = picture + rng.integers(0, 40, picture.shape)
        cv2.imwrite(str(folder / f"{name}.png"), noisy.clip(0, 255).astype(np.uint8))
    return labels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labels = draw(tmp_path / "images")
    (tmp_path / "base.onnx").write_bytes(residual_model())
    rows = "".join(f"{key},{label}\n" for key, label in labels.items())
    (tmp_path / "labels.csv").write_text("object_id,label\n" + rows)
    return tmp_path


def finetune(folder: Path, *words: str, base: str = "base.onnx") -> Result:
    arguments = ["finetune", str(folder / "labels.csv"), "--images", str(folder / "images"), "--quiet"]
    arguments += ["--model", str(folder / base), "--workspace", str(folder / "ws"), "--set", "train.threads=1"]
    return CliRunner().invoke(cli, [*arguments, *words])


def test_all_layers_are_tuned_and_the_model_predicts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "LEARNING_RATE", 2e-5)
    monkeypatch.setattr(fine_tuning, "epochs_for", lambda count: 1)
    monkeypatch.setattr(fine_tuning, "_mean_losses", lambda left_out: [1.0, 0.5])  # the epoch is better than the head
    done = finetune(folder, "--layers", "all")
    assert done.exit_code == 0, done.output
    assert "fine-tuned all layers in 1 epochs" in done.output
    assert f"cross-validated on {COUNT} objects" in done.output
    value = (folder / "ws" / "finetune" / "own" / "model.onnx").read_bytes()
    scorer = Scorer(value)
    assert scorer.signature.classes == ("round", "thin")
    assert scorer.signature.trained["layers"] == "all"
    assert scorer.signature.trained["base_sha256"] == Scorer(residual_model()).sha256
    assert scorer.signature.conformal is not None
    body = frozen_body(value).body.state_dict()
    before = frozen_body(residual_model()).body.state_dict()
    moved = [name for name in body if not np.allclose(body[name], before[name], atol=1e-6)]
    assert any(name.startswith("layers.0.") for name in moved)
    predicted = [one.predicted_class for one in scorer.score(sorted((folder / "images").iterdir()))]
    expected = ["thin" if int(path.stem[1:]) % 2 else "round" for path in sorted((folder / "images").iterdir())]
    assert np.mean([a == b for a, b in zip(predicted, expected, strict=True)]) > 0.8


def squares(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from galclass.cutouts import stored_cutout

    parameters = Scorer(residual_model()).parameters
    paths = sorted((folder / "images").iterdir())
    made = np.stack([stored_cutout(path.read_bytes(), parameters) for path in paths])
    return made, np.array([int(path.stem[1:]) % 2 for path in paths])


def test_the_last_layers_leave_the_first_as_they_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_tuning, "epochs_for", lambda count: 1)
    monkeypatch.setattr(fine_tuning, "_mean_losses", lambda left_out: [1.0, 0.5])
    found = fine_tuning.fine_tuned(residual_model(), *squares(folder), 2, layers="last")
    assert found.epochs == 1
    after, before = frozen_body(found.model).body.layers, frozen_body(residual_model()).body.layers
    for place, (one, other) in enumerate(zip(after, before, strict=True)):
        same = all(
            np.allclose(a.detach(), b.detach(), atol=1e-6)
            for a, b in zip(one.parameters(), other.parameters(), strict=True)
        )
        assert same == (place < len(after) - 2)


def test_the_same_arguments_give_the_same_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_tuning, "epochs_for", lambda count: 1)
    one, other = (fine_tuning.fine_tuned(residual_model(), *squares(folder), 2, layers="all") for _ in range(2))
    assert one.model == other.model
    np.testing.assert_array_equal(one.logits, other.logits)


def test_objects_are_predicted_by_networks_that_have_not_seen_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels drawn by lot cannot be predicted, however well the network learns them."""
    monkeypatch.setattr(fine_tuning, "epochs_for", lambda count: 3)
    monkeypatch.setattr(tune, "LEARNING_RATE", 3e-3)
    pictures, _ = squares(folder)
    codes = np.random.default_rng(0).permutation(np.arange(len(pictures)) % 2)
    found = fine_tuning.fine_tuned(residual_model(), pictures, codes, 2, layers="all")
    assert log_loss(softmax(found.logits), codes) > 0.6
    assert found.losses[found.epochs] == min(found.losses)


def test_a_network_that_is_not_better_stays_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_tuning, "epochs_for", lambda count: 1)
    monkeypatch.setattr(tune, "LEARNING_RATE", 0.3)
    done = finetune(folder, "--layers", "all")
    assert done.exit_code == 0, done.output
    assert "was no better than the head alone" in done.output
    value = (folder / "ws" / "finetune" / "own" / "model.onnx").read_bytes()
    after, before = (frozen_body(one).body.state_dict() for one in (value, residual_model()))
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_another_network_is_told_to_take_the_head(folder: Path) -> None:
    (folder / "tiny.onnx").write_bytes(tiny_model())
    done = finetune(folder, "--layers", "all", base="tiny.onnx")
    assert isinstance(done.exception, ModelError)
    assert "--layers head" in str(done.exception)
    assert not (folder / "ws" / "finetune").exists()


def test_layers_without_torch_are_refused_before_anything_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("galclass.extras.find_spec", lambda name: None if name == "torch" else object())
    done = finetune(folder, "--layers", "last")
    assert isinstance(done.exception, ExtraError)
    assert isinstance(done.exception, GalclassError)
    assert not (folder / "ws").exists()


def test_what_was_done_is_recorded_in_the_model(folder: Path) -> None:
    assert finetune(folder, "--layers", "head").exit_code == 0
    trained = Scorer((folder / "ws" / "finetune" / "own" / "model.onnx").read_bytes()).signature.trained
    assert "layers" not in trained
    assert json.loads(json.dumps(trained["labels"])) == {"round": COUNT // 2, "thin": COUNT // 2}
