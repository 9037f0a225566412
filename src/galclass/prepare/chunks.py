"""The work on one chunk of files: a pure function of their bytes and the parameters, and the file access round it.

Takes keys and bytes, returns stored cutouts and rejects; `fill_chunk` reads the files and writes the
cutouts in their slots of a pixel file. Needs neither tables nor a catalog, so that a worker is small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galclass.cutouts.extract import CutoutParameters, flagged_stored_cutout
from galclass.cutouts.headers import MAX_BYTES, read_header
from galclass.cutouts.limits import LOCAL, DecodeLimits
from galclass.errors import CutoutError
from galclass.image_files import ImageFile, ZipLocation, list_images, read_image
from galclass.image_files.reading import READ_ERRORS


@dataclass(frozen=True, slots=True)
class Reject:
    """A file that yielded no cutout: its key, the code of the reason, and the reason in words."""

    key: str
    code: str
    reason: str


FLAG = "flag"
"""The code of what `fill_chunk` notes of a file that did give a cutout; the reason is then the flag."""


@dataclass(frozen=True)
class Chunk:
    """Files that go to neighbouring rows of a pixel file.

    Attributes
    ----------
    first : int
        Slot of the first file.
    images : str
        The folder or zip that holds the files.
    names : tuple of str
        The files, named inside `images`.
    frame_px, stored_px : int or None
        Sides of the survey's frame and of the files, in px of the files.
    locations : tuple of ZipLocation, optional
        Where each file lies in a zip; left out, they are found by name.
    max_decode_s : float
        Longest decode of a file by its header.
    hdu : str or None
        Of FITS files.
    """

    first: int
    images: str
    names: tuple[str, ...]
    frame_px: int | None = None
    stored_px: int | None = None
    locations: tuple[ZipLocation, ...] | None = None
    max_decode_s: float = LOCAL.max_decode_s
    hdu: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the chunk as plain values."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Chunk:
        """Build a chunk from plain values."""
        locations = values["locations"]
        found = None if locations is None else tuple(ZipLocation(*location) for location in locations)
        return cls(**{**values, "names": tuple(values["names"]), "locations": found})

    def part(self, start: int, stop: int) -> Chunk:
        """Return the files from `start` up to `stop` (excluded) as a chunk of their own."""
        locations = None if self.locations is None else self.locations[start:stop]
        return replace(self, first=self.first + start, names=self.names[start:stop], locations=locations)


def cutouts_of_chunk(
    items: Sequence[tuple[str, bytes]],
    parameters: CutoutParameters,
    *,
    frame_px: int | None = None,
    stored_px: int | None = None,
    limits: DecodeLimits = LOCAL,
) -> tuple[NDArray[np.uint8], list[Reject]]:
    """Make the stored cutouts of a chunk of files: a pure function, the same on every machine.

    Parameters
    ----------
    items : sequence of (key, bytes)
    parameters : CutoutParameters
    frame_px : int, optional
        As for `cutout`.
    stored_px : int, optional
        Where given, a file of another size than this or the full frame is rejected.
    limits : DecodeLimits
        How long a file may take to decode.

    Returns
    -------
    cutouts : uint8, (len(items), store_side_px, store_side_px, 3)
        Zeros where the file is rejected.
    rejects : list of Reject
        One for each file that yielded no cutout, in the order of `items`.
    """
    cutouts, notes = _cut(items, parameters, frame_px, stored_px, limits)
    return cutouts, [note for note in notes if note.code != FLAG]


def _cut(
    items: Sequence[tuple[str, bytes]],
    parameters: CutoutParameters,
    frame_px: int | None,
    stored_px: int | None,
    limits: DecodeLimits,
) -> tuple[NDArray[np.uint8], list[Reject]]:
    """Make stored cutouts; rejects and flags in the order of the files."""
    side = parameters.store_side_px
    cutouts = np.zeros((len(items), side, side, 3), np.uint8)
    notes = []
    for slot, (key, data) in enumerate(items):
        try:
            if stored_px is not None:
                _check_stored_size(data, stored_px, frame_px, limits)
            made = flagged_stored_cutout(data, parameters, frame_px=frame_px, limits=limits)
        except CutoutError as error:
            notes.append(Reject(key, error.code, str(error)))
        else:
            cutouts[slot] = made.pixels
            notes += [Reject(key, FLAG, flag) for flag in made.flags]
    return cutouts, notes


def fill_chunk(
    path: Path, chunk: Chunk, parameters: CutoutParameters, items: Sequence[tuple[str, bytes]] | None = None
) -> tuple[list[str | None], list[Reject]]:
    """Read the files of a chunk, make their cutouts and write them to their rows of a pixel file.

    Parameters
    ----------
    path : Path
        The pixel file; cutout k lies at byte k * 3 * store_side_px**2.
    chunk : Chunk
    parameters : CutoutParameters
    items : sequence of (name, bytes), optional
        The files, where they have been read already (from a tar, which has no random access).

    Returns
    -------
    sha256s : list of str or None
        Of the bytes of each file; None where it cannot be read.
    rejects : list of Reject
        With code unreadable besides those of `CutoutError`, and with code `FLAG` what is to be noted of good files.
    """
    unreadable: dict[str, Reject] = {}
    if items is None:
        items = list(_read_files(chunk, unreadable))
    limits = LOCAL.with_seconds(chunk.max_decode_s).with_hdu(chunk.hdu)
    cutouts, rejects = _cut(items, parameters, chunk.frame_px, chunk.stored_px, limits)
    with path.open("r+b") as pixels:
        pixels.seek(chunk.first * 3 * parameters.store_side_px**2)
        pixels.write(cutouts.data.cast("B"))
    sha256s = [None if name in unreadable else hashlib.sha256(data).hexdigest() for name, data in items]
    return sha256s, [unreadable.get(reject.key, reject) for reject in rejects]


def _check_stored_size(data: bytes, stored_px: int, frame_px: int | None, limits: DecodeLimits) -> None:
    header = read_header(data, limits)
    if header.width != header.height or header.width not in (stored_px, frame_px):
        raise CutoutError(
            "wrong_size",
            "the file does not have the size its source declares",
            expected=f"{stored_px} x {stored_px} px",
            got=f"{header.width} x {header.height} px",
        )


def _read_files(chunk: Chunk, unreadable: dict[str, Reject]) -> Iterator[tuple[str, bytes]]:
    for index, name in enumerate(chunk.names):
        try:
            yield name, _read_file(chunk, index)
        except (*READ_ERRORS, KeyError) as error:
            unreadable[name] = Reject(name, "unreadable", f"the file cannot be read ({error})")
            yield name, b""


def _read_file(chunk: Chunk, at: int) -> bytes:
    """Read one file; one byte more than is allowed is enough to see that it is too large."""
    name, location = chunk.names[at], None
    if chunk.locations is not None:
        location = chunk.locations[at]
    elif Path(chunk.images).is_file():
        location = _locations(chunk.images)[name]
    return read_image(ImageFile(chunk.images, name, location), MAX_BYTES)


@lru_cache(maxsize=2)
def _locations(path: str) -> dict[str, ZipLocation]:
    return {entry.name: entry.location for entry in list_images(path) if entry.location is not None}
