"""Distillation: a teacher's answers on disk, the loss of learning them, and a student's run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import dirichlet
from train.drawn_galaxies import quick, write_prepared
from train.drawn_votes import OPTIONS, outputs, write_votes

from galclass.errors import TrainingError
from galclass.train import teacher as teaching
from galclass.train import train
from galclass.train.dataset import TrainingData, open_training_data
from galclass.train.networks import Outputs
from galclass.train.raw_votes import concentrations, mean_votes
from galclass.train.teacher import (
    TeacherPredictions,
    dirichlet_divergence,
    load_predictions,
    teacher_loss,
    write_teacher_predictions,
)
from galclass.train.trainer import Trainer


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a teacher of raw votes."""
    workspace = tmp_path_factory.mktemp("teacher")
    write_votes(workspace)
    train(quick(workspace, **OPTIONS, num_epochs=2), progress=False)
    return workspace


def data_of(workspace: Path) -> TrainingData:
    return open_training_data(workspace / "prepared")


def answers_of(given: Outputs) -> TeacherPredictions:
    """Return what a student would say itself, for one angle drawn already."""
    assert given.raw is not None
    votes = None if given.votes is None else mean_votes(given.votes)
    return TeacherPredictions(torch.softmax(given.logits, 1), mean_votes(given.raw), concentrations(given.raw), votes)


def test_divergence_of_dirichlet_distributions_is_the_mean_log_ratio() -> None:
    first, second = np.array([3.0, 1.5, 0.7]), np.array([2.0, 4.0, 1.0])
    drawn = np.random.default_rng(0).dirichlet(first, 100_000).T.clip(1e-12)
    drawn /= drawn.sum(0)
    ratio = dirichlet.logpdf(drawn, first) - dirichlet.logpdf(drawn, second)
    found = dirichlet_divergence(torch.tensor(first)[None], torch.tensor(second)[None]).item()
    assert found == pytest.approx(ratio.mean(), abs=5 * ratio.std() / np.sqrt(len(ratio)))


def test_student_that_says_the_same_has_no_loss() -> None:
    given = outputs(6)
    assert teacher_loss(given, answers_of(given)).numpy() == pytest.approx(np.zeros(6), abs=1e-3)
    assert (teacher_loss(outputs(6, seed=1), answers_of(given)) > 0.1).all()


def test_student_without_raw_votes_learns_the_class_probabilities() -> None:
    given, other = outputs(4)._replace(raw=None), outputs(4, seed=1)
    answers = TeacherPredictions(torch.softmax(other.logits, 1))
    p, q = torch.softmax(other.logits, 1), torch.log_softmax(given.logits, 1)
    expected = (p * (p.log() - q)).sum(1)
    assert teacher_loss(given, answers).numpy() == pytest.approx(expected.numpy(), rel=1e-4)


def test_row_that_the_teacher_was_not_asked_about_trains_nothing() -> None:
    given = outputs(3)
    assert given.raw is not None
    given.raw.requires_grad_()
    answers = answers_of(outputs(3, seed=1))
    parts = [None if part is None else part.detach().clone() for part in answers._parts()]
    for part in parts:
        if part is not None:
            part[1] = float("nan")
    loss = teacher_loss(given, TeacherPredictions(*parts))  # type: ignore[arg-type]
    loss.sum().backward()
    assert loss[1] == 0
    assert loss[0] > 0
    assert given.raw.grad is not None
    assert not given.raw.grad[1].any()
    assert torch.isfinite(given.raw.grad).all()


def test_answers_are_written_once_and_read_by_object(taught: Path, tmp_path: Path) -> None:
    model, path, data = taught / "training" / "model.onnx", tmp_path / "answers.npz", data_of(taught)
    write_teacher_predictions(model, data, (0.0, 45.0), path)
    written = path.stat().st_mtime_ns
    write_teacher_predictions(model, data, (0.0, 45.0), path)
    assert path.stat().st_mtime_ns == written
    order = np.arange(len(data.label))[::-1]
    turned = replace(data, source=data.source[::-1], object_id=data.object_id[::-1])
    answers, reversed_ = load_predictions(path, data), load_predictions(path, turned)
    assert answers.probabilities.shape == (len(data.label), 2, 13)
    np.testing.assert_array_equal(answers.probabilities[order.copy()], reversed_.probabilities)
    assert answers.raw_votes is not None
    assert answers.raw_votes[answers.known, :, :3].sum(2).numpy() == pytest.approx(1, abs=2e-3)
    write_teacher_predictions(model, data, (0.0,), path)
    assert load_predictions(path, data).probabilities.shape[1] == 1


