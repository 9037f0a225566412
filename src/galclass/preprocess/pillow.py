"""PNG and BMP bytes -> 8-bit RGB, and means of blocks: what `decode` leaves to Pillow."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from galclass.errors import CutoutError
from galclass.preprocess.headers import Header

_PILLOW_ERRORS = (
    OSError,
    SyntaxError,  # what Pillow raises for a broken PNG
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def decode(data: bytes, header: Header, reduction: int) -> NDArray[np.uint8]:
    """Decode a whole PNG or BMP file to RGB, then take means of blocks of `reduction` pixels a side.

    Raises
    ------
    CutoutError
        truncated or corrupt.
    """
    return block_means(np.asarray(_opened(data, header)), reduction)


def block_means(pixels: NDArray[np.uint8], reduction: int) -> NDArray[np.uint8]:
    """Average blocks, rounding half up; the last block of a row or column has the pixels that are left."""
    return np.asarray(Image.fromarray(pixels).reduce(reduction)) if reduction > 1 else pixels


def _opened(data: bytes, header: Header) -> Image.Image:
    try:
        with Image.open(BytesIO(data), formats=(header.format.upper(),)) as image:
            if image.size != (header.width, header.height):
                raise CutoutError(
                    "corrupt", "two sizes in one file", expected=(header.width, header.height), got=image.size
                )
            image.load()
            return _as_rgb(image)
    except _PILLOW_ERRORS as error:
        cut = "truncated" in str(error) or "Truncated" in str(error)
        code, what = (
            ("truncated", "the image ends before its last pixel") if cut else ("corrupt", "the image is damaged")
        )
        raise CutoutError(code, what, got=str(error) or type(error).__name__) from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey: the high byte
        grey: NDArray[Any] = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        alpha = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", alpha.size, (0, 0, 0, 255)), alpha).convert("RGB")
    return image.convert("RGB")
