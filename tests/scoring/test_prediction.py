from __future__ import annotations

from datetime import UTC, datetime

from galclass.morphology import CLASSES
from galclass.scoring import ROW_COLUMNS, ImageFault, ModelId, Prediction

MODEL = ModelId("galaxy", 2, "ab" * 32)
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)
GOOD = Prediction(
    "587722981742084144",
    MODEL,
    WHEN,
    (0.9, *(0.0,) * 11, 0.1),
    "Er",
    "Elliptical",
    ("Er", "A"),
    ("unlike_training_data",),
)
FAULTY = Prediction("x", MODEL, WHEN, error=ImageFault("truncated", "the file ends early"))


def test_the_json_record_has_the_spelling_of_the_contract() -> None:
    assert GOOD.as_json() == {
        "object_id": "587722981742084144",
        "predicted_class": "Er",
        "predicted_group": "Elliptical",
        "probabilities": dict(zip(CLASSES, GOOD.probabilities or (), strict=True)),
        "prediction_set": ["Er", "A"],
        "flags": ["unlike_training_data"],
        "vote_fractions": {},
        "model": {"name": "galaxy", "version": 2, "sha256": "ab" * 32},
    }


def test_the_row_has_the_columns_of_the_contract() -> None:
    row = GOOD.as_row()
    assert tuple(row) == ROW_COLUMNS
    assert row["prediction_set"] == "Er|A"
    assert row["flags"] == "unlike_training_data"
    assert row["error"] is None
    assert row["scored_at"] == "2026-01-02T03:04:05Z"


def test_a_faulty_image_has_an_error_and_no_class() -> None:
    record, row = FAULTY.as_json(), FAULTY.as_row()
    assert record["error"] == {"code": "truncated", "message": "the file ends early", "field": "img"}
    assert record["probabilities"] is None
    assert row["error"] == "truncated: the file ends early"
    assert row["predicted_Er"] is None
    assert row["prediction_set"] == ""
