"""Evaluation: the predictions have the columns and types of the model; figures that are too high are marked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from galclass.config import load_config
from galclass.evaluate import evaluate
from galclass.evaluate.stage import predictions_table
from galclass.pipeline import run
from galclass.scoring import Prediction, Scorer, shipped_model
from galclass.scoring.output import parquet_schema, vote_fraction_columns
from galclass.scoring.prediction import ROW_COLUMNS, ImageFault

ROOT = Path(__file__).resolve().parents[2]


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
    assert test.fitted < test.count
    assert "fitted to" not in str(replace(test, fitted=0))
    seen = replace(config, evaluate=replace(config.evaluate, split="validation"))
    done = evaluate(seen, progress=False)
    assert 0 < done.fitted <= done.count
    assert f"was fitted to {done.fitted} of them, so these figures are too high" in str(done)
