"""Images as rows: add them in bulk, look them up by object id.

Takes (object_id, bytes) streams, writes `galaxy_images` in short transactions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, bindparam, func, select

from galclass.cutouts import LOCAL, DecodeLimits
from galclass.database.connection import Database
from galclass.database.content import (
    Content,
    fill_in_missing,
    pixels_sha256_of,
    sha256_of,
    stored_contents,
    twins,
)
from galclass.database.frames import is_other_frame, stored_frames
from galclass.database.schema import images
from galclass.database.sky import box_round, separation_arcsec
from galclass.database.statements import chunked, insert_new, lock_table
from galclass.database.types import now
from galclass.image_files import Skipped
from galclass.image_names import BAD_ID, fault_of_id

_C = images.c
_NOTHING = Content(None, None)
_ABOUT = (_C.object_id, _C.uri, _C.sha256, func.length(_C.img), _C.frame_px, _C.ra, _C.dec, _C.added_at)
CHUNK = 256
"""Rows a transaction; 256 images are a few megabytes."""


@dataclass(frozen=True)
class NewImage:
    """An image to add.

    `ra` and `dec` in degrees (J2000) where known, `file` for messages (it is not stored), `pixels_sha256` the hash of
    the cutout's pixels where somebody has made it already, `content.NO_CUTOUT` where it was tried in vain.
    """

    object_id: str
    img: bytes
    uri: str | None = None
    frame_px: int | None = None
    stored_px: int | None = None
    ra: float | None = None
    dec: float | None = None
    file: str | None = None
    pixels_sha256: str | None = None


@dataclass(frozen=True)
class ImageReject:
    """A file that is left out, and why.

    It cannot be read, is no image, its object_id has another image, or shows the image of another object.
    """

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
    """How many images were new, how many were there already, what was left out, and what was skipped.

    Attributes
    ----------
    added, already_there : int
        Images; one is "already there" with the same bytes under the same object id, in the database or earlier in the
        same call.
    rejects : tuple of ImageReject
    skipped : Skipped
        Files that are not images, or are in unsupported formats.
    lost : tuple of str
        Skipped images without an image of the same name in a format that is read.
    shared : int
        Images beyond the first of files that several objects share, where these are kept.
    """

    added: int
    already_there: int
    rejects: tuple[ImageReject, ...] = ()
    skipped: Skipped = field(default_factory=Skipped)
    lost: tuple[str, ...] = ()
    shared: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing was rejected and no image was skipped for its format."""
        return not (self.rejects or self.lost)

    def __str__(self) -> str:
        rejected = f", {len(self.rejects):,} rejected" if self.rejects else ""
        line = f"{self.added:,} images added, {self.already_there:,} already there{rejected}"
        if not (self.rejects or self.skipped.total):
            return line
        parts = [f"{self.added:,} added", f"{self.already_there:,} already there"]
        parts += [f"{len(self.rejects):,} rejected", f"{self.skipped.total:,} skipped"]
        seen = self.added + self.already_there + len(self.rejects) + self.skipped.total - self.shared
        shared = f" - {self.shared:,} of files of several objects" if self.shared else ""
        lines = [line, f"files: {seen:,} seen = {' + '.join(parts)}{shared}"]
        return "\n".join([*lines, *([f"skipped: {self.skipped}"] if self.skipped.total else [])])


