"""From what a notebook holds to the bytes of a file: arrays, PIL images, FITS HDUs and paths.

Takes any of them, returns bytes that `galclass.cutouts.decode` reads to the same pixels: every image goes one way.
"""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from galclass.cutouts.decode import decode
from galclass.cutouts.headers import read_header
from galclass.cutouts.limits import LOCAL, MAX_BYTES, MAX_PIXELS, MIN_SIDE_PX, DecodeLimits, check_size
from galclass.cutouts.stretch import render_bands
from galclass.errors import CutoutError

Image: TypeAlias = Any
"""Bytes of a file, a path, an array, a PIL image, or an HDU, HDU list or CCDData of astropy."""

ACCEPTED = "bytes, a path, an array, a PIL image or a FITS HDU"

_BMP_HEADER = 64
_WHITE = 255
_LOOKED_AT = 4096
_PICTURE_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16"}
_MIXED_MODES = {"CMYK", "YCbCr", "LAB", "HSV", "RGBX", "RGBa", "La"}


def is_image(value: object) -> bool:
    """Return whether a value is of a kind that `image_bytes` reads."""
    kinds = (bytes, bytearray, str, os.PathLike, np.ndarray)
    return isinstance(value, kinds) or _is_pillow(value) or _is_fits(value) or hasattr(value, "to_hdu")


