"""A BMP, read whole: its header, and its rows as 8-bit RGB.

Takes bytes, returns a `Header` or pixels. Every header from OS/2 1 to V5 is read, with palettes of 1 to 8 bits and with
16, 24 and 32 bits under any masks. Run lengths are refused: no survey writes them, and a kilobyte of them can stand for
a million pixels.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from galclass.cutouts.facts import Header
from galclass.cutouts.limits import check_size
from galclass.cutouts.png_pixels import over_black
from galclass.errors import CutoutError

PIXEL_S, MASKED_PIXEL_S = 20e-9, 50e-9
"""Seconds for one pixel: of bytes and palettes; under masks."""

_CORE = 12
_HEADERS = frozenset({_CORE, *range(16, 65, 4), 108, 124})
_PLAIN, _RUNS_8, _RUNS_4, _MASKS, _ALPHA_MASKS = 0, 1, 2, 3, 6
_NAMES = {_RUNS_8: "run-length", _RUNS_4: "run-length", 4: "JPEG inside", 5: "PNG inside"}
_USUAL_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}


class Bmp(NamedTuple):
    """What the header of a BMP says.

    Attributes
    ----------
    width, height, bits : int
    downwards : bool
        Whether the first row is the top one.
    masks : tuple of int
        Red, green, blue and alpha, of 16 and 32 bits per pixel.
    palette : uint8, (n, 3)
        Red, green, blue.
    start : int
        Where the rows begin.
    """

    width: int
    height: int
    bits: int
    downwards: bool
    masks: tuple[int, int, int, int]
    palette: NDArray[np.uint8]
    start: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, filled up to four."""
        return (self.width * self.bits + 31) // 32 * 4


def read_bmp(data: bytes) -> Header:
    """Read size and decode work of a BMP.

    Raises
    ------
    CutoutError
        With code truncated, corrupt or unsupported.
    """
    bmp = parse(data)
    masked = any(mask >> (mask & -mask).bit_length() - 1 != 255 for mask in bmp.masks if mask)
    work = bmp.width * bmp.height * (MASKED_PIXEL_S if masked else PIXEL_S)
    return Header("bmp", bmp.width, bmp.height, decode_s=work)