class Images:
    """The images of a database.

    Parameters
    ----------
    database : Database
        With a migrated schema.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: Iterable[NewImage], *, keep_duplicates: bool = True, limits: DecodeLimits = LOCAL) -> AddSummary:
        """Insert a stream of images; what is there already stays.

        Another image under its object_id, or another frame of the same image, is a reject.

        Rows are committed in chunks: an interrupted call leaves whole chunks, and calling it again goes on.

        Parameters
        ----------
        new : iterable of NewImage
        keep_duplicates : bool
            False: an image (bytes, or a cutout's pixels) that is there under another object_id is a reject that names
            it. The stream is read once, so the first of two in it is added; `bulk.add_images` leaves both out.
        limits : DecodeLimits
            How long an image may take to decode, where pixels are compared.
        """
        if not keep_duplicates:
            fill_in_missing(self._database, CHUNK, limits)
        added = seen = 0
        rejects: list[ImageReject] = []
        for chunk in chunked(new, CHUNK):
            contents = [_content(image, None if keep_duplicates else limits) for image in chunk]
            with self._database.write() as connection:
                lock_table(connection, images)  # two who add at once would each count a row, or wait for each other
                same = {} if keep_duplicates else _twins(connection, chunk, contents)
                same |= _bad_ids(chunk)
                rows: dict[str, dict[str, object]] = {}
                for number, (image, content) in enumerate(zip(chunk, contents, strict=True)):
                    if number not in same:
                        rows.setdefault(image.object_id, _row(image, content))
                before = stored_frames(connection, rows)
                if rows:
                    connection.execute(insert_new(connection, images), list(rows.values()))
                stored = stored_contents(connection, rows)
            added += len(rows) - len(before)
            seen += len(chunk)
            for number, (image, content) in enumerate(zip(chunk, contents, strict=True)):
                there, uri = stored.get(image.object_id, (_NOTHING, None))
                if number in same:
                    rejects.append(same[number])
                elif there.sha256 is not None and not there.equals(content):
                    rejects.append(_same_id(image, uri))
                elif image.object_id in before and is_other_frame(image.img, image.frame_px, before[image.object_id]):
                    rejects.append(_other_frame(image, before[image.object_id]))
        return AddSummary(added, seen - added - len(rejects), tuple(rejects))

    def known(self, object_ids: Collection[str]) -> set[str]:
        """Return which of a few thousand object ids have an image."""
        with self._database.read() as connection:
            return _known(connection, object_ids)

    def place(self, positions: Iterable[tuple[str, float, float]]) -> None:
        """Set ra and dec (deg, J2000) by object_id where an image has no position yet."""
        in_order = sorted(positions)  # two who write the same rows in different orders would wait for each other
        rows = [{"key": object_id, "new_ra": ra, "new_dec": dec} for object_id, ra, dec in in_order]
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
        """Return a page of images by object_id."""
        key = images.c.object_id
        query = select(*_ABOUT).where(key > after).order_by(key).limit(limit)
        with self._database.read() as connection:
            return [StoredImage(*row) for row in connection.execute(query)]

    def cone_search(self, ra: float, dec: float, radius_arcsec: float, *, limit: int = 20) -> Sequence[StoredImage]:
        """Return the images within a radius of a position (deg, J2000), nearest first.

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
        """Return the bytes of an image, or None if there is none."""
        with self._database.read() as connection:
            value = connection.scalar(select(images.c.img).where(images.c.object_id == object_id))
        return bytes(value) if value is not None else None

    def get_with_sha256(self, object_id: str) -> tuple[bytes, str] | None:
        """Return the bytes of an image and their hash, or None if there is none."""
        query = select(images.c.img, images.c.sha256).where(images.c.object_id == object_id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.img is None:
            return None
        img = bytes(row.img)
        return img, row.sha256 or sha256_of(img)


def _content(image: NewImage, limits: DecodeLimits | None) -> Content:
    """Hash an image; its pixels only where limits are given and nobody has tried."""
    pixels = image.pixels_sha256
    if pixels is None and limits is not None:
        pixels = pixels_sha256_of(image.img, image.frame_px, limits)
    return Content(sha256_of(image.img), pixels)


def _row(image: NewImage, content: Content) -> dict[str, object]:
    stored = {name: value for name, value in vars(image).items() if name != "file"}
    return stored | content._asdict() | {"added_at": now()}


def _known(connection: Connection, object_ids: Iterable[str]) -> set[str]:
    return set(connection.scalars(select(_C.object_id).where(_C.object_id.in_(list(object_ids)))))


def _bad_ids(chunk: Sequence[NewImage]) -> dict[int, ImageReject]:
    """Return the rejects of images whose object id HTTP would refuse, by index."""
    faults = {number: fault for number, image in enumerate(chunk) if (fault := fault_of_id(image.object_id))}
    return {
        number: ImageReject(chunk[number].file or chunk[number].object_id, BAD_ID, f"not an object id: {fault}")
        for number, fault in faults.items()
    }


def _twins(connection: Connection, chunk: Sequence[NewImage], contents: Sequence[Content]) -> dict[int, ImageReject]:
    """Return a reject for each image whose pixels are stored, or comes earlier in the chunk, under another id."""
    ids, names = [image.object_id for image in chunk], [image.file or image.uri for image in chunk]
    rejects = {}
    for number, (object_id, uri) in twins(connection, ids, names, contents).items():
        reason = f"the same image as {object_id}{f' ({uri})' if uri else ''}"
        rejects[number] = ImageReject(names[number] or ids[number], "duplicate_image", reason)
    return rejects


def _same_id(image: NewImage, uri: str | None) -> ImageReject:
    file = image.file or image.uri or image.object_id
    stored = f", from {uri}" if uri else ""
    return ImageReject(file, "same_id_other_image", f"object_id {image.object_id} has a different image{stored}")


def _other_frame(image: NewImage, stored_px: int | None) -> ImageReject:
    frame = "as a full frame" if stored_px is None else f"with frame_px {stored_px}"
    reason = f"object_id {image.object_id} is stored {frame}, not {image.frame_px}"
    return ImageReject(image.file or image.uri or image.object_id, "same_id_other_frame", reason)
