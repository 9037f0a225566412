"""Image bytes -> 8-bit pixels at the right reduction.

Takes a whole JPEG, PNG, BMP or FITS file, returns a `Decoded`; raises `CutoutError` for anything else.
JPEG is decoded by libjpeg-turbo at 1/2, 1/4 or 1/8 of its size where fewer pixels are needed, so
that most of the inverse DCT is never computed; Pillow unpacks PNG, reads JPEG of unusual sampling and takes
block means.
"""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from galclass.cutouts.bmp import decode_bmp
from galclass.cutouts.facts import Header
from galclass.cutouts.headers import read_header
from galclass.cutouts.limits import LOCAL, DecodeLimits
from galclass.cutouts.png_pixels import block_means, decode_png
from galclass.errors import CutoutError

MAX_JPEG_REDUCTION = 8
"""The largest reduction that the inverse DCT of an 8 x 8 block gives; block means do the rest."""
END_MARKER = b"\xff\xd9"
"""Ends a JPEG; put behind the whole scans of one that was cut off."""
_BAND_BYTES = 1 << 18
"""Ink that is mixed at a time: what a processor's cache holds with its intermediate results."""
_UNUSUAL_SAMPLING = "subsampling"
"""In the complaint of the fast decoder about samplings that have no name, such as 4:1:0."""


class Decoded(NamedTuple):
    """Pixels of a file, as stored (the EXIF orientation is not applied yet).

    Attributes
    ----------
    pixels : uint8, (ceil(height / reduction), ceil(width / reduction), 3), 0..255
        Red, green, blue. Pixel k of a row covers the file's pixels [k * reduction, (k + 1) * reduction).
    header : Header
        Size, format and orientation of the file.
    reduction : int
        Source pixels per pixel along each side: 1, 2, 4, ...
    """

    pixels: NDArray[np.uint8]
    header: Header
    reduction: int


def decode(data: bytes, reduction: int = 1, header: Header | None = None, limits: DecodeLimits = LOCAL) -> Decoded:
    """Decode an image file to RGB at a reduced size.

    Parameters
    ----------
    data : bytes
        A whole JPEG, PNG, BMP or FITS file.
    reduction : int
        A power of two: how many of the file's pixels along each side make one pixel.
    header : Header, optional
        What `read_header` gave for the same bytes; read here where left out.
    limits : DecodeLimits
        How long the decode may take.

    Raises
    ------
    CutoutError
        With one of the codes of `read_header`, or truncated, corrupt or unsupported.

    Notes
    -----
    Grey is repeated in the three channels; CMYK is converted; a palette is looked up; alpha is laid over
    black; colour profiles are ignored. Of 16 bits the high byte is taken; where no sample needs more than 8,
    10 or 12 bits, the highest 8 of these. Fluxes of FITS are drawn by `galclass.cutouts.stretch`.
    """
    header = header or read_header(data, limits)
    if header.format == "png":
        pixels = decode_png(data, reduction, limits.seconds_for(len(data)))
    elif header.format == "fits":
        from galclass.cutouts.fits import decode_fits

        pixels = block_means(decode_fits(data, limits), reduction)
    elif header.format == "bmp":
        pixels = block_means(decode_bmp(data), reduction)
    else:
        pixels = _decode_jpeg(data, header, min(reduction, MAX_JPEG_REDUCTION))
        if reduction > MAX_JPEG_REDUCTION:
            pixels = block_means(pixels, reduction // MAX_JPEG_REDUCTION)
    return Decoded(pixels, header, reduction)


def _decode_jpeg(data: bytes, header: Header, reduction: int) -> NDArray[np.uint8]:
    """Decode a JPEG; of one that was cut off, as many scans as are whole."""
    if not header.ends:
        return _whole_jpeg(data, header, reduction)
    for end in header.ends:
        try:
            return _whole_jpeg(data[:end] + END_MARKER, header, reduction)
        except CutoutError as error:
            if error.code != "corrupt":
                raise
            fault = error
    raise CutoutError("truncated", "the JPEG ends before its first scan is complete", got=fault.got) from fault


def _whole_jpeg(data: bytes, header: Header, reduction: int) -> NDArray[np.uint8]:
    height, width = -(-header.height // reduction), -(-header.width // reduction)
    space = "CMYK" if header.components == 4 else "RGB"
    try:  # the smallest scale that reaches both sides is 1 / reduction itself
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, space, min_height=height, min_width=width)
    except ValueError as error:
        if _UNUSUAL_SAMPLING not in str(error):
            raise _jpeg_fault(str(error)) from error
        pixels = _pillow().decode_jpeg(data, header, reduction)
    if pixels.shape[:2] != (height, width):
        raise CutoutError(
            "unsupported", "the JPEG decoder returned another size", expected=(height, width), got=pixels.shape
        )
    return pixels if space == "RGB" else _cmyk_to_rgb(pixels, header.inverted)


def _cmyk_to_rgb(cmyk: NDArray[np.uint8], inverted: bool) -> NDArray[np.uint8]:
    """Reduce the ink on paper: each colour's paper share times that of black, as Pillow does."""
    rgb = np.empty((*cmyk.shape[:2], 3), np.uint8)
    for rows in range(0, len(cmyk), step := max(1, _BAND_BYTES // cmyk[0].size)):
        part = cmyk[rows : rows + step]
        paper = (part if inverted else 255 - part).astype(np.uint16)
        rgb[rows : rows + step] = (paper[..., :3] * paper[..., 3:] + 127) // 255
    return rgb


def _jpeg_fault(message: str) -> CutoutError:
    text = message.strip().rstrip(".")
    if "Premature end of JPEG file" in text:
        return CutoutError("truncated", "the JPEG ends before its last pixel", got=text)
    if "nsupported" in text or "not supported" in text or "Unknown" in text:
        return CutoutError("unsupported", "a type of JPEG that is not supported", got=text)
    return CutoutError("corrupt", "the JPEG is damaged", got=text)


def _pillow() -> ModuleType:
    """Import the part that needs Pillow; a back end or worker that sees only JPEGs starts without it."""
    from galclass.cutouts import pillow

    return pillow
