"""The train stage as a whole: files, second run, interruption, failures."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from train.drawn_galaxies import quick, write_prepared

import galclass
from galclass.errors import ConfigError, TrainingError
from galclass.prepare.store import Store
from galclass.scoring import Scorer
from galclass.scoring.fitted_ids import fitted_ids
from galclass.train import train
from galclass.train.checkpoint import save_checkpoint
from galclass.train.progress import Reporter
from galclass.train.stage import inputs_sha256


def test_missing_prepared_folder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nothing is prepared here. Run `galclass prepare` first"):
        train(quick(tmp_path), progress=False)


def test_empty_index_is_an_error(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["Er"])
    empty = Store.open(tmp_path / "prepared").index.slice(0, 0)
    pq.write_table(empty, tmp_path / "prepared" / "index.parquet")
    with pytest.raises(TrainingError, match="no objects are prepared"):
        train(quick(tmp_path), progress=False)


def test_labels_that_say_nothing_are_no_training_data(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["merger", None] * 12)
    with pytest.raises(TrainingError, match="the train split has no labelled objects"):
        train(quick(tmp_path), progress=False)


def test_a_store_without_labels_is_told_from_one_with_too_few(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", [None] * 24)
    path = tmp_path / "prepared" / "index.parquet"
    index = Store.open(tmp_path / "prepared").index
    pq.write_table(index.append_column("kind", pa.array(["Sb"] * len(index))), path)
    with pytest.raises(TrainingError, match="no prepared object has a label .*columns kind.*label_column"):
        train(quick(tmp_path), progress=False)


def test_one_class_is_an_error_that_names_it(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["Er"] * 24)
    with pytest.raises(TrainingError, match=r"one class only .*got 16 x 'Er'"):
        train(quick(tmp_path), progress=False)


def test_unknown_label_is_an_error_that_names_it(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["Er", "Quasar"] * 12)
    with pytest.raises(TrainingError, match="unknown label 'Quasar'"):
        train(quick(tmp_path), progress=False)


def test_loss_that_is_not_finite_stops_and_says_where_and_what_to_try(workspace: Path) -> None:
    config = quick(workspace, optimizer="sgd", learning_rate=1e30, clip_norm=0.0, warm_up=0.0, ema=0.0)
    with pytest.raises(TrainingError, match=r"epoch \d, step \d.*no longer a finite number.*Lower train.learning_rate"):
        train(config, progress=False)


def test_observing_every_source_leaves_nothing_to_hold_on_to(workspace: Path) -> None:
    with pytest.raises(TrainingError, match="no label of the validation split counts as true"):
        train(quick(workspace, observation_sources=("drawn",)), progress=False)


def test_zero_seeds_are_refused(workspace: Path) -> None:
    with pytest.raises(ConfigError, match="at least one seed"):
        train(quick(workspace, seeds=0), progress=False)


def test_resume_without_checkpoint_is_an_error(workspace: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint to resume"):
        train(quick(workspace), resume=True, progress=False)


def test_resume_with_other_options_is_an_error(workspace: Path) -> None:
    train(quick(workspace, num_epochs=1), progress=False)
    with pytest.raises(TrainingError, match="belongs to other data or options"):
        train(quick(workspace, num_epochs=2), resume=True, progress=False)


def test_damaged_checkpoint_is_an_error(workspace: Path) -> None:
    (workspace / "training").mkdir()
    (workspace / "training" / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="it is not a training checkpoint"):
        train(quick(workspace), progress=False)


def test_writes_its_files_and_learns(workspace: Path) -> None:
    summary = train(quick(workspace, num_epochs=4), progress=False)
    folder = workspace / "training"
    names = {"history.csv", "checkpoint.pt", "model.onnx", "config.toml", "trained.json"}
    assert {path.name for path in folder.iterdir()} == names
    with (folder / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    assert [row["iteration"] for row in history] == ["1", "2", "3", "4"]
    assert float(history[-1]["train_loss"]) < float(history[0]["train_loss"])
    assert summary.metrics["validation_accuracy"] >= 0.9
    assert "48 objects, 4 epochs" in str(summary)


def test_labels_of_every_depth_are_trained_on(tmp_path: Path) -> None:
    paths = ["smooth", "features", "features, not edge-on", "features, not edge-on, bar", "Er", "Se"]
    paths += ["features, not edge-on, no bar", "A", None]
    write_prepared(tmp_path / "prepared", [paths[number % 9] for number in range(72)])
    train(quick(tmp_path, num_epochs=1, debiased_sources=()), progress=False)
    assert (tmp_path / "training" / "model.onnx").is_file()


def test_scorer_accepts_the_model(workspace: Path) -> None:
    train(quick(workspace), progress=False)
    scorer = Scorer(workspace / "training" / "model.onnx")
    store = Store.open(workspace / "prepared")
    outputs = scorer.score_cutouts(store.central(slice(0, 5)))
    assert np.allclose(outputs.probabilities.sum(1), 1, atol=1e-5)
    assert scorer.signature.trained["seed"] == 3
    rows = store.index.select(["object_id", "split"]).to_pylist()
    seen = fitted_ids(row["object_id"] for row in rows if row["split"] != "test")
    assert scorer.signature.trained["fitted_ids"] == seen
    assert scorer.signature.preprocessing_sha256 == store.parameters.sha256


def test_second_run_does_nothing(workspace: Path) -> None:
    train(quick(workspace), progress=False)
    before = (workspace / "training" / "model.onnx").stat().st_mtime_ns
    summary = train(quick(workspace), progress=False)
    assert summary.skipped
    assert "up to date" in str(summary)
    assert (workspace / "training" / "model.onnx").stat().st_mtime_ns == before


@pytest.mark.parametrize("changed", [{"frames": {"drawn": [700, 424]}}, {"hdu": "2"}])
def test_cutouts_of_another_part_of_the_same_files_are_other_data(workspace: Path, changed: dict) -> None:
    facts = workspace / "prepared" / "prepared.json"
    known = json.loads(facts.read_text()) | {"frames": {"drawn": [424, 424]}, "hdu": None}
    facts.write_text(json.dumps(known))
    train(quick(workspace), progress=False)
    assert train(quick(workspace), progress=False).skipped
    facts.write_text(json.dumps(known | changed))
    assert not train(quick(workspace), progress=False).skipped


def test_changed_model_file_is_made_again(workspace: Path) -> None:
    train(quick(workspace), progress=False)
    model = workspace / "training" / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(b"cut off")
    assert not train(quick(workspace), progress=False).skipped
    assert model.read_bytes() == whole


def test_same_seed_gives_the_same_file_and_another_seed_another(tmp_path: Path) -> None:
    models = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_prepared(tmp_path / name / "prepared", ["Er", "Sen"] * 24)
        train(quick(tmp_path / name, num_epochs=1, seed=seed), progress=False)
        session = onnxruntime.InferenceSession(tmp_path / name / "training" / "model.onnx")
        cutouts = Store.open(tmp_path / name / "prepared").central(slice(0, 4)).transpose(0, 3, 1, 2)
        models.append(session.run(["probabilities"], {"cutouts": np.ascontiguousarray(cutouts)})[0])
    assert np.array_equal(models[0], models[1])
    assert not np.array_equal(models[0], models[2])


@pytest.mark.parametrize("interrupted_step", [1, 3, 4])
def test_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted_step: int
) -> None:
    for name in ("whole", "halves"):
        write_prepared(tmp_path / name / "prepared", ["Er", "Sen"] * 24, votes=True, sources=("drawn", "seen"))
    options = {"num_epochs": 3, "mini_batch_size": 8, "observation_sources": ("seen",), "survey_share": 0.5}
    train(quick(tmp_path / "whole", **options), progress=False)

    count = 0

    def interrupt(self: Reporter, step: int, steps: int) -> None:
        nonlocal count
        count += 1
        if count == interrupted_step:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(quick(tmp_path / "halves", **options), progress=False)
    assert not (tmp_path / "halves" / "training" / "model.onnx").exists()
    train(quick(tmp_path / "halves", **options), resume=True, progress=False)

    states = [
        torch.load(tmp_path / name / "training" / "checkpoint.pt", weights_only=True) for name in ("whole", "halves")
    ]
    for part in ("network", "answering", "best", "observation"):
        for key, value in states[0][part].items():
            assert torch.equal(value, states[1][part][key]), (part, key)


def test_another_run_does_not_cost_an_unfinished_one(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, long = workspace / "training", quick(workspace, num_epochs=4)

    def interrupt(self: Reporter, row: dict[str, float]) -> None:
        if row["iteration"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "iteration", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(long, progress=False)
    train(quick(workspace, num_epochs=1), progress=True)
    (kept,) = folder.glob("checkpoint-*.pt")
    assert f"the unfinished run of other data or options is kept in {kept}" in capsys.readouterr().err
    with pytest.raises(TrainingError, match="belongs to other data or options"):
        train(quick(workspace, num_epochs=2), resume=True, progress=False)
    epochs = []
    monkeypatch.setattr(Reporter, "iteration", lambda self, row: epochs.append(row["iteration"]))
    train(long, resume=True, progress=False)
    assert epochs == [3, 4]
    assert list(folder.glob("checkpoint-*.pt")) == []


def test_several_seeds_keep_the_best_and_report_the_spread(workspace: Path) -> None:
    config = quick(workspace, num_epochs=1, seeds=2)
    summary = train(config, progress=False)
    assert set(summary.spread) == set(summary.metrics)
    assert {path.name for path in (workspace / "training").glob("seed_*")} == {"seed_3", "seed_4"}
    remembered = json.loads((workspace / "training" / "trained.json").read_text())
    assert remembered["summary"]["spread"] == summary.spread
    assert train(config, progress=False).skipped


def test_several_seeds_do_not_cost_an_unfinished_run_and_leave_none(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = workspace / "training"
    folder.mkdir(exist_ok=True)
    save_checkpoint(folder / "checkpoint.pt", {"inputs_sha256": "0123456789abcdef"})
    config = quick(workspace, num_epochs=1, seeds=2)
    train(config, progress=True)
    kept = folder / "checkpoint-0123456789ab.pt"
    assert kept.is_file()
    assert f"the unfinished run of other data or options is kept in {kept}" in capsys.readouterr().err
    kept.unlink()
    train(quick(workspace, num_epochs=2), progress=True)
    assert "unfinished" not in capsys.readouterr().err
    assert list(folder.glob("checkpoint-*.pt")) == []


def test_resume_insists_with_several_seeds_too(workspace: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint to resume"):
        train(quick(workspace, num_epochs=1, seeds=2), resume=True, progress=False)


def test_early_stopping_ends_before_the_last_iteration(workspace: Path) -> None:
    summary = train(quick(workspace, num_epochs=40, early_stopping=1, learning_rate=0.05), progress=False)
    assert summary.iterations < 40


def test_a_run_begun_under_the_former_name_of_epochs_is_the_same_run(tmp_path: Path) -> None:
    class Data:
        """What a run hashes of its data."""

        def sha256(self) -> str:
            return "d" * 64

    config = quick(tmp_path, num_epochs=7)
    options = {"mini_batch_size": 16, "num_iterations": 7, "ema": 0.9, "seeds": 1}
    text = json.dumps(["d" * 64, options, config.seed, galclass.__version__], sort_keys=True)
    assert inputs_sha256(Data(), config) == hashlib.sha256(text.encode()).hexdigest()  # type: ignore[arg-type]
