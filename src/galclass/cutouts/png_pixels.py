"""The pixels of a PNG: rows unpacked in bounded time, palettes, depths and transparency as 8-bit RGB.

Takes a `Png` whose chunks were read and checked, returns uint8 (height, width, 3).
"""

from __future__ import annotations

import math
import time
import zlib
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from galclass.cutouts.png import GREY, GREY_ALPHA, PALETTE, RGB, Png, parse
from galclass.errors import CutoutError

if TYPE_CHECKING:
    from PIL import Image

INFLATE_SHARE = 0.5
"""Share of the allowed time that inflating may take by the clock of the thread: how long a deflated byte takes, its
length does not say (a block of 12 bytes that stands for 12 takes ten times as long as others)."""

_INPUT, _STORED = 1 << 14, (1 << 16) - 1
"""Bytes that are inflated at a time, and the most that a block without compression holds."""
_DARK = 16
"""High bytes below this may belong to samples of 12 bits or fewer."""


def decode_png(data: bytes, reduction: int = 1, allowed_s: float = math.inf) -> NDArray[np.uint8]:
    """Decode a PNG to RGB, alpha laid over black.

    Parameters
    ----------
    data : bytes
        A whole PNG file.
    reduction : int
        Pixels along each side that are averaged to one.
    allowed_s : float
        Processor seconds that its decode may take.

    Returns
    -------
    uint8, (ceil(height / reduction), ceil(width / reduction), 3), 0..255

    Raises
    ------
    CutoutError
        truncated, corrupt or too_costly.
    """
    png = parse(data, checked=True)
    png.data = [_inflated(png, allowed_s * INFLATE_SHARE)]
    if png.colour == RGB and png.depth == 8 and not png.transparency:
        image = _image(png, "RGB", "RGB")
        return np.asarray(image.reduce(reduction) if reduction > 1 else image)
    return block_means(_pixels(png), reduction)


def _pixels(png: Png) -> NDArray[np.uint8]:
    if png.depth <= 8 and png.colour in (GREY, PALETTE):
        return _looked_up(png)
    if png.depth == 16:
        return _from_16_bits(png)
    if png.colour == RGB:
        rgb = _unpacked(png, "RGB", "RGB")
        if len(png.transparency) >= 6:
            clear = tuple((_clear_colour(png) & 255).tolist())
            rgb[cv2.inRange(rgb, clear, clear) > 0] = 0
        return rgb
    if png.colour == GREY_ALPHA:
        both = _unpacked(png, "LA", "LA")
        return over_black(_repeated(both[..., 0].copy()), both[..., 1])
    both = _unpacked(png, "RGBA", "RGBA")
    return over_black(_without_alpha(both), both[..., 3])


