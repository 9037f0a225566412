"""Images as rows: add them in bulk, look them up by object id.

Takes (object_id, bytes) streams, writes `galaxy_images` in short transactions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, bindparam, case, func, select

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
    """An image to add; `ra` and `dec` in degrees (J2000) where known, `file` for messages (it is not stored)."""

    object_id: str
    img: bytes
    uri: str | None = None
    frame_px: int | None = None
    stored_px: int | None = None
    ra: float | None = None
    dec: float | None = None
    file: str | None = None


@dataclass(frozen=True)
class ImageReject:
    """A file that is left out, and why: it cannot be read, is no image, or its object_id has another image."""

    file: str
    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.code}: {self.reason}"


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
    """How many images were new, how many were there already, and what was left out."""

    added: int
    already_there: int
    rejects: tuple[ImageReject, ...] = ()

    def __str__(self) -> str:
        rejected = f", {len(self.rejects):,} rejected" if self.rejects else ""
        return f"{self.added:,} images added, {self.already_there:,} already there{rejected}"


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
        """Insert a stream of images; what is there already stays, and another image under its object_id is a reject.

        Rows are committed in chunks: an interrupted call leaves whole chunks, and calling it again goes on.
        """
        added = seen = 0
        rejects: list[ImageReject] = []
        for chunk in chunked(new, CHUNK):
            hashes = [_sha256(image.img) for image in chunk]
            rows: dict[str, dict[str, object]] = {}
            for image, sha256 in zip(chunk, hashes, strict=True):
                rows.setdefault(image.object_id, _row(image, sha256))
            with self._database.write() as connection:
                before = len(_known(connection, rows))
                connection.execute(insert_new(connection, images), list(rows.values()))
                stored = _stored_hashes(connection, rows)
            added += len(rows) - before
            seen += len(chunk)
            for image, sha256 in zip(chunk, hashes, strict=True):
                there, uri = stored.get(image.object_id, (None, None))
                if there not in (None, sha256):
                    rejects.append(_same_id(image, uri))
        return AddSummary(added, seen - added - len(rejects), tuple(rejects))

    def known(self, object_ids: Collection[str]) -> set[str]:
        """Give those of a few thousand object ids that have an image."""
        with self._database.read() as connection:
            return _known(connection, object_ids)

    def place(self, positions: Iterable[tuple[str, float, float]]) -> None:
        """Set ra and dec (deg, J2000) by object_id where an image has no position yet."""
        rows = [{"key": object_id, "new_ra": ra, "new_dec": dec} for object_id, ra, dec in positions]
        unplaced = (_C.object_id == bindparam("key"), _C.ra.is_(None), _C.dec.is_(None))
        if rows:
            with self._database.write() as connection:
                update = images.update().where(*unplaced).values(ra=bindparam("new_ra"), dec=bindparam("new_dec"))
                connection.execute(update, rows)

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


def _sha256(img: bytes) -> str:
    return hashlib.sha256(img).hexdigest()


def _row(image: NewImage, sha256: str) -> dict[str, object]:
    stored = {name: value for name, value in vars(image).items() if name != "file"}
    return stored | {"sha256": sha256, "added_at": now()}


def _known(connection: Connection, object_ids: Iterable[str]) -> set[str]:
    return set(connection.scalars(select(_C.object_id).where(_C.object_id.in_(list(object_ids)))))


def _stored_hashes(connection: Connection, object_ids: Iterable[str]) -> dict[str, tuple[str | None, str | None]]:
    """Give sha256 and uri by object_id; rows that were inserted by hand may have bytes and no sha256."""
    unhashed = case((_C.sha256.is_(None), _C.img))
    query = select(_C.object_id, _C.sha256, unhashed, _C.uri).where(_C.object_id.in_(list(object_ids)))
    return {
        object_id: (sha256 or (_sha256(bytes(img)) if img is not None else None), uri)
        for object_id, sha256, img, uri in connection.execute(query)
    }


def _same_id(image: NewImage, uri: str | None) -> ImageReject:
    file = image.file or image.uri or image.object_id
    stored = f", from {uri}" if uri else ""
    return ImageReject(file, "same_id_other_image", f"object_id {image.object_id} has another image{stored}")
