"""The orientation of an image, wherever a file may say it: EXIF blocks, XMP text, and PNG's raw profiles.

Takes bytes of metadata, returns 1..8; damaged metadata count as none. The result is that of Pillow's `exif_transpose`.
"""

from __future__ import annotations

import re
import zlib
from typing import Literal

import numpy as np

EXIF_START = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112
_INTEGERS = {3: 2, 4: 4, 6: 1, 8: 2, 9: 4}
"""EXIF types of whole numbers -> bytes: SHORT, LONG, and the signed three; a BYTE is text to Pillow."""
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
MAX_TEXT_BYTES = 1024 * 1024
"""Most bytes that a compressed text with EXIF or XMP is unpacked to."""


def exif_orientation(block: bytes) -> int | None:
    """Return the orientation tag of the first directory of an EXIF block, or None if it has none or is damaged.

    Parameters
    ----------
    block : bytes
        A TIFF header with directories, with or without "Exif" before it.
    """
    tiff = block[6:] if block.startswith(EXIF_START) else block
    if tiff[:4] not in (b"II*\x00", b"MM\x00*") or len(tiff) < 8:
        return None
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    start = int.from_bytes(tiff[4:8], order)
    count = min(int.from_bytes(tiff[start : start + 2], order), (len(tiff) - start - 2) // 12)
    if count <= 0:
        return None
    tags = np.frombuffer(tiff, "<u2" if order == "little" else ">u2", 6 * count, start + 2)[::6]
    found: int | None = None
    for entry in np.flatnonzero(tags == _ORIENTATION_TAG)[-1:].tolist():  # of several tags the last one counts
        at = start + 2 + 12 * entry
        size = _INTEGERS.get(int.from_bytes(tiff[at + 2 : at + 4], order))
        if size is not None and int.from_bytes(tiff[at + 4 : at + 8], order) == 1:
            found = int.from_bytes(tiff[at + 8 : at + 8 + size], order)
    return found


def xmp_orientation(text: bytes) -> int | None:
    """Return the orientation that an XMP packet names, or None if it names none."""
    match = _XMP.search(text)
    return int(match[1]) if match else None


def orientation_of(exif: bytes, xmp: bytes) -> int:
    """Return the orientation, 1..8: EXIF first, then XMP; 1 where neither says one that exists."""
    found = exif_orientation(exif) if exif else None
    if found is None and xmp:
        found = xmp_orientation(xmp)
    return found if found is not None and 1 <= found <= 8 else 1


def raw_profile(text: bytes) -> bytes:
    """Return the bytes of a PNG text "Raw profile type exif": name, length, hexadecimal lines; empty if damaged."""
    try:
        return bytes.fromhex(text.split(b"\n", 3)[3].decode("ascii"))  # it passes over line breaks
    except (IndexError, ValueError):
        return b""


def inflated(data: bytes) -> bytes:
    """Unpack at most 1 MiB of a compressed text; empty if damaged."""
    try:
        return zlib.decompressobj().decompress(data, MAX_TEXT_BYTES)
    except zlib.error:
        return b""
