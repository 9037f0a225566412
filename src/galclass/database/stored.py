"""One stored image with what is needed to score it."""

from __future__ import annotations

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