def test_objects_that_the_file_lacks_are_not_known(taught: Path, tmp_path: Path) -> None:
    model, path, data = taught / "training" / "model.onnx", tmp_path / "answers.npz", data_of(taught)
    write_teacher_predictions(model, data, (0.0,), path)
    other = replace(data, object_id=("new", *data.object_id[1:]))
    asked = [split == "train" for split in data.split]
    assert load_predictions(path, data).known.tolist() == asked
    assert asked[0]
    assert load_predictions(path, other).known.tolist() == [False, *asked[1:]]
    write_teacher_predictions(model, data, (0.0,), path, without=frozenset(data.source[:1]))
    of_others = [known and source != data.source[0] for known, source in zip(asked, data.source, strict=True)]
    assert load_predictions(path, data).known.tolist() == of_others
    write_teacher_predictions(model, data, (0.0,), path)
    with pytest.raises(TrainingError, match="none of these objects"):
        load_predictions(path, replace(data, object_id=tuple(f"n{i}" for i in range(len(data.label)))))


def test_student_learns_from_unlabelled_galaxies_and_resumes_with_the_same_answers(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_votes(tmp_path)
    options = OPTIONS | {"clean_sources": (), "observation_sources": (), "teacher": str(taught / "training/model.onnx")}
    config = quick(tmp_path, **options, num_epochs=1, teacher_angles_deg=(0.0,))
    summary = train(config, progress=False)
    assert (tmp_path / "training" / "teacher.npz").is_file()
    assert summary.objects == len(data_of(tmp_path).indices("train", raw=True))
    monkeypatch.setattr(teaching, "open_session", None)
    with pytest.raises(TypeError):  # other angles need the model again
        train(replace(config, train=replace(config.train, teacher_angles_deg=(1.0,))), progress=False)
    assert train(config, progress=False).skipped


def test_unlabelled_rows_are_trained_on_and_validation_is_against_labels(taught: Path, tmp_path: Path) -> None:
    data, path = data_of(taught), tmp_path / "answers.npz"
    write_teacher_predictions(taught / "training" / "model.onnx", data, (0.0,), path)
    bare = replace(
        data,
        label=("",) * len(data.label),
        leaves=np.zeros_like(data.leaves),
        largest=np.full_like(data.largest, -1),
        votes=np.full_like(data.votes, np.nan),
    )
    config = quick(tmp_path, type="votes", teacher=str(path)).train
    alone, helped = (Trainer(bare, config, seed=1, teacher=one) for one in (None, load_predictions(path, bare)))
    train_rows = {row for row, split in enumerate(data.split) if split == "train"}
    assert set(alone.goal.rows) == {row for row in train_rows if data.source[row] == "votes"}
    assert set(helped.goal.rows) == train_rows
    assert helped.validation.tolist() == alone.validation.tolist()


def test_teacher_of_other_cutouts_is_refused(taught: Path, tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 12, size_px=32)
    config = quick(tmp_path, teacher=str(taught / "training" / "model.onnx"))
    with pytest.raises(TrainingError, match="other cutouts"):
        train(config, progress=False)


@pytest.mark.parametrize(
    ("name", "message"), [("none.onnx", "teacher's file does not exist"), ("none.npz", "predictions do not exist")]
)
def test_teacher_that_is_not_there_is_an_error(workspace: Path, name: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(quick(workspace, teacher=str(workspace / name)), progress=False)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"text"])
def test_damaged_answers_are_an_error(taught: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "answers.npz"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="cannot be read"):
        load_predictions(path, data_of(taught))


def test_other_arrays_are_no_answers(taught: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "answers.npz", x=np.zeros(3))
    with pytest.raises(TrainingError, match="contains no teacher"):
        load_predictions(tmp_path / "answers.npz", data_of(taught))
