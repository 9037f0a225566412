"""Training runs as MLflow sees them: settings, figures by epoch, the model and its card, in a store of choice.

Takes the workspace that `train` and `evaluate` wrote to; `mlflow.json` beside the model says which run it is.
Only where `train.mlflow` names a store; MLflow's own telemetry is switched off.
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galclass.atomic_files import write_text
from galclass.config import Config, config_to_dict
from galclass.errors import TrackingError
from galclass.extras import require

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "galclass"
REMEMBERED = Path("training/mlflow.json")

_SWITCHES = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
"""No telemetry; and a folder may be the store, which newer versions of MLflow refuse unless this is said."""

_MOST_PARAMETERS, _MOST_METRICS, _MOST_CHARACTERS = 100, 1000, 500
"""What MLflow takes in one request, and of one setting."""


def require_tracking(config: Config) -> None:
    """Check, before anything is trained, that the run can be logged where that is asked for.

    Raises
    ------
    ExtraError
        If the extra `mlflow` is not installed.
    """
    if config.train.mlflow is not None:
        require("mlflow", what="train.mlflow")


def log_training(config: Config) -> None:
    """Log a finished training as a new run, unless that was done.

    Raises
    ------
    TrackingError
        If the store cannot be reached; the training is complete, and the same command logs it again.
    """
    store, folder = config.train.mlflow, config.workspace_path
    if store is None:
        return
    model_sha256 = json.loads((folder / "training" / "trained.json").read_text(encoding="utf-8"))["model_sha256"]
    known = _remembered(folder)
    if (known.get("model_sha256"), known.get("store")) == (model_sha256, store):
        return
    with _client(store) as client:
        found = client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found is not None else client.create_experiment(EXPERIMENT)
        tags = {"model_sha256": model_sha256, "workspace": str(folder.resolve())}
        run = client.create_run(experiment, run_name=folder.resolve().name, tags=tags).info.run_id
        try:
            _log_parameters(client, run, config)
            _log_history(client, run, folder / "training" / "history.csv")
            client.log_artifact(run, str(folder / "training" / "model.onnx"))
            client.log_artifact(run, str(folder / "training" / "config.toml"))
        except BaseException:
            client.set_terminated(run, "FAILED")
            raise
        client.set_terminated(run)
    about = {"store": store, "run_id": run, "model_sha256": model_sha256}
    write_text(folder / REMEMBERED, json.dumps(about))


def log_evaluation(config: Config) -> None:
    """Add the evaluation of the model that was logged to its run: figures, and the model card.

    Raises
    ------
    TrackingError
        If the store cannot be reached; the evaluation is complete, and the same command logs it again.
    """
    store, folder = config.train.mlflow, config.workspace_path
    known = _remembered(folder)
    if store is None or known.get("store") != store:
        return
    metrics = json.loads((folder / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    made_from = metrics["made_from"]
    if made_from["model_sha256"] != known["model_sha256"] or made_from == known.get("evaluated"):
        return
    figures = {
        f"{made_from['split']}/{title}/{name}": float(table[name][0])
        for title, table in metrics["tables"].items()
        for name in ("accuracy", "balanced_accuracy", "macro_f1")
    }
    with _client(store) as client:
        _log_metrics(client, known["run_id"], [(name, value, 0) for name, value in figures.items()])
        for name in ("card.md", "metrics.json"):
            client.log_artifact(known["run_id"], str(folder / "evaluation" / name))
    write_text(folder / REMEMBERED, json.dumps({**known, "evaluated": made_from}))


def _remembered(folder: Path) -> dict[str, Any]:
    path = folder / REMEMBERED
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


@contextmanager
def _client(store: str) -> Iterator[MlflowClient]:
    require("mlflow", what="train.mlflow")
    os.environ.update(_SWITCHES)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = store if "://" in store or store.startswith("file:") else Path(store).resolve().as_uri()
    try:
        yield MlflowClient(tracking_uri=uri)
    except ModuleNotFoundError as error:
        raise TrackingError(
            "this kind of store needs more of MLflow than its client",
            where=f"train.mlflow = {store}",
            got=f"no module {error.name}",
            advice="`pip install mlflow`, or name a folder or a server",
        ) from error
    except (MlflowException, OSError) as error:
        raise TrackingError(
            "the run cannot be logged",
            where=f"train.mlflow = {store}",
            got=" ".join(str(error).split())[:300],
            advice="what was computed is complete; run the same command again to log it",
        ) from error


def _log_parameters(client: MlflowClient, run: str, config: Config) -> None:
    from mlflow.entities import Param

    values = config_to_dict(config)
    chosen = {**_flat(values["train"], "train."), "seed": values["seed"]}
    parameters = [Param(key, str(value)[:_MOST_CHARACTERS]) for key, value in sorted(chosen.items())]
    for start in range(0, len(parameters), _MOST_PARAMETERS):
        client.log_batch(run, params=parameters[start : start + _MOST_PARAMETERS])


def _log_history(client: MlflowClient, run: str, history: Path) -> None:
    """Log each column of the history by epoch, counted from 1."""
    with history.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    values = [(name, float(value), epoch) for epoch, row in enumerate(rows, 1) for name, value in row.items() if value]
    _log_metrics(client, run, values)


def _log_metrics(client: MlflowClient, run: str, values: list[tuple[str, float, int]]) -> None:
    from mlflow.entities import Metric

    at = int(time.time() * 1000)
    metrics = [Metric(name, value, at, step) for name, value, step in values if math.isfinite(value)]
    for start in range(0, len(metrics), _MOST_METRICS):
        client.log_batch(run, metrics=metrics[start : start + _MOST_METRICS])


def _flat(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
