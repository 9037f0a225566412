"""The stored objects behind a cell of a confusion matrix: what is known of them, and what a model predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import and_, select

from galclass.database.connection import Database
from galclass.database.desk_labels import PREFIX
from galclass.database.models import ModelInfo
from galclass.database.schema import labels, predictions
from galclass.label_words import classes_of
from galclass.morphology import GROUPS


@dataclass(frozen=True)
class Confused:
    """Stored objects of a cell, by id.

    Attributes
    ----------
    labelled : int
        Objects with a label and a stored prediction of the model, of all cells.
    objects : tuple of (str, str, str)
        Object id, label, predicted class.
    """

    labelled: int
    objects: tuple[tuple[str, str, str], ...]


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
    predictions_of = (
        predictions.c.model_name == model.name,
        predictions.c.model_version == model.version,
        predictions.c.predicted_class.is_not(None),
    )
    with database.read() as connection:
        query = select(predictions.c.object_id, predictions.c.predicted_class).where(*predictions_of)
        given = {row[0]: row[1] for row in connection.execute(query)}
        if not known:
            newest = (
                select(labels.c.object_id, labels.c.label)
                .join(predictions, and_(predictions.c.object_id == labels.c.object_id, *predictions_of))
                .where(~labels.c.source.startswith(PREFIX))
                .order_by(labels.c.labelled_at, labels.c.source, labels.c.labelled_by)
            )
            known = {row[0]: row[1].get("class") or "" for row in connection.execute(newest)}
    pairs = [(key, known[key], given[key]) for key in sorted(given) if known.get(key)]
    found = [pair for pair in pairs if _is_of(pair[1], volunteers) and pair[2] in _classes(predicted)]
    return Confused(len(pairs), tuple(found))


def _classes(name: str) -> tuple[str, ...]:
    return tuple(GROUPS[name]) if name in GROUPS else (name,)


def _is_of(label: str, name: str) -> bool:
    """Whether a label says a class or group and no other."""
    said = classes_of(label) or (label,)
    return set(said) <= set(_classes(name))
