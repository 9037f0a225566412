"""The labels of desks: classes of one's own ("ring", "no ring"), assigned by people object by object.

A desk is a name; its labels are rows of `galaxy_labels` with the source `desk:<name>`. The desk `galaxy-zoo` gives the
13 classes as the page does elsewhere, with the source `human`. Training on Galaxy Zoo's classes reads no other desk.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select

from galclass.database.connection import Database
from galclass.database.labels import HUMAN
from galclass.database.references import check_name
from galclass.database.schema import images, labels
from galclass.database.statements import upsert
from galclass.database.types import now
from galclass.errors import DatabaseValueError
from galclass.morphology import CLASSES

GALAXY_ZOO = "galaxy-zoo"
"""The desk of the 13 classes."""

PREFIX = "desk:"
MAX_LABEL = 40
MAX_NOTE = 500
MAX_CLASSES = 30
"""Classes of a desk."""


@dataclass(frozen=True)
class DeskLabel:
    """What one person says of one object.

    Attributes
    ----------
    label : str or None
        None: undecidable ("cannot tell").
    labelled_at : datetime
        UTC.
    """

    object_id: str
    label: str | None
    labelled_by: str
    labelled_at: datetime
    note: str = ""


@dataclass(frozen=True)
class GivenLabel(DeskLabel):
    """A label as it was stored, with the earlier one of the same person that it replaced."""

    replaced: DeskLabel | None = None


@dataclass(frozen=True)
class Votes:
    """The labels of a desk, one for each object.

    Attributes
    ----------
    agreed : mapping of str to str
        The class of each object that most people give.
    disputed, untold : set of str
        Objects with as many labels of one class as of another, and those only labelled "cannot tell"; unused by heads.
    """

    agreed: dict[str, str]
    disputed: set[str]
    untold: set[str]


@dataclass(frozen=True)
class DeskSummary:
    """A desk, the objects of each class, and who labels."""

    name: str
    counts: dict[str, int]
    people: list[str]
    last_at: datetime


def source_of(desk: str) -> str:
    """Return the source of a desk's labels.

    Raises
    ------
    RegistryError
        If the name is not valid.
    """
    return HUMAN if check_name(desk, "desk") == GALAXY_ZOO else f"{PREFIX}{desk}"


def check_label(desk: str, label: str) -> str:
    """Return a class as it is stored.

    Raises
    ------
    DatabaseValueError
        If it is blank, too long, has characters that do not print, or is none of the 13 at their desk.
    """
    if desk == GALAXY_ZOO:
        if label not in CLASSES:
            raise DatabaseValueError("unknown class", expected=" ".join(CLASSES), got=repr(label[:MAX_LABEL]))
        return label
    if not label.isprintable() or label.strip() != label or not label or len(label) > MAX_LABEL or "|" in label:
        raise DatabaseValueError(
            "a class cannot have this name",
            expected=f"1 to {MAX_LABEL} printable characters, no | and no blank at either end",
            got=repr(label[:MAX_LABEL]),
        )
    return unicodedata.normalize("NFC", label)


def give_label(
    database: Database, desk: str, object_id: str, label: str | None, by: str, note: str | None = ""
) -> GivenLabel | None:
    """Store a person's label for an object, replacing their previous one; None if the image is not stored.

    A note of None keeps the previous one's note.

    Raises
    ------
    DatabaseValueError
        If the label or note is not valid, or the desk would have more than `MAX_CLASSES` classes.
    """
    if label is not None:
        label = check_label(desk, label)
    if note and (len(note) > MAX_NOTE or not note.replace("\n", "").isprintable()):
        raise DatabaseValueError("it is not a note", expected=f"at most {MAX_NOTE} printable characters")
    source = _source_for(desk, label)
    with database.write() as connection:
        if connection.scalar(select(images.c.object_id).where(images.c.object_id == object_id)) is None:
            return None
        name = labels.c.label["class"].as_string()
        used = set(connection.scalars(select(name).where(labels.c.source == source_of(desk)).distinct()))
        if label is not None and label not in used and len(used - {None}) >= MAX_CLASSES:
            raise DatabaseValueError("the desk has too many classes", expected=f"at most {MAX_CLASSES}")
        twins = sorted(name for name in used - {None, label} if label and name.casefold() == label.casefold())
        if twins:
            raise DatabaseValueError("the desk has this class under another spelling", expected=twins[0], got=label)
        before = next(_found(connection, *_mine(desk, object_id, by)), None)
        if note is None:
            note = before.note if before else ""
        given = GivenLabel(object_id, label, by, now(), note, before)
        value = {"class": label, **({"note": note} if note else {})}
        row = {"object_id": object_id, "source": source, "labelled_by": by, "label": value}
        connection.execute(labels.delete().where(*_mine(desk, object_id, by)))
        connection.execute(upsert(connection, labels, {**row, "labelled_at": given.labelled_at}))
    return given


def take_back(database: Database, desk: str, object_id: str, by: str) -> bool:
    """Delete what a person said of an object; False where they said nothing."""
    with database.write() as connection:
        return bool(connection.execute(labels.delete().where(*_mine(desk, object_id, by))).rowcount)


def desk_labels(database: Database, desk: str) -> list[DeskLabel]:
    """Return all labels of a desk, newest first."""
    with database.read() as connection:
        return list(_found(connection, labels.c.source.in_(_sources(desk))))


def _found(connection: Connection, *where: ColumnElement[bool]) -> Iterator[DeskLabel]:
    """Yield labels, newest first."""
    columns = (labels.c.object_id, labels.c.label, labels.c.labelled_by, labels.c.labelled_at)
    query = select(*columns).where(*where).order_by(labels.c.labelled_at.desc(), labels.c.object_id)
    for row in connection.execute(query):
        yield DeskLabel(row[0], row[1].get("class"), row[2], row[3], row[1].get("note", ""))


def votes_of(found: Sequence[DeskLabel]) -> Votes:
    """Count the labels of each object: the majority class is the object's, a tie is disputed."""
    by_object: dict[str, Counter[str]] = defaultdict(Counter)
    for one in found:
        by_object[one.object_id].update([one.label] if one.label is not None else [])
    votes = Votes({}, set(), set())
    for object_id, counts in by_object.items():
        (first, most), *rest = counts.most_common(2) or [("", 0)]
        if not most:
            votes.untold.add(object_id)
        elif rest and rest[0][1] == most:
            votes.disputed.add(object_id)
        else:
            votes.agreed[object_id] = first
    return votes


def list_desks(database: Database) -> list[DeskSummary]:
    """Return the desks with labels, the last used first."""
    query = select(labels.c.source).where(labels.c.source.startswith(PREFIX) | (labels.c.source == HUMAN)).distinct()
    with database.read() as connection:
        names = {GALAXY_ZOO if source == HUMAN else source.removeprefix(PREFIX) for source in connection.scalars(query)}
    found = []
    for name in names:
        given = desk_labels(database, name)
        counts = Counter(votes_of(given).agreed.values())
        found.append(DeskSummary(name, dict(counts), sorted({one.labelled_by for one in given}), given[0].labelled_at))
    return sorted(found, key=lambda one: one.last_at, reverse=True)


def _source_for(desk: str, label: str | None) -> str:
    """Return the source; "cannot tell" is not stored under `human`, whose readers expect a class."""
    return source_of(desk) if label is not None else f"{PREFIX}{desk}"


def _sources(desk: str) -> set[str]:
    return {source_of(desk), f"{PREFIX}{desk}"}


def _mine(desk: str, object_id: str, by: str) -> tuple[ColumnElement[bool], ...]:
    return labels.c.object_id == object_id, labels.c.source.in_(_sources(desk)), labels.c.labelled_by == by