def image_bytes(image: Image) -> bytes:
    """Return an image as the bytes of a file.

    Parameters
    ----------
    image : bytes, path, array, PIL image, HDU, HDU list or CCDData
        An array of uint8 is an image: (y, x) grey, (y, x, 3) red, green, blue, or (y, x, 4) with alpha, row 0 at the
        top, masked pixels black. Other numbers are fluxes as in FITS: (y, x), or three bands as (3, y, x) or (y, x, 3)
        in the order i, r, g (red, green, blue), row 0 at the bottom; NaN is no measurement. Images that became other
        numbers (k / 255, 256 k, 257 k; with the colours last anything in 0 to 255) are refused: they have
        been stretched.

    Raises
    ------
    CutoutError
        With a code, where it is no image.
    OSError
        If a path cannot be read.
    TypeError
        If it is something else.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, bytearray):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        with open(image, "rb") as file:
            return file.read(MAX_BYTES + 1)
    if isinstance(image, np.ndarray):
        return _of_array(image)
    if _is_pillow(image):
        return _of_pillow(image)
    if hasattr(image, "to_hdu"):
        image = image.to_hdu()
    if _is_fits(image):
        return _of_fits(image)
    raise TypeError(f"an image must be {ACCEPTED}, not {type(image).__name__}")


def _of_array(array: NDArray[Any]) -> bytes:
    values = _without_mask(array) if isinstance(array, np.ma.MaskedArray) else array
    if values.dtype == np.uint8:
        return _file_bytes(_colours(values))
    if values.dtype.kind not in "iuf":
        raise CutoutError(
            "unsupported", f"an array of {values.dtype} is not an image: pass uint8 (y, x, 3), or fluxes as float"
        )
    bands = _flux_bands(values)
    check_size(bands[0].shape[1], bands[0].shape[0])
    _check_not_drawn(values)
    return _file_bytes(render_bands(bands)[::-1])


def _without_mask(array: Any) -> NDArray[Any]:
    """Return a masked array with what is no measurement: NaN, or black in an image."""
    filled: NDArray[Any] = (
        np.ma.filled(array, 0) if array.dtype == np.uint8 else np.ma.filled(array.astype(np.float64), np.nan)
    )
    return filled


def _check_not_drawn(values: NDArray[Any]) -> None:
    """Refuse an 8-bit image in other numbers, which would be stretched once more.

    Raises
    ------
    CutoutError
        unsupported, with what to pass instead.
    """
    step = max(1, values.size // _LOOKED_AT)
    for some in (values.reshape(-1)[::step], values):  # a few values tell nearly all fluxes apart
        advice = _drawn_as(some, colours_last=values.ndim == 3 and values.shape[2] == 3)
        if advice is None:
            return
    raise CutoutError(
        "unsupported", f"an array of {values.dtype} with the levels of an 8-bit image does not hold fluxes: {advice}"
    )


def _drawn_as(values: NDArray[Any], *, colours_last: bool) -> str | None:
    """Return how to turn values into the 8-bit image that they are; None where they are none."""
    low, high = float(values.min()), float(values.max())
    if not (0 <= low < high):
        return None
    if values.dtype == np.uint16 and high > _WHITE and not (values % 257).any():
        return "pass (array // 257).astype(np.uint8)"
    if values.dtype == np.uint16 and high > _WHITE and not (values % 256).any():
        return "pass (array // 256).astype(np.uint8)"
    if values.dtype.kind == "f" and high <= 1:
        levels = values.astype(np.float64) * _WHITE
        near = np.abs(levels - np.rint(levels)).max() <= _WHITE * float(np.finfo(values.dtype).eps)
        if near and len(np.unique(np.rint(levels))) > 2:
            return "pass (array * 255).round().astype(np.uint8), or fluxes times 1000"
        return "pass (array * 255).round().astype(np.uint8), or fluxes as (3, y, x)" if colours_last else None
    if colours_last and high <= _WHITE:  # resized images have levels between those of 8 bits; fluxes go below 0
        return f"pass array.{'round().' if (values % 1).any() else ''}astype(np.uint8), or fluxes as (3, y, x)"
    return None


def _colours(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image as (y, x, 3)."""
    if values.ndim == 2:
        values = values[..., np.newaxis]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4):
        raise _wrong_shape(values, "(y, x), (y, x, 3) or (y, x, 4)")
    check_size(values.shape[1], values.shape[0])
    if values.shape[2] == 4:
        return ((values[..., :3].astype(np.uint16) * values[..., 3:] + 127) // 255).astype(np.uint8)
    return np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values


def _flux_bands(values: NDArray[Any]) -> list[NDArray[Any]]:
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 2:
        return [values]
    if values.ndim == 3 and values.shape[0] == 3:
        return list(values)
    if values.ndim == 3 and values.shape[2] == 3 and values.shape[0] >= MIN_SIDE_PX:
        return [values[..., band] for band in range(3)]
    raise _wrong_shape(values, "(y, x), (3, y, x) or (y, x, 3)")


def _wrong_shape(values: NDArray[Any], expected: str) -> CutoutError:
    return CutoutError(
        "unsupported",
        f"an array of shape {values.shape} and {values.dtype} is not an image: its shape must be {expected}",
    )


def _file_bytes(rgb: NDArray[np.uint8]) -> bytes:
    """Return an image as a BMP, which costs a copy; as a PNG where that would be larger than a file may be."""
    if rgb.nbytes + rgb.shape[0] * 3 + _BMP_HEADER > MAX_BYTES:
        return _encoded(".png", rgb, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return _encoded(".bmp", rgb, [])


def png_bytes(rgb: NDArray[np.uint8]) -> bytes:
    """Return an image, uint8 (y, x, 3), as a PNG."""
    return _encoded(".png", rgb, [cv2.IMWRITE_PNG_COMPRESSION, 6])


def drawn_once(data: bytes, limits: DecodeLimits = LOCAL) -> bytes:
    """Return the bytes to store of an image file: a PNG of a FITS image, which everything can show; others unchanged.

    Raises
    ------
    CutoutError
        As `read_header`; and as `decode` for a FITS image.
    """
    header = read_header(data, limits)
    return png_bytes(decode(data, 1, header, limits).pixels) if header.format == "fits" else data


def _encoded(suffix: str, rgb: NDArray[np.uint8], options: list[int]) -> bytes:
    return bytes(cv2.imencode(suffix, np.ascontiguousarray(rgb[..., ::-1]), options)[1])


def _is_pillow(value: object) -> bool:
    return any(f"{kind.__module__}.{kind.__name__}" == "PIL.Image.Image" for kind in type(value).__mro__)


def _of_pillow(image: Any) -> bytes:
    """Save an image without loss; as `decode` does with a file, its EXIF orientation counts, its profile does not."""
    from PIL import ImageOps

    if image.width * image.height > MAX_PIXELS:
        check_size(image.width, image.height)
    if image.mode not in _PICTURE_MODES | _MIXED_MODES:
        raise CutoutError(
            "unsupported", f"a PIL image of mode {image.mode} has no colours: pass its fluxes as an array of floats"
        )
    try:
        upright = ImageOps.exif_transpose(image)
        upright = upright.convert("RGB") if upright.mode in _MIXED_MODES else upright
        if upright.mode == "PA":
            upright = upright.convert("RGBA")
    except (OSError, SyntaxError, ValueError) as error:
        raise CutoutError("corrupt", f"the PIL image cannot be read: {error}") from error
    sink = BytesIO()
    upright.info = {key: value for key, value in upright.info.items() if key == "transparency"}
    upright.save(sink, "PNG", compress_level=1)
    return sink.getvalue()


def _is_fits(value: object) -> bool:
    return any(kind.__module__.startswith("astropy.io.fits.hdu.") for kind in type(value).__mro__)


def _of_fits(hdu: Any) -> bytes:
    from astropy.io import fits

    if isinstance(hdu, fits.HDUList):
        hdus = hdu
    elif isinstance(hdu, fits.PrimaryHDU):
        hdus = fits.HDUList([hdu])
    else:
        hdus = fits.HDUList([fits.PrimaryHDU(), hdu.copy() if hasattr(hdu, "copy") else hdu])
    sink = BytesIO()
    try:
        hdus.writeto(sink, output_verify="silentfix+ignore")
    except (OSError, ValueError, TypeError) as error:
        raise CutoutError("corrupt", f"the HDU cannot be read: {error}") from error
    return sink.getvalue()
