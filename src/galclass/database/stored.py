"""Stored images with what is needed to score them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import select

from galclass.database.connection import Database
from galclass.database.schema import images


class ImageBytes(NamedTuple):
    """The bytes of an image and the side of the survey's frame in px; None: the file is a full frame."""

    data: bytes
    frame_px: int | None


def image_bytes(database: Database, object_id: str) -> ImageBytes | None:
    """Return the bytes of a stored image; None where there are none."""
    query = select(images.c.img, images.c.frame_px).where(images.c.object_id == object_id)
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None or row.img is None else ImageBytes(bytes(row.img), row.frame_px)


def frames_of(database: Database, object_ids: Collection[str]) -> dict[str, int | None]:
    """Return the frame in px (None: the file is a full frame) of those of some objects that have bytes."""
    query = select(images.c.object_id, images.c.frame_px).where(
        images.c.object_id.in_(object_ids), images.c.img.is_not(None)
    )
    with database.read() as connection:
        return {row.object_id: row.frame_px for row in connection.execute(query)}


def stored_ids(database: Database) -> set[str]:
    """Return the ids of all objects that have bytes."""
    with database.read() as connection:
        return set(connection.scalars(select(images.c.object_id).where(images.c.img.is_not(None))))
