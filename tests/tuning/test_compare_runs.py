"""Two training runs side by side, from the files that the stages write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from galclass.cli import cli
from galclass.config import config_to_toml, load_config
from galclass.errors import EvaluationError
from galclass.tuning.compare_runs import compare_runs

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write the files of a run; `rows` are (object_id, predicted class, label)."""

    def write(
        name: str, rows: list[tuple[str, str | None, str | None]] | None, *settings: str, accuracy: float
    ) -> Path:
        folder = tmp_path / name
        (folder / "training").mkdir(parents=True)
        values = dict(one.split("=") for one in settings)
        config = load_config(None, {"workspace": str(folder), **values})
        (folder / "training" / "config.toml").write_text(config_to_toml(config))
        summary = {"objects": 10, "iterations": 2, "metrics": {"validation_accuracy": accuracy}}
        (folder / "training" / "trained.json").write_text(json.dumps({"summary": summary}))
        if rows is not None:
            (folder / "evaluation").mkdir()
            table = {"accuracy": [accuracy, 0.1, 0.9], "macro_f1": [0.5, 0.1, 0.9]}
            metrics = {"made_from": {"split": "test"}, "tables": {"weak": table}}
            (folder / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
            columns = {key: [row[n] for row in rows] for n, key in enumerate(("object_id", "predicted_class", "label"))}
            columns |= {"predicted_Er": [0.5] * len(rows), "predicted_Sb": [0.5] * len(rows)}
            pq.write_table(pa.table(columns), folder / "evaluation" / "predictions.parquet")
        return folder

    return write


ROWS = [("1", "Er", "Er"), ("2", "Er", "Sb"), ("3", "Sb", "Sb"), ("4", None, "Er"), ("5", "Er", None)]


def test_settings_figures_and_the_paired_difference(make: Make) -> None:
    better = [("2", "Sb", "Sb"), ("1", "Er", "Er"), ("3", "Sb", "Sb"), ("4", "Er", "Er"), ("5", "Er", None)]
    first = make("first", ROWS, accuracy=0.5)
    second = make("second", better, "train.num_epochs=7", "seed=3", accuracy=1.0)
    found = compare_runs(first, second)
    assert {key: values[1] for key, values in found.settings.items()} == {"seed": 3, "train.num_epochs": 7}
    assert found.figures["validation_accuracy"] == (0.5, 1.0)
    assert found.figures["weak: accuracy"] == (0.5, 1.0)
    assert found.accuracy is not None
    assert found.accuracy.objects == 4
    assert found.accuracy.mean == 0.5
    assert found.accuracy.low < 0.5 < found.accuracy.high
    backwards = compare_runs(second, first).accuracy
    assert backwards is not None
    assert backwards.mean == -0.5
    printed = CliRunner().invoke(cli, ["compare", str(first), str(second)])
    assert printed.exit_code == 0
    assert "train.num_epochs" in printed.output
    assert f"accuracy of {second} minus that of {first}: {found.accuracy}" in printed.output


def test_a_run_and_itself_differ_in_nothing(make: Make) -> None:
    run = make("run", ROWS, accuracy=0.5)
    found = compare_runs(run, run)
    assert not found.settings
    assert found.accuracy is not None
    assert (found.accuracy.mean, found.accuracy.low, found.accuracy.high) == (0, 0, 0)
    assert "the settings are the same" in CliRunner().invoke(cli, ["compare", str(run), str(run)]).output


def test_an_evaluation_of_an_earlier_model_is_refused(make: Make) -> None:
    run = make("run", ROWS, accuracy=0.5)
    for path, key in ((run / "training/trained.json", "a"), (run / "evaluation/metrics.json", "b")):
        values = json.loads(path.read_text())
        values.get("made_from", values)["model_sha256"] = key
        path.write_text(json.dumps(values))
    with pytest.raises(EvaluationError, match=f"another model than its training.*galclass evaluate --workspace {run}"):
        compare_runs(run, run)


def test_other_objects_are_refused_with_their_counts(make: Make) -> None:
    first, second = make("first", ROWS, accuracy=0.5), make("second", [*ROWS[1:], ("9", "Er", "Er")], accuracy=0.5)
    with pytest.raises(EvaluationError, match="evaluated on different objects") as refused:
        compare_runs(first, second)
    assert "1 of 4 only in the first (split test), 1 of 4 only in the second" in str(refused.value)


def test_a_run_that_was_not_evaluated_is_compared_as_far_as_it_goes(make: Make) -> None:
    first, second = make("first", ROWS, accuracy=0.5), make("second", None, accuracy=0.7)
    found = compare_runs(first, second)
    assert found.accuracy is None
    assert found.figures["weak: accuracy"] == (0.5, None)
    assert f"{second} has no stored predictions" in CliRunner().invoke(cli, ["compare", str(first), str(second)]).output


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("training/trained.json", None, "no finished training run"),
        ("training/config.toml", None, "no finished training run"),
        ("training/trained.json", b"[]", "not what the stage writes"),
        ("training/trained.json", b'{"summary": 3}', "not what the stage writes"),
        ("training/trained.json", b"\xff", "cannot be read"),
        ("training/config.toml", b"a = = 1", "settings cannot be read"),
        ("evaluation/metrics.json", b'{"tables"', "cannot be read"),
        ("evaluation/metrics.json", b'{"tables": [], "made_from": {}}', "not what the stage writes"),
        (
            "evaluation/metrics.json",
            b'{"tables": {"weak": {"accuracy": ["a"]}}, "made_from": {}}',
            "a figure is not a number",
        ),
        ("evaluation/predictions.parquet", b"PAR1", "predictions cannot be read"),
    ],
)
def test_a_damaged_run_is_named(make: Make, name: str, content: bytes | None, said: str) -> None:
    run = make("run", ROWS, accuracy=0.5)
    (run / name).unlink()
    if content is not None:
        (run / name).write_bytes(content)
    with pytest.raises(EvaluationError, match=said) as refused:
        compare_runs(run, run)
    assert str(run) in str(refused.value)
