"""Images as rows: add them in bulk, look them up by object id.

Takes (object_id, bytes) streams, writes `galaxy_images` in short transactions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, func, select

from galclass.database.connection import Database
from galclass.database.positions import box_round, separation_arcsec
from galclass.database.schema import images
from galclass.database.statements import chunked, insert_new
from galclass.database.types import now

_C = images.c
_ABOUT = (_C.object_id, _C.uri, _C.sha256, func.length(_C.img), _C.frame_px, _C.ra, _C.dec, _C.added_at)
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
        for chunk in chunked(new, CHUNK):
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
        key = images.c.object_id
        query = select(*_ABOUT).where(key > after).order_by(key).limit(limit)
        with self._database.read() as connection:
            return [StoredImage(*row) for row in connection.execute(query)]

    def cone_search(self, ra: float, dec: float, radius_arcsec: float, *, limit: int = 20) -> Sequence[StoredImage]:
        """Give the images within a radius of a position (deg, J2000), nearest first.

        Raises
        ------
        DatabaseError
            If the position or the radius is none.
        """
        query = select(*_ABOUT).where(box_round(ra, dec, radius_arcsec))
        with self._database.read() as connection:
            found = [StoredImage(*row) for row in connection.execute(query)]
        positions = np.array([(one.ra, one.dec) for one in found], dtype=np.float64).reshape(-1, 2)
        distances = separation_arcsec(positions[:, 0], positions[:, 1], ra, dec)
        order = np.argsort(distances, kind="stable")
        return [found[row] for row in order if distances[row] <= radius_arcsec][:limit]

    def get(self, object_id: str) -> bytes | None:
        """Give the bytes of an image; None where there is none."""
        with self._database.read() as connection:
            value = connection.scalar(select(images.c.img).where(images.c.object_id == object_id))
        return bytes(value) if value is not None else None


def _row(image: NewImage) -> dict[str, object]:
    return vars(image) | {"sha256": hashlib.sha256(image.img).hexdigest(), "added_at": now()}


def _count_known(connection: Connection, rows: list[dict[str, object]]) -> int:
    ids = [row["object_id"] for row in rows]
    query = select(func.count()).select_from(images).where(images.c.object_id.in_(ids))
    return connection.scalar(query) or 0
