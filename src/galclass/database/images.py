"""Images as rows: add them in bulk, look them up by object id.

Takes (object_id, bytes) streams, writes `galaxy_images` in short transactions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection, func, select

from galclass.database.connection import Database
from galclass.database.schema import images
from galclass.database.statements import insert_new
from galclass.database.types import now

CHUNK = 256
"""Rows a transaction; 256 images are a few megabytes."""


@dataclass(frozen=True)
class NewImage:
    """An image to add; `ra` and `dec` in degrees (J2000) where known."""

    object_id: str
    img: bytes
    uri: str | None = None
    frame_px: int | None = None
    stored_px: int | None = None
    ra: float | None = None
    dec: float | None = None


@dataclass(frozen=True)
class StoredImage:
    """A row of `galaxy_images` without its bytes."""

    object_id: str
    uri: str | None
    sha256: str | None
    size_bytes: int | None
    frame_px: int | None
    ra: float | None
    dec: float | None
    added_at: datetime


@dataclass(frozen=True)
class AddSummary:
    """How many images were new and how many were there already."""

    added: int
    already_there: int

    def __str__(self) -> str:
        return f"{self.added:,} images added, {self.already_there:,} already there"


class Images:
    """The images of a database.

    Parameters
    ----------
    database : Database
        With a migrated schema.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: Iterable[NewImage]) -> AddSummary:
        """Insert a stream of images; an object_id that is there already is left as it is.

        Rows are committed in chunks: an interrupted call leaves whole chunks, and calling it again goes on.
        """
        added = seen = 0
        for chunk in chunks(new, CHUNK):
            rows = [_row(image) for image in {image.object_id: image for image in reversed(chunk)}.values()]
            with self._database.write() as connection:
                before = _count_known(connection, rows)
                connection.execute(insert_new(connection, images), rows)
            added += len(rows) - before
            seen += len(chunk)
        return AddSummary(added, seen - added)

    def count(self) -> int:
        """Count the images."""
        with self._database.read() as connection:
            return connection.scalar(select(func.count()).select_from(images)) or 0

    def list(self, *, limit: int = 20, after: str = "") -> list[StoredImage]:
        """Give a page of images by object_id."""
        c = images.c
        columns = (c.object_id, c.uri, c.sha256, func.length(c.img), c.frame_px, c.ra, c.dec, c.added_at)
        query = select(*columns).where(c.object_id > after).order_by(c.object_id).limit(limit)
        with self._database.read() as connection:
            return [StoredImage(*row) for row in connection.execute(query)]

    def get(self, object_id: str) -> bytes | None:
        """Give the bytes of an image; None where there is none."""
        with self._database.read() as connection:
            value = connection.scalar(select(images.c.img).where(images.c.object_id == object_id))
        return bytes(value) if value is not None else None


def chunks(items: Iterable[NewImage], size: int) -> Iterator[list[NewImage]]:
    """Cut a stream into lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _row(image: NewImage) -> dict[str, object]:
    return vars(image) | {"sha256": hashlib.sha256(image.img).hexdigest(), "added_at": now()}


def _count_known(connection: Connection, rows: list[dict[str, object]]) -> int:
    ids = [row["object_id"] for row in rows]
    query = select(func.count()).select_from(images).where(images.c.object_id.in_(ids))
    return connection.scalar(query) or 0
