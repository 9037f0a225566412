"""What a job keeps of a prediction: the service's JSON record and when it was made; and back to the row of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from galclass.morphology import CLASSES
from galclass.scoring import ImageFault, ModelId, Prediction
from galclass.scoring.prediction import read_votes


def stored_record(prediction: Prediction) -> dict[str, Any]:
    """Return what a job keeps of a prediction: the JSON record, and when it was made for tables."""
    return {**prediction.as_json(), "scored_at": prediction.as_row()["scored_at"]}


def classes_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes of a stored record: the 13 in their order, others sorted, as jsonb keeps no order."""
    probabilities = record["probabilities"]
    return CLASSES if not probabilities or set(probabilities) == set(CLASSES) else tuple(sorted(probabilities))


def row_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored record as the row of CSV and Parquet."""
    probabilities, error = record["probabilities"], record.get("error")
    classes = classes_of(record)
    prediction = Prediction(
        record["object_id"],
        ModelId(**record["model"]),
        probabilities=tuple(probabilities[leaf] for leaf in classes) if probabilities else None,
        predicted_class=record["predicted_class"],
        predicted_group=record["predicted_group"],
        prediction_set=tuple(record["prediction_set"]),
        flags=tuple(record["flags"]),
        vote_fractions=read_votes(record["vote_fractions"]),
        raw_vote_fractions=read_votes(record.get("raw_vote_fractions")),  # models of format 1 have none
        error=ImageFault(error["code"], error["message"]) if error else None,
        classes=classes,
    )
    return {**prediction.as_row(), "scored_at": record.get("scored_at")}  # records of older versions have none
