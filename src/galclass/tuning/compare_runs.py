"""Two training runs side by side: settings that differ, figures, and accuracy on the same evaluated objects.

Takes the folders of two runs (workspaces), reads what `train` and `evaluate` wrote there; computes no prediction.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from galclass.errors import EvaluationError
from galclass.tuning.measure import Difference, classes_meant, difference

CONFIG, TRAINED = Path("training/config.toml"), Path("training/trained.json")
METRICS, PREDICTIONS = Path("evaluation/metrics.json"), Path("evaluation/predictions.parquet")

_TABLES = ("accuracy", "balanced_accuracy", "macro_f1")
_OF_TRAINING = ("objects", "iterations", "best_iteration", "seconds")
_PLACES = {"workspace", "database"}
"""Settings that say where a run is stored, not what it is."""


@dataclass(frozen=True)
class Run:
    """What a run wrote.

    Attributes
    ----------
    folder : Path
    settings : mapping of str to Any
        By "section.key".
    figures : mapping of str to float
        Of training, by its names, and of the evaluation, by "<table>: <figure>".
    split : str or None
        The evaluated split; None if there is no evaluation.
    right : mapping of str to bool, or None
        Whether the predicted class agrees with the label, by object id; None without stored predictions.
    """

    folder: Path
    settings: Mapping[str, Any]
    figures: Mapping[str, float]
    split: str | None
    right: Mapping[str, bool] | None


@dataclass(frozen=True)
class RunComparison:
    """Two runs; `accuracy` is that of the second minus that of the first, None if one has no predictions."""

    first: Run
    second: Run
    settings: Mapping[str, tuple[Any, Any]]
    figures: Mapping[str, tuple[float | None, float | None]]
    accuracy: Difference | None


def compare_runs(first: Path, second: Path) -> RunComparison:
    """Compare two runs.

    Raises
    ------
    EvaluationError
        If a folder has no finished training, a file is damaged, or the runs were evaluated on different objects.
    """
    one, other = read_run(first), read_run(second)
    settings = {
        key: (one.settings.get(key), other.settings.get(key))
        for key in sorted({*one.settings, *other.settings})
        if one.settings.get(key) != other.settings.get(key) and key not in _PLACES
    }
    names = list(dict.fromkeys([*one.figures, *other.figures]))
    figures = {name: (one.figures.get(name), other.figures.get(name)) for name in names}
    accuracy = None
    if one.right is not None and other.right is not None:
        _check_same_objects(one, other)
        accuracy = difference(other.right, one.right)
    return RunComparison(one, other, settings, figures, accuracy)


def read_run(folder: Path) -> Run:
    """Read a run.

    Raises
    ------
    EvaluationError
        If it has no finished training, or a file is damaged.
    """
    if not (folder / TRAINED).is_file() or not (folder / CONFIG).is_file():
        raise EvaluationError(
            "there is no finished training run",
            where=str(folder),
            expected=f"a workspace with {TRAINED} and {CONFIG}",
            advice="name the folder that `galclass train` wrote to with --workspace",
        )
    settings = _flat(_read_toml(folder / CONFIG))
    figures = _training_figures(folder / TRAINED)
    if not (folder / METRICS).is_file():
        return Run(folder, settings, figures, None, None)
    metrics = _read_json(folder / METRICS)
    figures |= _evaluation_figures(metrics, folder / METRICS)
    made_from = _mapping(metrics.get("made_from"), folder / METRICS)
    _check_same_model(folder, made_from.get("model_sha256"))
    predictions = folder / PREDICTIONS
    return Run(
        folder, settings, figures, made_from.get("split"), _read_right(predictions) if predictions.is_file() else None
    )


def _check_same_model(folder: Path, evaluated: Any) -> None:
    """Refuse an evaluation of the model before the last training; files of older versions do not tell."""
    trained = _read_json(folder / TRAINED).get("model_sha256")
    if None not in (trained, evaluated) and trained != evaluated:
        raise EvaluationError(
            "its evaluation is of another model than its training", where=str(folder),
            advice=f"run `galclass evaluate --workspace {folder}`",
        )  # fmt: skip


def _training_figures(path: Path) -> dict[str, float]:
    summary = _mapping(_read_json(path).get("summary"), path)
    metrics = _mapping(summary.get("metrics"), path)
    return _numbers({**metrics, **{name: summary[name] for name in _OF_TRAINING if name in summary}}, path)


def _evaluation_figures(metrics: Mapping[str, Any], path: Path) -> dict[str, float]:
    found = {}
    for title, table in _mapping(metrics.get("tables"), path).items():
        for name in _TABLES:
            with_interval = _mapping(table, path).get(name)
            if isinstance(with_interval, list) and with_interval:
                found[f"{title}: {name}"] = with_interval[0]
    return _numbers(found, path)


def _numbers(values: Mapping[str, Any], path: Path) -> dict[str, float]:
    for name, value in values.items():
        if not isinstance(value, int | float):
            raise EvaluationError("a figure is not a number", where=str(path), got=name)
    return dict(values)


def _check_same_objects(one: Run, other: Run) -> None:
    assert one.right is not None
    assert other.right is not None
    only_first, only_second = set(one.right) - set(other.right), set(other.right) - set(one.right)
    if only_first or only_second:
        raise EvaluationError(
            "the runs were evaluated on different objects",
            where=f"{one.folder} and {other.folder}",
            expected="the same objects in both",
            got=f"{len(only_first):,} of {len(one.right):,} only in the first (split {one.split}),"
            f" {len(only_second):,} of {len(other.right):,} only in the second (split {other.split})",
            advice="prepare both from the same catalog with the same seed and evaluate the same split",
        )


def _read_right(path: Path) -> dict[str, bool]:
    """Return whether each labelled object's class agrees with its label; an object without a class is wrong."""
    try:
        table = pq.read_table(path)
        rows = table.select(["object_id", "predicted_class", "label"]).to_pylist()
    except (pa.ArrowException, KeyError, OSError) as error:
        raise EvaluationError("its predictions cannot be read", where=str(path), got=str(error)[:200]) from error
    classes = [name.removeprefix("predicted_") for name in table.column_names if name.startswith("predicted_")]
    classes = [name for name in classes if name not in ("class", "group")]
    right = {}
    for row in rows:
        meant = classes_meant(row["label"], classes) if row["label"] else frozenset()
        if meant:
            right[str(row["object_id"])] = row["predicted_class"] in meant
    return right


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise EvaluationError("its settings cannot be read", where=str(path), got=str(error)[:200]) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return _mapping(json.loads(path.read_text(encoding="utf-8")), path)
    except (ValueError, OSError) as error:
        raise EvaluationError("it cannot be read", where=str(path), got=str(error)[:200]) from error


def _mapping(value: Any, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise EvaluationError("it is not what the stage writes", where=str(path), got=type(value).__name__)
    return value
