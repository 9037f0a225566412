"""Which HDU of a FITS file is the picture, where the user names one."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from astropy.io import fits
from fits_builders import as_file, drawn

from galclass.cutouts import LOCAL, decode, read_header
from galclass.errors import CutoutError

BAND = drawn()[0].round().astype(np.int16)  # integers are compressed without loss
MASK = (BAND > 100).astype(np.int16)


def several(kind: type = fits.ImageHDU) -> bytes:
    """SCI, MASK, a second SCI that is turned round, and a table."""
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=[1, 2])], name="CAT")
    again = kind(BAND[::-1, ::-1].copy(), name="SCI")
    again.header["EXTVER"] = 2
    return as_file(fits.PrimaryHDU(), kind(BAND, name="SCI"), kind(MASK, name="MASK"), again, table)


def pixels(data: bytes, hdu: str | int | None) -> np.ndarray:
    limits = LOCAL.with_hdu(hdu)
    shown: np.ndarray = decode(data, 1, read_header(data, limits), limits).pixels
    return shown


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("kind", [fits.ImageHDU, fits.CompImageHDU])
def test_the_hdu_that_is_named_is_the_picture(kind: type, pack: type) -> None:
    data = pack(several(kind))
    usual = pixels(data, None)
    assert np.array_equal(pixels(data, "SCI"), usual)
    assert np.array_equal(pixels(data, "sci"), usual)
    assert np.array_equal(pixels(data, 1), usual)
    assert np.array_equal(pixels(data, "MASK"), pixels(data, "2"))
    assert not np.array_equal(pixels(data, "MASK"), usual)
    assert np.array_equal(pixels(data, "SCI,2"), pixels(data, 3))
    assert np.array_equal(pixels(data, 3)[::-1, ::-1], usual)


def test_a_name_of_digits_comes_before_a_number() -> None:
    data = as_file(fits.PrimaryHDU(BAND), fits.ImageHDU(MASK, name="0"))
    assert np.array_equal(pixels(data, "0"), pixels(data, 1))


@pytest.mark.parametrize(
    ("hdu", "words"),
    [
        ("ERR", r"no HDU 'ERR' \(expected one of 0, 1 SCI, 2 MASK, 3 SCI, 4 CAT\)"),
        (9, "no HDU '9'"),
        ("SCI,3", "no HDU 'SCI,3'"),
        ("CAT", r"HDU 4 \(CAT\) holds no image of two axes"),
        (0, "HDU 0 holds no image of two axes"),
        ("-1", "no HDU '-1'"),
    ],
)
def test_an_hdu_that_is_no_picture_is_named(hdu: str | int, words: str) -> None:
    with pytest.raises(CutoutError, match=words) as caught:
        pixels(several(), hdu)
    assert caught.value.code == "not_an_image"


def test_other_files_have_no_hdu() -> None:
    import cv2

    _, png = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    assert np.array_equal(pixels(png.tobytes(), "SCI"), pixels(png.tobytes(), None))