def parse(data: bytes) -> Bmp:
    """Read the header, the masks and the palette."""
    if len(data) < 26:
        raise CutoutError("truncated", "the BMP ends before its header", got=f"{len(data)} bytes")
    size = _number(data, 14, 4)
    if size not in _HEADERS:
        raise CutoutError("unsupported", "a BMP with an unknown header", got=f"{size} bytes")
    if len(data) < 14 + size:
        raise CutoutError("truncated", "the BMP ends before its header", got=f"{len(data)} bytes")
    if size == _CORE:
        width, height, bits, packing, entry, colours = *(_number(data, at, 2) for at in (18, 20, 24)), _PLAIN, 3, 0
    else:
        width, height = _number(data, 18, 4, signed=True), _number(data, 22, 4, signed=True)
        bits, entry = _number(data, 28, 2), 4
        packing = _number(data, 30, 4) if size >= 20 else _PLAIN
        colours = _number(data, 46, 4) if size >= 36 else 0
    check_size(width, abs(height))
    if packing not in (_PLAIN, _MASKS, _ALPHA_MASKS) or (packing == _MASKS and size == 64):
        name = _NAMES.get(packing, f"kind {packing}")
        raise CutoutError(
            "unsupported", "a compressed BMP is not supported", got=name, advice="save it uncompressed, or as PNG"
        )
    if bits not in (1, 2, 4, 8, 16, 24, 32) or (packing != _PLAIN and bits <= 8):
        raise CutoutError("corrupt", "an invalid BMP header", got=f"{bits} bits per pixel")
    after, masks = 14 + size, _USUAL_MASKS.get(bits, (0, 0, 0, 0))
    if packing != _PLAIN:
        count = 4 if packing == _ALPHA_MASKS or size >= 56 else 3
        masks = tuple(_number(data, 54 + 4 * k, 4) if k < count else 0 for k in range(4))  # type: ignore[assignment]
        after = max(after, 54 + 4 * count)
        if bits == 24 and masks[:3] != _USUAL_MASKS[32][:3]:
            raise CutoutError("unsupported", "a 24-bit BMP with unusual masks is not supported")
    palette = np.zeros((0, 3), np.uint8)
    in_palette = min(colours or 1 << bits, 1 << bits) if bits <= 8 else 0
    start = _number(data, 10, 4)
    if start == 0 or (bits <= 8 and start == after):  # some writers leave it, or the palette, to the reader
        start = after + ((colours or 1 << bits) * entry if bits <= 8 else 0)
    if start < after:
        raise CutoutError("corrupt", "a BMP whose rows begin inside its header", expected=f">= {after}", got=start)
    if bits <= 8 and start < after + entry:
        what = "a BMP whose rows begin inside its palette's first colour"
        raise CutoutError("corrupt", what, expected=f"{after} or >= {after + entry}", got=start)
    if bits <= 8:
        most = min(in_palette, (start - after) // entry)
        table = data[after : after + most * entry]
        palette = np.frombuffer(table[: len(table) // entry * entry], np.uint8).reshape(-1, entry)[:, 2::-1]
    return Bmp(width, abs(height), bits, height < 0, masks, palette, start)


def decode_bmp(data: bytes) -> NDArray[np.uint8]:
    """Read the rows of a BMP as RGB, alpha laid over black; an alpha of zeros throughout is none.

    Returns
    -------
    uint8, (height, width, 3), 0..255

    Raises
    ------
    CutoutError
        truncated or unsupported.
    """
    bmp = parse(data)
    size = bmp.row_bytes * bmp.height
    need = bmp.start + size - bmp.row_bytes + (bmp.width * bmp.bits + 7) // 8
    if len(data) < need:
        raise CutoutError("truncated", "the BMP ends before its last pixel", expected=f"{need} bytes", got=len(data))
    if len(data) < bmp.start + size:  # what fills up the last row is missing
        data = data.ljust(bmp.start + size, b"\0")
    rows = np.frombuffer(data, np.uint8, bmp.row_bytes * bmp.height, bmp.start).reshape(bmp.height, bmp.row_bytes)
    rows = rows if bmp.downwards else rows[::-1]
    if bmp.bits <= 8:
        return _looked_up(bmp, rows)
    if bmp.bits == 24:
        return np.ascontiguousarray(rows[:, : 3 * bmp.width].reshape(bmp.height, bmp.width, 3)[..., ::-1])
    words = np.ascontiguousarray(rows).view("<u2" if bmp.bits == 16 else "<u4")[:, : bmp.width]
    colours = np.empty((bmp.height, bmp.width, 3), np.uint8)
    for channel in range(3):
        colours[..., channel] = _masked(words, bmp.masks[channel])
    if bmp.masks[3]:
        alpha = _masked(words, bmp.masks[3])
        return over_black(colours, alpha) if alpha.any() else colours
    return colours


def _looked_up(bmp: Bmp, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shifts = np.arange(8 - bmp.bits, -1, -bmp.bits, dtype=np.uint8)
    values = rows
    if bmp.bits < 8:
        values = (rows[..., np.newaxis] >> shifts & np.uint8((1 << bmp.bits) - 1)).reshape(bmp.height, -1)
    table = np.zeros((256, 3), np.uint8)
    table[: len(bmp.palette)] = bmp.palette
    grey = np.ascontiguousarray(values[:, : bmp.width])
    return cast(NDArray[np.uint8], cv2.LUT(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), table[np.newaxis]))


def _masked(words: NDArray[np.uint32], mask: int) -> NDArray[np.uint8]:
    """Return the bits under a mask, scaled to 0..255 and rounded half up."""
    if mask == 0:
        return np.zeros(words.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    top = mask >> shift
    if top & (top + 1):
        raise CutoutError("unsupported", "a BMP mask with gaps is not supported", got=f"{mask:#x}")
    values = words & words.dtype.type(mask & (1 << 8 * words.dtype.itemsize) - 1)
    values >>= shift
    if top == 255:
        return values.astype(np.uint8)
    if top < 1 << 16:
        levels: NDArray[np.uint8] = ((np.arange(top + 1) * 510 + top) // (2 * top)).astype(np.uint8)
        return np.take(levels, values)
    return ((values.astype(np.uint64) * 510 + top) // (2 * top)).astype(np.uint8)


def _number(data: bytes, at: int, size: int, *, signed: bool = False) -> int:
    return int.from_bytes(data[at : at + size], "little", signed=signed)
