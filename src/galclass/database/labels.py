"""Labels as rows: what a catalog or a person says about an object, as JSON `{"class": ..., <vote columns>}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import func, select

from galclass.database.connection import Database
from galclass.database.schema import labels
from galclass.database.statements import chunked, insert_for
from galclass.database.types import now

CHUNK = 1000


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


def add_labels(database: Database, new: Iterable[NewLabel]) -> int:
    """Insert labels; a label by the same source and person is replaced. Gives how many were written."""
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
            connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=new_values), list(rows.values()))
        written += len(rows)
    return written


def count_labels(database: Database) -> int:
    """Count the labels of all sources."""
    with database.read() as connection:
        return connection.scalar(select(func.count()).select_from(labels)) or 0
