"""Runs that are logged to a store of MLflow's, and read back from it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from galclass import extras
from galclass.config import Config, config_to_toml, load_config
from galclass.errors import ExtraError, TrackingError
from galclass.tracking import REMEMBERED, log_evaluation, log_training, require_tracking

mlflow = pytest.importorskip("mlflow")


def finished(folder: Path, store: str | None, *, model: bytes = b"onnx") -> Config:
    """The files of a finished training, as the stage writes them."""
    values = {"workspace": str(folder), "train.num_epochs": "2", **({"train.mlflow": store} if store else {})}
    config = load_config(None, values)
    (folder / "training").mkdir(parents=True, exist_ok=True)
    (folder / "training" / "model.onnx").write_bytes(model)
    (folder / "training" / "config.toml").write_text(config_to_toml(config))
    (folder / "training" / "trained.json").write_text(json.dumps({"model_sha256": model.hex()}))
    (folder / "training" / "history.csv").write_text("epoch,validation_loss,images_per_s\n1,2.5,10\n2,1.5,nan\n")
    return config


def evaluated(folder: Path, model: bytes = b"onnx") -> None:
    (folder / "evaluation").mkdir(exist_ok=True)
    metrics = {
        "made_from": {"model_sha256": model.hex(), "split": "test"},
        "tables": {"weak": {"accuracy": [0.75, 0.7, 0.8], "balanced_accuracy": [0.5, 0, 1], "macro_f1": [0.25, 0, 1]}},
    }
    (folder / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
    (folder / "evaluation" / "card.md").write_text("# A card\n")


def runs(store: str) -> list[object]:
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("galclass")
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


@pytest.fixture
def store(tmp_path: Path) -> str:
    return (tmp_path / "runs").as_uri()


def test_a_run_is_logged_once_and_its_evaluation_joins_it(tmp_path: Path, store: str) -> None:
    config = finished(tmp_path / "first", store)
    log_evaluation(config)  # nothing was logged that it could join
    assert not (tmp_path / "runs").exists()
    log_training(config)
    log_training(config)
    evaluated(tmp_path / "first")
    log_evaluation(config)
    log_evaluation(config)
    (run,) = runs(store)
    client = mlflow.MlflowClient(tracking_uri=store)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "first"
    assert run.data.params["train.num_epochs"] == "2"
    assert run.data.params["seed"] == str(config.seed)
    losses = client.get_metric_history(run.info.run_id, "validation_loss")
    assert [(one.step, one.value) for one in losses] == [(1, 2.5), (2, 1.5)]
    assert [one.value for one in client.get_metric_history(run.info.run_id, "images_per_s")] == [10]  # no NaN
    assert run.data.metrics["test/weak/accuracy"] == 0.75
    names = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert names == {"model.onnx", "config.toml", "card.md", "metrics.json"}
    again = finished(tmp_path / "first", store, model=b"other")  # trained anew: another run
    log_training(again)
    assert len(runs(store)) == 2
    log_evaluation(again)  # of the model before: it joins neither
    assert sum("test/weak/accuracy" in one.data.metrics for one in runs(store)) == 1


def test_nothing_is_logged_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = finished(tmp_path / "silent", None)
    log_training(config)
    evaluated(tmp_path / "silent")
    log_evaluation(config)
    assert not (tmp_path / "silent" / REMEMBERED).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["silent"]


def test_telemetry_is_off(tmp_path: Path, store: str) -> None:
    log_training(finished(tmp_path / "run", store))
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_store_that_is_away_leaves_the_training_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    config = finished(tmp_path / "run", f"sqlite:///{tmp_path}/taken/x.db")
    with pytest.raises(TrackingError, match="needs more of MLflow|cannot be logged"):
        log_training(config)
    config = finished(tmp_path / "run", "gopher://nowhere")
    with pytest.raises(TrackingError, match="the same command again to log it") as refused:
        log_training(config)
    assert "gopher://nowhere" in str(refused.value)
    assert not (tmp_path / "run" / REMEMBERED).exists()
    assert (tmp_path / "run" / "training" / "model.onnx").exists()


def test_the_extra_is_asked_for_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    require_tracking(load_config(None, {"workspace": str(tmp_path)}))
    with pytest.raises(ExtraError, match="mlflow"):
        require_tracking(load_config(None, {"workspace": str(tmp_path), "train.mlflow": "runs"}))
