"""Labels that people gave in a downloaded report: stored under their author, the newest of each author counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from galclass.database.connection import Database
from galclass.database.labels import HUMAN
from galclass.database.schema import images, labels
from galclass.database.statements import upsert
from galclass.database.types import now

MARK = " (report)"
"""Follows the author's name, so that nobody can label in the name of a token's holder."""


@dataclass(frozen=True)
class ReportLabel:
    """A class that the author of a report gave to an object, and when (UTC, by the author's clock)."""

    object_id: str
    label: str
    labelled_at: datetime


@dataclass(frozen=True)
class Stored:
    """Outcome of labels: stored, there already, older than the author's stored one, or of no stored object."""

    stored: int
    same: int
    older: int
    unknown: tuple[str, ...]


def store_report_labels(database: Database, author: str, given: Sequence[ReportLabel]) -> Stored:
    """Store labels of one author beside those of others.

    Parameters
    ----------
    database : Database
    author : str
        As the report names them.
    given : sequence of ReportLabel
        In any order; of several for an object the newest counts, the others are older or the same.
    """
    by, moment = author + MARK, now()
    ids = {one.object_id for one in given}
    counts = {"stored": 0, "same": 0, "older": 0}
    unknown: list[str] = []
    with database.write() as connection:
        stored = set(connection.scalars(select(images.c.object_id).where(images.c.object_id.in_(ids))))
        mine = (labels.c.object_id.in_(ids), labels.c.source == HUMAN, labels.c.labelled_by == by)
        columns = (labels.c.object_id, labels.c.label, labels.c.labelled_at)
        known = {row[0]: (row[1]["class"], row[2]) for row in connection.execute(select(*columns).where(*mine))}
        for one in sorted(given, key=lambda one: one.labelled_at, reverse=True):
            label, at = known.get(one.object_id, (None, None))
            if one.object_id not in stored:
                unknown.append(one.object_id)
            elif label == one.label:
                counts["same"] += 1
            elif at is not None and at >= min(one.labelled_at, moment):
                counts["older"] += 1
            else:
                row = {"object_id": one.object_id, "source": HUMAN, "label": {"class": one.label}, "labelled_by": by}
                known[one.object_id] = one.label, min(one.labelled_at, moment)
                connection.execute(upsert(connection, labels, {**row, "labelled_at": known[one.object_id][1]}))
                counts["stored"] += 1
    return Stored(**counts, unknown=tuple(unknown))
