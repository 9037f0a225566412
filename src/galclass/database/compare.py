"""Two models on the same labelled objects: which is right more often, and on which objects they differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sqlalchemy import and_, select

from galclass.database.connection import Database
from galclass.database.desk_labels import PREFIX
from galclass.database.models import ModelInfo
from galclass.database.schema import labels, predictions
from galclass.label_words import classes_of

_Z95 = 1.959964


@dataclass(frozen=True)
class Comparison:
    """What two models predict of the objects that have a label and a prediction of both.

    Attributes
    ----------
    count : int
        Such objects whose label says something about the classes.
    right : tuple of int
        How often each model gives a class that agrees with the label.
    difference : tuple of float or None
        Accuracy of the second less that of the first, with its paired 95 % interval (normal approximation).
    only_first, only_second : tuple of str
        Objects on which one model alone is right, by id.
    """

    count: int
    right: tuple[int, int]
    difference: tuple[float, float, float] | None
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def compare_models(database: Database, first: ModelInfo, second: ModelInfo) -> Comparison:
    """Compare two models by their stored predictions; the newest label of an object counts, those of desks do not."""
    one, other = predictions.alias(), predictions.alias()
    query = (
        select(one.c.object_id, one.c.predicted_class, other.c.predicted_class, labels.c.label)
        .join(other, other.c.object_id == one.c.object_id)
        .join(labels, labels.c.object_id == one.c.object_id)
        .where(
            and_(one.c.model_name == first.name, one.c.model_version == first.version),
            and_(other.c.model_name == second.name, other.c.model_version == second.version),
            one.c.predicted_class.is_not(None),
            other.c.predicted_class.is_not(None),
            ~labels.c.source.startswith(PREFIX),
        )
        .order_by(labels.c.labelled_at, labels.c.source, labels.c.labelled_by)
    )
    with database.read() as connection:
        newest = {row[0]: (row[1], row[2], row[3].get("class")) for row in connection.execute(query)}
    right: dict[str, tuple[bool, bool]] = {}
    for object_id, (left, other_class, label) in sorted(newest.items()):
        agreeing = classes_of(label) if label else ()
        if agreeing:
            right[object_id] = (left in agreeing, other_class in agreeing)
    only_first = tuple(key for key, (a, b) in right.items() if a and not b)
    only_second = tuple(key for key, (a, b) in right.items() if b and not a)
    return Comparison(
        len(right),
        (sum(a for a, _ in right.values()), sum(b for _, b in right.values())),
        paired_difference(len(only_first), len(only_second), len(right)),
        only_first,
        only_second,
    )


def paired_difference(only_first: int, only_second: int, count: int) -> tuple[float, float, float] | None:
    """Return the difference of two accuracies on the same objects with its 95 % interval; None without objects."""
    if not count:
        return None
    value = (only_second - only_first) / count
    reach = _Z95 * math.sqrt(max(only_first + only_second - count * value**2, 0.0)) / count
    return value, max(value - reach, -1.0), min(value + reach, 1.0)
