"""The tiles of a compressed FITS image (.fits.fz), checked before a decompressor sees one.

A tile of a few bytes may claim gigabytes, and the decompressors believe what a tile says of its own size.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from math import ceil, prod

from galclass.cutouts.fits_layout import CARD, Hdu, integer
from galclass.errors import CutoutError

MAX_TILES = 20_000
"""Most tiles of an image; one row each is usual, a survey's largest images have 16,000 rows."""
BOUNDED = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "NOCOMPRESS")
"""Methods whose decompressors stop at the end of their input, or at the guard behind it."""
METHODS = (*BOUNDED, "HCOMPRESS_1", "PLIO_1")
GUARD = b"\xff" * 4096
"""Put behind the heap: the decompressor of RICE_1 looks for its end after each block, and stops at a set bit."""

_FORM = re.compile(r"(\d*)([LXBIJKAEDCMPQ])(.*)", re.DOTALL)
_WIDTHS = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "P": 8, "M": 16, "Q": 16}
_HCOMPRESS = b"\xdd\x99"
_MAX_VALUE_BYTES = 8


def check_tiles(hdu: Hdu, data: bytes, *, trusted: bool) -> None:
    """Check that every tile lies in the file and unpacks to no more than its pixels.

    Parameters
    ----------
    hdu : Hdu
        A compressed image.
    data : bytes
        Its data: the table, then the heap.
    trusted : bool
        Whether methods are read whose decompressors believe their input.

    Raises
    ------
    CutoutError
        unsupported, corrupt or too_costly; names the HDU.
    """
    method = str(hdu.cards.get("ZCMPTYPE", "")).strip()
    if method not in METHODS:
        raise CutoutError("unsupported", f"{hdu.label} is compressed in an unsupported way", got=repr(method[:40]))
    if not trusted and method not in BOUNDED:
        raise CutoutError(
            "unsupported", f"{hdu.label} is compressed with {method}: send RICE_1 or GZIP_2, or no compression"
        )
    _check_settings(hdu)
    shape = hdu.shape
    tile = tuple(_tile_side(hdu, axis, len(shape), side) for axis, side in enumerate(shape))
    tiles = prod(ceil(side / part) for side, part in zip(shape, tile, strict=True))
    if tiles > MAX_TILES:
        raise CutoutError("too_costly", f"{hdu.label} has too many tiles", expected=f"<= {MAX_TILES}", got=tiles)
    if integer(hdu.cards, "NAXIS2") != tiles:
        raise _corrupt(hdu, f"{tiles} tiles and a table of {integer(hdu.cards, 'NAXIS2')} rows")
    most = prod(tile) * _MAX_VALUE_BYTES
    unpacked = 0
    for column, content in _tiles(hdu, data):
        if column == "GZIP_COMPRESSED_DATA" or method.startswith("GZIP"):
            unpacked += _unpacked_bytes(hdu, content, most)
        elif column == "COMPRESSED_DATA" and method == "HCOMPRESS_1":
            _check_hcompress(hdu, content, prod(tile))
    if unpacked > prod(shape) * _MAX_VALUE_BYTES:
        raise _corrupt(hdu, "its tiles hold more than its pixels")


def _check_settings(hdu: Hdu) -> None:
    """Check the settings of RICE_1, which its decompressor believes."""
    for number in range(1, 100):
        name = str(hdu.cards.get(f"ZNAME{number}", "")).strip().upper()
        allowed = {"BLOCKSIZE": (16, 32), "BYTEPIX": (1, 2, 4, 8)}.get(name)
        if allowed and hdu.cards.get(f"ZVAL{number}") not in allowed:
            raise _corrupt(hdu, f"its {name} is none of {', '.join(map(str, allowed))}")


def with_guard(hdu: Hdu, data: bytes) -> tuple[bytes, bytes]:
    """Return the cards and the data of a compressed image with the guard behind its heap."""
    size = integer(hdu.cards, "PCOUNT") + len(GUARD)
    card = f"PCOUNT  = {size:>20}".encode().ljust(CARD)
    lines = (card if line.startswith(b"PCOUNT  =") else line for line in hdu.lines)
    return b"".join(lines), data + GUARD


def _tile_side(hdu: Hdu, axis: int, axes: int, side: int) -> int:
    """Return the side of a tile along an axis of numpy's; without ZTILE a tile is a row."""
    number = axes - axis
    length = integer(hdu.cards, f"ZTILE{number}", side if number == 1 else 1)
    if length < 1:
        raise _corrupt(hdu, f"tiles of {length} pixels")
    return min(length, max(side, 1))


def _tiles(hdu: Hdu, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the content of each tile in the heap, with its column."""
    width, rows = integer(hdu.cards, "NAXIS1"), integer(hdu.cards, "NAXIS2")
    heap = integer(hdu.cards, "THEAP", width * rows)
    for name, kind, unit, offset in _columns(hdu, width):
        step = 8 if kind == "P" else 16
        for row in range(rows):
            at = row * width + offset
            length = int.from_bytes(data[at : at + step // 2], "big")
            start = heap + int.from_bytes(data[at + step // 2 : at + step], "big")
            if start + length * unit > len(data):
                raise _corrupt(hdu, f"tile {row} lies outside the file")
            if length:
                yield name, data[start : start + length * unit]


def _columns(hdu: Hdu, width: int) -> list[tuple[str, str, int, int]]:
    """Return name, P or Q, bytes of an element and offset in the row of the columns of tiles."""
    found, offset = [], 0
    for number in range(1, integer(hdu.cards, "TFIELDS") + 1):
        form = _FORM.fullmatch(str(hdu.cards.get(f"TFORM{number}", "")).strip())
        if not form:
            raise _corrupt(hdu, f"TFORM{number} is none")
        repeat = int(form[1] or 1)
        if form[2] in "PQ":
            unit = _WIDTHS.get(form[3][:1], 0)
            if not unit or repeat > 1:
                raise _corrupt(hdu, f"TFORM{number} is none of tiles")
            found.append((str(hdu.cards.get(f"TTYPE{number}", "")).strip().upper(), form[2], unit, offset))
        offset += -(-repeat // 8) if form[2] == "X" else repeat * _WIDTHS[form[2]]
    if offset != width or not any(name == "COMPRESSED_DATA" for name, *_ in found):
        raise _corrupt(hdu, "its table is not one of tiles")
    return found


def _unpacked_bytes(hdu: Hdu, content: bytes, most: int) -> int:
    unzip = zlib.decompressobj(31)
    try:
        size = len(unzip.decompress(content, most + 1))
    except zlib.error as error:
        raise _corrupt(hdu, f"a tile is not gzip data ({error})") from error
    if size > most or not unzip.eof or unzip.unused_data.startswith(b"\x1f\x8b"):
        raise _corrupt(hdu, "a tile does not unpack to its pixels")
    return size


def _check_hcompress(hdu: Hdu, content: bytes, pixels: int) -> None:
    sides = int.from_bytes(content[2:6], "big"), int.from_bytes(content[6:10], "big")
    if not content.startswith(_HCOMPRESS) or prod(sides) > pixels:
        raise _corrupt(hdu, "a tile's size differs from the header's")


def _corrupt(hdu: Hdu, what: str) -> CutoutError:
    return CutoutError("corrupt", f"{hdu.label} of the FITS file is damaged: {what}")
