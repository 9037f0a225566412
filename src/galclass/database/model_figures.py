"""How often registered models are right, read from the metrics that were registered with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from galclass.database.connection import Database
from galclass.database.schema import models

TABLES = ("galaxies, 13 classes by vote fractions", "13 classes", "4 groups")
"""Tables of an evaluation that are looked for, in this order; then the first there is. `gz2_class` follows debiased
votes, so a model that predicts these is measured by the class that follows from them."""

HELD_OUT = "held_out_hashes"
"""Key of a version's metrics: hashes of objects that it was not fitted to; no figure, so not shown."""


def shown_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics that people look at."""
    return {key: value for key, value in metrics.items() if key != HELD_OUT}


@dataclass(frozen=True)
class Accuracy:
    """A measured share of right classes, in [0, 1], with its 95 % interval.

    Attributes
    ----------
    table : str
        What counts as right, such as "13 classes".
    count : int
        Objects that it was measured on.
    accuracy, low, high : float
    """

    table: str
    count: int
    accuracy: float
    low: float
    high: float


def accuracies(database: Database) -> dict[tuple[str, int], Accuracy]:
    """Return the accuracy of every registered model version that has an evaluation, by name and version."""
    query = select(models.c.name, models.c.version, models.c.metrics)
    with database.read() as connection:
        found = {(row.name, row.version): accuracy_of(row.metrics) for row in connection.execute(query)}
    return {key: value for key, value in found.items() if value is not None}


def accuracy_of(metrics: Mapping[str, Any]) -> Accuracy | None:
    """Return the accuracy that an evaluation states; None where it states none."""
    tables = metrics.get("tables")
    if not isinstance(tables, Mapping):
        return None
    for name in (*TABLES, *tables):
        try:
            table = tables[name]
            value, low, high = (float(part) for part in table["accuracy"])
            return Accuracy(name, int(table["count"]), value, low, high)
        except (TypeError, KeyError, ValueError):
            continue  # metrics are free-form: others state no accuracy
    return None
