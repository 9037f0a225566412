"""The frame that a stored image is a part of, which decides its cutout as its bytes do.

Takes images and a connection, returns frames, and whether two of them give the same cutout.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from galclass.cutouts import read_header
from galclass.database.schema import images
from galclass.errors import CutoutError

_ROUNDING_PX = 1
"""423 and 424 px stand for the same frame, as in `galclass.cutouts`."""


def stored_frames(connection: Connection, object_ids: Iterable[str]) -> dict[str, int | None]:
    """Return frame_px by object id; ids without an image are left out."""
    query = select(images.c.object_id, images.c.frame_px).where(images.c.object_id.in_(list(object_ids)))
    return {object_id: frame_px for object_id, frame_px in connection.execute(query)}


def may_be_other_frame(given_px: int | None, stored_px: int | None) -> bool:
    """Return whether the frame given now may be another than the stored one; none given is any.

    None stored is a full frame: the image's own shorter side, which only the image tells.
    """
    if given_px is None or given_px == stored_px:
        return False
    return stored_px is None or abs(given_px - stored_px) > _ROUNDING_PX


def is_other_frame(img: bytes, given_px: int | None, stored_px: int | None) -> bool:
    """Return whether the frame given for an image now is another than the stored one, as in `may_be_other_frame`."""
    if stored_px is None and given_px is not None:
        try:
            header = read_header(img)
        except CutoutError:  # it has no cutout in any frame
            return False
        stored_px = min(header.width, header.height)
    return may_be_other_frame(given_px, stored_px)
