"""FITS images -> 8-bit pixels: size and decode work, the pixels of the bands, and the stretch.

Takes the bytes of a .fits, .fits.gz or .fits.fz file; astropy (extra `astro`) reads the pixels of the one HDU that is
the image, with BSCALE, BZERO, BLANK and tile compression. North is up and east is left where the file has a WCS.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from io import BytesIO
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galclass.cutouts.facts import Header
from galclass.cutouts.fits_images import (
    FitsImage,
    find_image,
    long_axes,
    upright,
)
from galclass.cutouts.fits_layout import BLOCK, CARD, Hdu, read_layout, unpacked
from galclass.cutouts.fits_tiles import check_tiles, with_guard
from galclass.cutouts.limits import MAX_PIXELS, DecodeLimits, check_size
from galclass.cutouts.stretch import render_bands
from galclass.errors import CutoutError, ExtraError
from galclass.extras import require

OPEN_S = 0.02
"""Processor seconds for opening a file, at most."""
VALUE_S = 2.2e-7
"""Processor seconds for reading and drawing one value of one band, at most."""
TILED_VALUE_S = 4e-7
"""The same of a compressed image."""


def read_fits(data: bytes, limits: DecodeLimits) -> Header:
    """Read size and decode work of a FITS image, and hold it to the limits.

    Raises
    ------
    CutoutError
        not_an_image, unsupported, truncated, corrupt, too_large, too_small or too_costly; what is wrong names the HDU.
    """
    _require_astropy()
    content = unpacked(data, limits)
    image = find_image(read_layout(content), limits.hdu)
    _check_image(image, len(content))
    values = sum(prod(hdu.shape) * (TILED_VALUE_S if hdu.compressed else VALUE_S) for hdu in image.hdus)
    width, height = image.size
    return Header("fits", width, height, decode_s=OPEN_S + values)


def decode_fits(data: bytes, limits: DecodeLimits) -> NDArray[np.uint8]:
    """Render the image in a FITS file: 8-bit integers unchanged, everything else with `render_bands`.

    Returns
    -------
    uint8, (y, x, 3), 0..255
        Row 0 is the top: north where the file says where that is, else the last row of the file.

    Raises
    ------
    CutoutError
        As `read_fits`, and no_content.
    """
    content = unpacked(data, limits)
    image = find_image(read_layout(content), limits.hdu)
    _check_image(image, len(content))
    arrays = {hdu.number: _pixels(content, hdu, limits.trusted) for hdu in image.hdus}
    bands = _bands(image, arrays)
    if all(hdu.bitpix == 8 and not {"BSCALE", "BZERO"} & set(hdu.cards) for hdu in image.hdus):
        drawn = np.stack([np.asarray(band, np.uint8) for band in (bands * 3)[:3]], axis=-1)
    else:
        try:
            drawn = render_bands(bands)
        except CutoutError as error:
            raise CutoutError(error.code, f"{image.where}: {error.what}") from error
    return upright(drawn, image.way)


def _check_image(image: FitsImage, length: int) -> None:
    check_size(image.width, image.height)
    for hdu in image.hdus:
        if prod(hdu.shape) > 4 * MAX_PIXELS:
            raise CutoutError("too_large", f"{hdu.label} is too large", expected=f"<= {4 * MAX_PIXELS} values")
    check_whole(image, length)


def check_whole(image: FitsImage, length: int) -> None:
    """Check that a file is long enough for all data of its image.

    Raises
    ------
    CutoutError
        truncated.
    """
    for hdu in image.hdus:
        if hdu.start + hdu.size > length:
            missing = hdu.start + hdu.size - length
            raise CutoutError("truncated", f"the FITS file ends {missing:,} bytes before the end of {hdu.label}")


def _pixels(content: bytes, hdu: Hdu, trusted: bool) -> NDArray[Any]:
    """Let astropy read one HDU: its cards that matter and its data, behind a primary header of our own."""
    from astropy.io import fits

    lines, data = b"".join(hdu.lines), content[hdu.start : hdu.start + hdu.size]
    if hdu.compressed:
        check_tiles(hdu, data, trusted=trusted)
        lines, data = with_guard(hdu, data)
    elif "XTENSION" not in hdu.cards:
        lines = b"XTENSION= 'IMAGE   '".ljust(CARD) + b"".join(hdu.lines[1:])
        if "PCOUNT" not in hdu.cards:
            lines += b"PCOUNT  =                    0".ljust(CARD) + b"GCOUNT  =                    1".ljust(CARD)
    header, data = _block(lines + b"END".ljust(CARD), b" "), _block(data, b"\0")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            with fits.open(BytesIO(_PRIMARY + header + data), memmap=False) as hdus:
                pixels = hdus[1].data
    except MemoryError:
        raise
    except Exception as error:  # astropy raises what its parts raise; the file is all that they were given
        raise CutoutError(
            "corrupt", f"{hdu.label} cannot be read: {str(error)[:200] or type(error).__name__}"
        ) from error
    if not isinstance(pixels, np.ndarray) or pixels.shape != hdu.shape or pixels.dtype.kind not in "iuf":
        raise CutoutError("corrupt", f"{hdu.label} does not match its header")
    return with_blanks(pixels, hdu)


def with_blanks(pixels: NDArray[Any], hdu: Hdu) -> NDArray[Any]:
    """Return integers with NaN where they are BLANK; astropy does this for those that become floats alone."""
    blank = hdu.cards.get("ZBLANK" if hdu.compressed else "BLANK")
    if pixels.dtype.kind not in "iu" or hdu.bitpix < 8 or not isinstance(blank, int) or isinstance(blank, bool):
        return pixels
    hidden = pixels == blank + (int(hdu.cards.get("BZERO", 0)) if pixels.dtype.kind == "u" else 0)
    return np.where(hidden, np.nan, pixels) if hidden.any() else pixels


def _bands(image: FitsImage, arrays: Mapping[int, NDArray[Any]]) -> list[NDArray[Any]]:
    bands: list[NDArray[Any]] = []
    for hdu, plane in image.parts:
        values = arrays[hdu.number].reshape(long_axes(hdu))
        bands += [values[..., at] for at in range(3)] if plane == -1 else [values if plane is None else values[plane]]
    return bands


def _block(text: bytes, fill: bytes) -> bytes:
    return text + fill * (-len(text) % BLOCK)


_PRIMARY = _block(
    b"SIMPLE  =                    T".ljust(CARD)
    + b"BITPIX  =                    8".ljust(CARD)
    + b"NAXIS   =                    0".ljust(CARD)
    + b"EXTEND  =                    T".ljust(CARD)
    + b"END".ljust(CARD),
    b" ",
)


def _require_astropy() -> None:
    try:
        require("astro", what="a FITS image", modules=("astropy",))
    except ExtraError as error:
        raise CutoutError("unsupported", str(error).rstrip(".")) from error
