"""Thumbnails of stored objects, many in one JPEG: a page draws thousands without thousands of requests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import simplejpeg
from sqlalchemy import select

from galclass.cutouts import SERVED, CutoutParameters, cutout
from galclass.database.connection import Database
from galclass.database.schema import images
from galclass.errors import CutoutError

THUMBNAIL_PX = 48
ACROSS = 16
A_SHEET = ACROSS * ACROSS
"""Thumbnails of a sheet, row by row."""

_PARAMETERS = CutoutParameters(size_px=THUMBNAIL_PX)
_LIMITS = SERVED.with_seconds(0.3)
"""A thumbnail whose decode takes longer stays black: a sheet has 256 of them."""
_READ_ROWS = 32
_QUALITY = 85


def sheet(database: Database, object_ids: Sequence[str]) -> bytes:
    """Return the cutouts of up to `A_SHEET` objects as a JPEG of `ACROSS` columns; black where there is none.

    Parameters
    ----------
    database : Database
    object_ids : sequence of str
        In the order of the sheet; its height is what they need.
    """
    rows = max(1, -(-len(object_ids) // ACROSS))
    drawn = np.zeros((rows * THUMBNAIL_PX, ACROSS * THUMBNAIL_PX, 3), np.uint8)
    for start in range(0, len(object_ids), _READ_ROWS):
        part = object_ids[start : start + _READ_ROWS]
        query = select(images.c.object_id, images.c.img, images.c.frame_px).where(images.c.object_id.in_(part))
        with database.read() as connection:
            found = {row.object_id: (row.img, row.frame_px) for row in connection.execute(query)}
        for index, object_id in enumerate(part, start):
            img, frame_px = found.get(object_id, (None, None))
            if img is not None:
                _draw(drawn, index, bytes(img), frame_px)
    return bytes(simplejpeg.encode_jpeg(drawn, quality=_QUALITY, colorspace="RGB"))


def _draw(
    drawn: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]], index: int, img: bytes, frame_px: int | None
) -> None:
    try:
        pixels = cutout(img, _PARAMETERS, frame_px=frame_px, limits=_LIMITS)
    except CutoutError:
        return
    y, x = (side * THUMBNAIL_PX for side in divmod(index, ACROSS))
    drawn[y : y + THUMBNAIL_PX, x : x + THUMBNAIL_PX] = pixels
