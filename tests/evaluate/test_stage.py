"""The table of predictions has the columns and types of the model, whatever the rows hold."""

from __future__ import annotations

from galclass.evaluate.stage import predictions_table
from galclass.scoring import Prediction, Scorer
from galclass.scoring.output import parquet_schema, vote_fraction_columns
from galclass.scoring.prediction import ROW_COLUMNS, ImageFault


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