def block_means(pixels: NDArray[np.uint8], reduction: int) -> NDArray[np.uint8]:
    """Average blocks, rounding half up; the last block of a row or column has the pixels that are left."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).reduce(reduction)) if reduction > 1 else pixels


def over_black(colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay pixels over black: colour times alpha / 255, rounded half up.

    Parameters
    ----------
    colours : uint8, (height, width, 3)
        Changed in place.
    alpha : uint8, (height, width)
        0 is transparent.
    """
    if alpha.min(initial=255) == 255:
        return colours
    for rows in np.array_split(np.arange(len(colours)), max(1, colours.size // (1 << 22))):
        part = slice(rows[0], rows[-1] + 1)
        colours[part] = (colours[part].astype(np.uint16) * alpha[part, :, np.newaxis] + 127) // 255
    return colours


def _looked_up(png: Png) -> NDArray[np.uint8]:
    """Decode grey or palette pixels of up to 8 bits: each value is looked up."""
    values = _unpacked(png, "P", "P" if png.depth == 8 else f"P;{png.depth}")
    if png.colour == GREY and not png.transparency:
        grey = values if png.depth == 8 else values * np.uint8(255 // (2**png.depth - 1))
        return _repeated(grey)
    table = np.zeros((256, 3), np.uint8)
    alpha = np.full(256, 255, np.uint8)
    if png.colour == GREY:
        top = 2**png.depth - 1
        table[: top + 1] = (np.arange(top + 1) * (255 // top))[:, np.newaxis]
        alpha[int.from_bytes(png.transparency[:2], "big") & top] = 0
    else:
        colours = np.frombuffer(png.palette[: len(png.palette) // 3 * 3][:768], np.uint8).reshape(-1, 3)
        if not len(colours):
            raise CutoutError("corrupt", "a PNG without its palette")
        table[: len(colours)] = colours
        alpha[: len(png.transparency)] = np.frombuffer(png.transparency[:256], np.uint8)
    table = over_black(table[np.newaxis], alpha[np.newaxis])
    return cast(NDArray[np.uint8], cv2.LUT(_repeated(values), table))


def _from_16_bits(png: Png) -> NDArray[np.uint8]:
    """Decode 16 bits a sample: the high byte, or the highest bits that a dark file of fewer bits uses."""
    if png.colour == GREY:
        values = _unpacked(png, "I;16", "I;16B")
        if len(png.transparency) >= 2:
            values = np.where(values == _clear_colour(png)[0], np.uint16(0), values)
        return _repeated(_shifted(values))
    if png.colour == GREY_ALPHA:
        both = _unpacked(png, "RGBA", "RGBA")  # high and low byte of grey, then of alpha
        grey = both[..., 0].astype(np.uint16) << 8 | both[..., 1]
        grey[both[..., 2] == 0] = 0
        return over_black(_repeated(_shifted(grey)), both[..., 2])
    return _colour_from_16_bits(png)


def _colour_from_16_bits(png: Png) -> NDArray[np.uint8]:
    """Decode the high bytes, and the low ones where a transparent colour or a dark image asks for them."""
    mode = "RGB" if png.colour == RGB else "RGBA"
    both = _unpacked(png, mode, mode + ";16B")
    high, alpha = (_without_alpha(both), both[..., 3]) if mode == "RGBA" else (both, None)
    low: NDArray[np.uint8] | None = None
    if mode == "RGB" and len(png.transparency) >= 6:
        low, clear = _unpacked(png, mode, mode + ";16L"), _clear_colour(png)
        alpha = np.where(((high == clear >> 8) & (low == (clear & 255))).all(axis=2), np.uint8(0), np.uint8(255))
    if alpha is not None:
        high[alpha == 0] = 0
    if high.max(initial=0) < _DARK:
        low = _unpacked(png, mode, mode + ";16L")[..., :3] if low is None else low
        wide = high.astype(np.uint16) << 8 | low
        if alpha is not None:
            wide[alpha == 0] = 0
        high = _shifted(wide.astype(np.uint16))
    return high if alpha is None else over_black(high, alpha)


def _shifted(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the highest 8 of the bits in use: of 8, 10 or 12 bits where no sample needs more, else of 16."""
    largest = int(values.max(initial=0))
    bits = next(bits for bits in (8, 10, 12, 16) if largest < 1 << bits)
    return (values >> (bits - 8)).astype(np.uint8)


def _clear_colour(png: Png) -> NDArray[np.uint16]:
    """Return the samples of the one transparent colour."""
    return np.frombuffer(png.transparency[: len(png.transparency) // 2 * 2][:6], ">u2").astype(np.uint16)


def _repeated(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cast(NDArray[np.uint8], cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))


def _without_alpha(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cast(NDArray[np.uint8], cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB))


def _inflated(png: Png, allowed_s: float) -> memoryview:
    """Inflate the pixels once, and pack them without compression, as Pillow's decoder takes them.

    So a stream is stopped where the rows end, and when it takes too long.
    """
    left, pieces, unpacker, begin = png.raw_bytes, [b"\x78\x01"], zlib.decompressobj(), time.thread_time()
    try:
        for part in png.data:
            for at in range(0, len(part), _INPUT):
                waiting: bytes | memoryview = part[at : at + _INPUT]
                while waiting and left > 0:
                    piece = unpacker.decompress(waiting, min(left, _STORED))
                    pieces += (
                        b"\0",
                        len(piece).to_bytes(2, "little"),
                        (~len(piece) & 0xFFFF).to_bytes(2, "little"),
                        piece,
                    )
                    left, waiting = left - len(piece), unpacker.unconsumed_tail
                if left and time.thread_time() - begin > allowed_s:
                    raise CutoutError(
                        "too_costly", "the PNG takes too long to unpack", expected=f"<= {allowed_s:.2f} s"
                    )
    except zlib.error as error:
        raise CutoutError("corrupt", "the PNG is damaged", got=str(error)) from error
    if left:
        raise CutoutError("truncated", "the PNG ends before its last pixel", got=f"{left} bytes are missing")
    return memoryview(b"".join(pieces))


def _unpacked(png: Png, mode: str, raw_mode: str) -> NDArray[Any]:
    return np.array(_image(png, mode, raw_mode))


def _image(png: Png, mode: str, raw_mode: str) -> Image.Image:
    """Undo the row filters with Pillow's decoder."""
    from PIL import Image

    size = png.width, png.height
    try:
        return Image.frombytes(mode, size, png.data[0], "zip", raw_mode, int(png.interlaced))
    except ValueError as error:
        raise CutoutError("corrupt", "the PNG is damaged", got=str(error)) from error
