"""Labels as rows: what a catalog or a person says about an object, as JSON `{"class": ..., <vote columns>}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select

from galclass.database.connection import Database
from galclass.database.schema import images, labels
from galclass.database.statements import chunked, insert_for, upsert
from galclass.database.types import now

CHUNK = 1000

HUMAN = "human"
"""Source of the labels people give on the page."""


@dataclass(frozen=True)
class NewLabel:
    """A label to add.

    Attributes
    ----------
    object_id : str
    label : str or None
        A class, gz2_class or coarse label.
    source : str
        Where it comes from, such as the catalog's file name.
    votes : mapping
        Vote columns under gz2_hart16 names.
    labelled_by : str
    """

    object_id: str
    label: str | None
    source: str
    votes: Mapping[str, float] = field(default_factory=dict)
    labelled_by: str = "catalog"


@dataclass(frozen=True)
class HumanLabel:
    """A class assigned by a person, with who and when (UTC)."""

    object_id: str
    label: str
    labelled_by: str
    labelled_at: datetime


def add_human_label(database: Database, object_id: str, label: str, by: str) -> HumanLabel | None:
    """Store a class assigned by a person, replacing their last one; None if no image is stored for the object."""
    given = HumanLabel(object_id, label, by, now())
    row = {"object_id": object_id, "source": HUMAN, "label": {"class": label}}
    with database.write() as connection:
        if connection.scalar(select(images.c.object_id).where(images.c.object_id == object_id)) is None:
            return None
        connection.execute(upsert(connection, labels, {**row, "labelled_by": by, "labelled_at": given.labelled_at}))
    return given


def human_labels(
    database: Database, object_id: str | None = None, *, limit: int | None = None, offset: int = 0
) -> tuple[list[HumanLabel], int]:
    """Return people's labels, newest first, for all objects or one, and their total number.

    Parameters
    ----------
    database : Database
    object_id : str, optional
    limit : int, optional
        Most labels to return; None: all.
    offset : int
        Labels to skip.
    """
    where = [labels.c.source == HUMAN]
    if object_id is not None:
        where.append(labels.c.object_id == object_id)
    columns = (labels.c.object_id, labels.c.label, labels.c.labelled_by, labels.c.labelled_at)
    order = (labels.c.labelled_at.desc(), labels.c.object_id, labels.c.labelled_by)
    query = select(*columns).where(*where).order_by(*order).limit(limit).offset(offset)
    with database.read() as connection:
        found = [HumanLabel(row[0], row[1]["class"], row[2], row[3]) for row in connection.execute(query)]
        total = connection.scalar(select(func.count()).select_from(labels).where(*where)) or 0
    return found, total


def add_labels(database: Database, new: Iterable[NewLabel]) -> int:
    """Insert labels; a label by the same source and person is replaced. Return how many were written."""
    written = 0
    for chunk in chunked(new, CHUNK):
        moment = now()
        rows = {
            (one.object_id, one.source, one.labelled_by): {
                "object_id": one.object_id,
                "source": one.source,
                "label": {"class": one.label, **one.votes},
                "labelled_by": one.labelled_by,
                "labelled_at": moment,
            }
            for one in chunk
        }
        with database.write() as connection:
            insert = insert_for(connection, labels)
            new_values = {"label": insert.excluded.label, "labelled_at": insert.excluded.labelled_at}
            keys = ["object_id", "source", "labelled_by"]
            in_order = [rows[key] for key in sorted(rows)]  # of two who add at once neither waits for the other's rows
            connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=new_values), in_order)
        written += len(rows)
    return written
