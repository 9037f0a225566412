"""The evaluate stage: a second run, objects that the model was fitted to, and the table of predictions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny_model import SIZE_PX, tiny_trained_model

from galclass.config import Config, load_config
from galclass.download import download
from galclass.errors import EvaluationError
from galclass.evaluate import evaluate
from galclass.evaluate.stage import predictions_table
from galclass.pipeline import run
from galclass.prepare.stage import prepare
from galclass.prepare.store import Store
from galclass.scoring import Prediction, Scorer, shipped_model
from galclass.scoring.fitted_ids import fitted_ids, ids_sha256, with_base
from galclass.scoring.output import parquet_schema, vote_fraction_columns
from galclass.scoring.prediction import ROW_COLUMNS, ImageFault

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def prepared(tmp_path: Path) -> Config:
    """A workspace with sixty prepared galaxies of the sample."""
    settings = {"workspace": str(tmp_path), "prepare.limit": 60, "prepare.processes": 1, "prepare.size_px": SIZE_PX}
    config = load_config(None, settings | {"evaluate.bootstrap": 20, "evaluate.gallery": 2})
    download(config, progress=False)
    prepare(config, progress=False)
    (tmp_path / "training").mkdir()
    return config


def put_model(config: Config, fitted: list[str], test: list[str]) -> None:
    trained = {"fitted_ids": fitted_ids(fitted), "split_ids_sha256": {"test": ids_sha256(test)}}
    (config.workspace_path / "training" / "model.onnx").write_bytes(tiny_trained_model(**trained))


def test_objects_that_the_model_was_fitted_to_before_a_new_split_are_left_out(prepared: Config) -> None:
    index = Store.open(prepared.workspace_path / "prepared").index.select(["object_id", "split"]).to_pylist()
    test = [row["object_id"] for row in index if row["split"] == "test"]
    put_model(prepared, test, [])
    with pytest.raises(EvaluationError, match="may have been, fitted to all objects of the test split"):
        evaluate(prepared, progress=False)
    put_model(prepared, test[:3], [])
    done = evaluate(prepared, progress=False)
    assert (done.count, done.fitted) == (len(test) - 3, 3)
    assert "3 objects left out: the model was fitted to these ids" in str(done)
    written = pq.read_table(done.folder / "predictions.parquet")["object_id"].to_pylist()
    assert not set(written) & set(test[:3])
    put_model(prepared, test[:3], test)
    assert evaluate(prepared, progress=False).count == len(test)


def test_objects_of_the_base_are_remarked_on_whether_or_not_the_split_is_another(prepared: Config) -> None:
    index = Store.open(prepared.workspace_path / "prepared").index.select(["object_id", "split"]).to_pylist()
    test = [row["object_id"] for row in index if row["split"] == "test"]
    ids = with_base(fitted_ids([*test[:1], "another"]), {"fitted_ids": fitted_ids(test)})
    for before, fitted in ((test, 0), (test[1:], 1)):
        trained = {"fitted_ids": ids, "split_ids_sha256": {"test": ids_sha256(before)}}
        (prepared.workspace_path / "training" / "model.onnx").write_bytes(tiny_trained_model(**trained))
        done = evaluate(prepared, progress=False)
        assert (done.count, done.fitted, done.seen) == (len(test) - fitted, fitted, len(test) - fitted)


def test_a_deleted_file_is_written_again(prepared: Config) -> None:
    put_model(prepared, [], [])
    folder = evaluate(prepared, progress=False).folder
    assert evaluate(prepared, progress=False).skipped
    for name in ("report.html", "predictions.parquet", "card.md"):
        (folder / name).unlink()
        assert not evaluate(prepared, progress=False).skipped
        assert (folder / name).is_file()


def test_a_first_row_without_votes_hides_no_column_and_changes_no_type() -> None:
    scorer = Scorer()
    stem = scorer.signature.vote_columns[0]
    faulty = Prediction("1", scorer.model, error=ImageFault("no_content", "one colour"))
    good = Prediction("2", scorer.model, predicted_class="Er", vote_fractions={stem: (0.5, 0.4, 0.6)})
    table = predictions_table([faulty, good], ["A", "Er"], scorer.signature)
    columns = [*ROW_COLUMNS, *vote_fraction_columns(scorer.signature)]
    assert table.schema.names == [*columns, "label"]
    assert table.select(columns).schema == parquet_schema(columns)
    assert table[f"{stem}_debiased"].to_pylist() == [None, 0.5]
    assert table["label"].to_pylist() == ["A", "Er"]
    nothing = predictions_table([], [], scorer.signature)
    assert nothing.schema == table.schema


def test_figures_on_objects_that_the_model_was_fitted_to_are_marked(tmp_path: Path) -> None:
    small = {"workspace": str(tmp_path), "prepare.limit": 60, "evaluate.bootstrap": 20}
    config = load_config(ROOT / "configs" / "demo.toml", small)
    list(run(config, last="prepare", progress=False))
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "model.onnx").write_bytes(shipped_model())
    test = evaluate(config, progress=False)
    assert test.seen == 0
    assert f"{test.fitted} objects left out" in str(test)
    seen = replace(config, evaluate=replace(config.evaluate, split="validation"))
    done = evaluate(seen, progress=False)
    assert 0 < done.seen <= done.count
    assert f"was fitted to {done.seen} of them, so these figures are too high" in str(done)
