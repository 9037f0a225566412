"""The stored objects behind a cell of a confusion matrix: what is known of them, and what a model predicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, select

from galclass.database.connection import Database
from galclass.database.desk_labels import PREFIX
from galclass.database.models import ModelInfo
from galclass.database.schema import labels, predictions
from galclass.label_words import classes_of
from galclass.morphology import GROUPS

Pair = tuple[str, str, str]
"""Object id, label, predicted class."""

_IDS = 500
"""Objects of one query."""


@dataclass(frozen=True)
class Confused:
    """Stored objects of a cell, by id.

    Attributes
    ----------
    labelled : int
        Objects with a label and a stored prediction of the model, of all cells.
    objects : tuple of Pair
        Object id, label, predicted class.
    """

    labelled: int
    objects: tuple[Pair, ...]


def confused(
    database: Database, model: ModelInfo, known: Mapping[str, str], volunteers: str, predicted: str
) -> Confused:
    """Find the objects that volunteers put into one class or group, and a model into another.

    Parameters
    ----------
    database : Database
    model : ModelInfo
    known : mapping
        Labels by object id, such as those of the test split. Where there are none, the newest label of each object
        in the database counts; those of desks do not.
    volunteers, predicted : str
        A class, or one of the four groups.
    """
    of_model = (
        predictions.c.model_name == model.name,
        predictions.c.model_version == model.version,
        predictions.c.predicted_class.is_not(None),
    )
    with database.read() as connection:
        pairs = list(_of_known(connection, known, of_model) if known else _of_labelled(connection, of_model))
    found = [pair for pair in pairs if _is_of(pair[1], volunteers) and pair[2] in _classes(predicted)]
    return Confused(len(pairs), tuple(found))


def _of_known(
    connection: Connection, known: Mapping[str, str], of_model: Sequence[ColumnElement[bool]]
) -> Iterator[Pair]:
    """Yield object id, label and predicted class of the known objects, by id; reads no other predictions."""
    ids = sorted(key for key, label in known.items() if label)
    for start in range(0, len(ids), _IDS):
        part = predictions.c.object_id.in_(ids[start : start + _IDS])
        query = select(predictions.c.object_id, predictions.c.predicted_class).where(part, *of_model)
        given = {row[0]: row[1] for row in connection.execute(query)}
        yield from ((key, known[key], given[key]) for key in ids[start : start + _IDS] if key in given)


def _of_labelled(connection: Connection, of_model: Sequence[ColumnElement[bool]]) -> Iterator[Pair]:
    """Yield the same of the objects that are labelled in the database, with their newest label."""
    query = (
        select(labels.c.object_id, labels.c.label, predictions.c.predicted_class)
        .join(predictions, and_(predictions.c.object_id == labels.c.object_id, *of_model))
        .where(~labels.c.source.startswith(PREFIX))
        .order_by(labels.c.labelled_at, labels.c.source, labels.c.labelled_by)
    )
    newest = {row[0]: (row[1].get("class") or "", row[2]) for row in connection.execute(query)}
    yield from ((key, *newest[key]) for key in sorted(newest) if newest[key][0])


def _classes(name: str) -> tuple[str, ...]:
    return tuple(GROUPS[name]) if name in GROUPS else (name,)


def _is_of(label: str, name: str) -> bool:
    """Whether a label says a class or group and no other."""
    said = classes_of(label) or (label,)
    return set(said) <= set(_classes(name))
