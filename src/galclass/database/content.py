"""The identity of a stored image: its bytes, and the pixels of its cutout.

Takes images and a connection, returns hashes and the stored images with the same pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, case, or_, select

from galclass.cutouts import LOCAL, CutoutParameters, DecodeLimits, flagged_cutout
from galclass.database.connection import Database
from galclass.database.schema import images
from galclass.errors import CutoutError

_C = images.c
_PARAMETERS = CutoutParameters()

NO_CUTOUT = ""
"""Stands for the hash of the pixels where an image was tried and yields no cutout, so that it is not tried again."""


class Content(NamedTuple):
    """What two files of the same image have in common.

    Attributes
    ----------
    sha256 : str or None
        Of the file's bytes.
    pixels_sha256 : str or None
        Of its 64 px cutout's pixels; `NO_CUTOUT` where there is none, None where it has not been tried.
    """

    sha256: str | None
    pixels_sha256: str | None

    def equals(self, other: Content) -> bool:
        """Whether the bytes or the pixels are known and equal."""
        return bool(self.known() & other.known())

    def known(self) -> set[tuple[str, str]]:
        """Return what is known, each with its kind."""
        both = {("bytes", self.sha256), ("pixels", self.pixels_sha256)}
        return {(kind, value) for kind, value in both if value}


def sha256_of(img: bytes) -> str:
    """Hash the bytes of a file."""
    return hashlib.sha256(img).hexdigest()


def pixels_sha256_of(img: bytes, frame_px: int | None, limits: DecodeLimits = LOCAL) -> str | None:
    """Hash the pixels of an image file's cutout.

    Returns
    -------
    str or None
        `NO_CUTOUT` where the image gives none; None where these limits forbid trying, as others may not.
    """
    try:
        made = flagged_cutout(img, _PARAMETERS, frame_px=frame_px, limits=limits)
        return hashlib.sha256(made.pixels.tobytes()).hexdigest()
    except CutoutError as error:
        return None if error.code == "too_costly" else NO_CUTOUT


def fill_in_missing(database: Database, rows: int, limits: DecodeLimits = LOCAL) -> None:
    """Fill in hashes that stored images lack: rows inserted by hand, by an older version, or kept as duplicates.

    An image that yields no cutout gets `NO_CUTOUT`; one that the limits forbid to decode keeps NULL.

    Parameters
    ----------
    database : Database
    rows : int
        Images in memory, and in a transaction, at a time.
    limits : DecodeLimits
        How long an image may take to decode.
    """
    after = ""
    lacking = or_(_C.sha256.is_(None), _C.pixels_sha256.is_(None))
    update = images.update().where(_C.object_id == bindparam("key"), lacking)
    update = update.values(sha256=bindparam("new_sha256"), pixels_sha256=bindparam("new_pixels"))
    while True:
        query = select(_C.object_id, _C.img, _C.frame_px).where(lacking, _C.img.is_not(None), _C.object_id > after)
        with database.read() as connection:
            found = connection.execute(query.order_by(_C.object_id).limit(rows)).all()
        if not found:
            return
        hashes = []
        for key, img, frame_px in found:
            pixels = pixels_sha256_of(bytes(img), frame_px, limits)
            hashes.append({"key": key, "new_sha256": sha256_of(bytes(img)), "new_pixels": pixels})
        with database.write() as connection:
            connection.execute(update, hashes)
        after = found[-1].object_id


def twins(
    connection: Connection, ids: Sequence[str], names: Sequence[str | None], contents: Sequence[Content]
) -> dict[int, tuple[str, str | None]]:
    """Find the images that are already stored, or come earlier in the sequence, under another object id.

    Parameters
    ----------
    connection : Connection
        Of a transaction that has locked the table.
    ids, names : sequence of str
        Object ids, and the files that they come from, for messages.
    contents : sequence of Content

    Returns
    -------
    dict of int to (object id, uri)
        By number: the other image. Images that are stored under their own object id are not in it.
    """
    same = or_(
        _C.sha256.in_({one.sha256 for one in contents}),
        _C.pixels_sha256.in_({one.pixels_sha256 for one in contents if one.pixels_sha256}),
    )
    holders: dict[tuple[str, str], dict[str, str | None]] = {}
    query = select(_C.object_id, _C.uri, _C.sha256, _C.pixels_sha256).where(same).order_by(_C.object_id)
    for object_id, uri, sha256, pixels in connection.execute(query):
        _hold(holders, Content(sha256, pixels), object_id, uri)
    found = {}
    for number, (object_id, name, content) in enumerate(zip(ids, names, contents, strict=True)):
        own = [holders[key] for key in sorted(content.known()) if key in holders]
        if own and not any(object_id in others for others in own):
            found[number] = next(iter(own[0].items()))
        else:
            name = next((others[object_id] for others in own if object_id in others), name)
            _hold(holders, content, object_id, name)
    return found


def _hold(
    holders: dict[tuple[str, str], dict[str, str | None]], content: Content, object_id: str, name: str | None
) -> None:
    for key in content.known():
        holders.setdefault(key, {}).setdefault(object_id, name)


def stored_contents(connection: Connection, object_ids: Iterable[str]) -> dict[str, tuple[Content, str | None]]:
    """Return content and uri by object id; rows that were inserted by hand may have bytes and no sha256."""
    unhashed = case((_C.sha256.is_(None), _C.img))
    query = select(_C.object_id, _C.sha256, _C.pixels_sha256, unhashed, _C.uri)
    return {
        object_id: (Content(sha256 or (sha256_of(bytes(img)) if img is not None else None), pixels), uri)
        for object_id, sha256, pixels, img, uri in connection.execute(query.where(_C.object_id.in_(list(object_ids))))
    }
