"""Two models on the same labelled objects: which is right more often, and on which objects they differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, select

from galclass.database.connection import Database
from galclass.database.desk_labels import PREFIX
from galclass.database.models import ModelInfo
from galclass.database.schema import labels, predictions
from galclass.label_words import classes_of
from galclass.scoring.fitted_ids import split_fitted

_Z95 = 1.959964


@dataclass(frozen=True)
class Comparison:
    """What two models predict of the objects that have a label and a prediction of both.

    Attributes
    ----------
    count : int
        Such objects whose label says something about the classes, and that neither model is known to be fitted to.
    right : tuple of int
        How often each model gives a class that agrees with the label.
    difference : tuple of float or None
        Accuracy of the second less that of the first, with its paired 95 % interval (normal approximation).
    only_first, only_second : tuple of str
        Objects on which one model alone is right, by id.
    left_out : int
        Objects that a model, or one that it was made from, was fitted to, or of which this is not known.
    """

    count: int
    right: tuple[int, int]
    difference: tuple[float, float, float] | None
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    left_out: int = 0


def compare_models(
    database: Database, first: ModelInfo, second: ModelInfo, trained: Sequence[Mapping[str, Any]] = ()
) -> Comparison:
    """Compare two models by their stored predictions; the newest label of an object counts, those of desks do not.

    Parameters
    ----------
    database : Database
    first, second : ModelInfo
    trained : sequence of mapping
        `galclass.scoring.fitted_ids.recorded` of the models: the objects that one was fitted to are left out.
    """
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
    seen = set[str]().union(*(ids for one in trained for ids in split_fitted(one, right) or ()))
    right = {key: value for key, value in right.items() if key not in seen}
    only_first = tuple(key for key, (a, b) in right.items() if a and not b)
    only_second = tuple(key for key, (a, b) in right.items() if b and not a)
    return Comparison(
        len(right),
        (sum(a for a, _ in right.values()), sum(b for _, b in right.values())),
        paired_difference(len(only_first), len(only_second), len(right)),
        only_first,
        only_second,
        len(seen),
    )


def paired_difference(only_first: int, only_second: int, count: int) -> tuple[float, float, float] | None:
    """Return the difference of two accuracies on the same objects with its 95 % interval; None without objects."""
    if not count:
        return None
    value = (only_second - only_first) / count
    reach = _Z95 * math.sqrt(max(only_first + only_second - count * value**2, 0.0)) / count
    return value, max(value - reach, -1.0), min(value + reach, 1.0)
