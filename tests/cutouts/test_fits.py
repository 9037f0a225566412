"""FITS images: the picture of a file, whatever its form, or a refusal that names the HDU."""

from __future__ import annotations

import gzip
import re
import time

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import sigma_clipped_stats
from astropy.visualization import make_lupton_rgb
from fits_builders import as_file, drawn, fluxes

from galclass.cutouts import SERVED, CutoutParameters, cutout, decode, image_bytes, read_header, render_bands
from galclass.cutouts.fits_layout import MAX_CARDS, MAX_HDUS
from galclass.cutouts.stretch import SDSS_WEIGHTS, measure
from galclass.errors import CutoutError

BANDS = drawn()
SHOWN = render_bands(BANDS)[::-1]


def refusal(data: bytes, limits=SERVED) -> CutoutError:
    with pytest.raises(CutoutError) as caught:
        decode(data, 1, None, limits)
    return caught.value


def pixels(data: bytes) -> np.ndarray:
    return decode(data, 1, None, SERVED).pixels


def header(**cards) -> fits.Header:
    return fits.Header(list(cards.items()))


def test_the_stretch_is_that_of_lupton_et_al_as_astropy_has_it() -> None:
    skies = [sigma_clipped_stats(band, sigma=3, maxiters=5, stdfunc="mad_std")[1] for band in BANDS]
    planes = [(band - sky) * weight for band, sky, weight in zip(BANDS, skies, SDSS_WEIGHTS, strict=True)]
    found = measure([plane.astype(np.float32) for plane in planes])
    q = 10 * np.sinh(np.arcsinh(found.white * found.softening) / 10)
    above = [np.maximum(plane, 0) for plane in planes]
    with np.errstate(all="ignore"):
        theirs = make_lupton_rgb(*above, minimum=0, stretch=q / found.softening, Q=q)
    assert np.abs(theirs.astype(int) - render_bands(BANDS).astype(int)).max() <= 3


def test_red_green_and_blue_are_the_bands_in_their_order_and_row_0_is_the_bottom() -> None:
    picture = pixels(as_file(BANDS)).astype(int)
    assert picture.shape == (64, 64, 3)
    assert picture[32, 32].argmax() == 0
    companion = picture[16, 48]
    assert companion.argmax() == 2
    assert picture[48, 48].max() < companion.max() / 2
    assert np.array_equal(picture, SHOWN)


@pytest.mark.parametrize("factor", [1e-30, 1.0, -1.0 + 3.5, 1e30])
def test_units_do_not_matter(factor: float) -> None:
    scaled = (BANDS.astype(np.float64) * factor).astype(">f8")
    assert np.abs(pixels(as_file(scaled)).astype(int) - SHOWN).max() <= 1


@pytest.mark.parametrize(
    "hdu",
    [
        fits.PrimaryHDU(BANDS.astype(">f8")),
        fits.PrimaryHDU(BANDS[np.newaxis]),
        fits.ImageHDU(BANDS, name="SCI"),
        fits.CompImageHDU(BANDS, compression_type="GZIP_2", quantize_level=0),
        fits.CompImageHDU(BANDS, compression_type="RICE_1", quantize_level=64),
    ],
    ids=["f8", "degenerate", "extension", "gzip2", "rice"],
)
def test_every_form_of_the_same_fluxes_is_the_same_picture(hdu) -> None:
    assert np.abs(pixels(as_file(hdu)).astype(int) - SHOWN).max() <= 4
    assert np.abs(pixels(gzip.compress(as_file(hdu))).astype(int) - SHOWN).max() <= 4


@pytest.mark.parametrize("kind", ["int16", "uint16", "int32", "int64"])
def test_integers_are_fluxes_with_their_scale(kind: str) -> None:
    counts = np.clip(BANDS * 20, 0, 32000).astype(kind)
    expected = render_bands(counts.astype(float))[::-1]
    assert np.array_equal(pixels(as_file(counts)), expected)


def test_bscale_and_bzero_are_applied_and_blank_is_no_measurement() -> None:
    hdu = fits.PrimaryHDU(np.round(BANDS * 20).astype(np.int16))
    hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 0.05, 7.0, -32768
    hdu.data[:, :5] = -32768
    raw = as_file(fits.PrimaryHDU(hdu.data))
    scaled = raw.replace(
        b"END".ljust(80),
        b"BSCALE  =                 0.05".ljust(80) + b"BLANK   =               -32768".ljust(80) + b"END".ljust(80),
        1,
    )
    assert len(raw[:2880].rstrip()) < 2880 - 160
    scaled = scaled[:2880] + raw[2880:]
    picture = pixels(scaled)
    assert not picture[-5:].any()
    assert np.abs(picture[:-5].astype(int) - SHOWN[:-5]).max() <= 12


def test_eight_bit_planes_are_shown_as_they_are() -> None:
    planes = np.moveaxis(SHOWN[::-1], -1, 0)
    assert np.array_equal(pixels(as_file(np.ascontiguousarray(planes))), SHOWN)
    assert np.array_equal(pixels(as_file(np.ascontiguousarray(SHOWN[::-1]))), SHOWN)


def test_one_band_is_grey() -> None:
    picture = pixels(as_file(BANDS[0]))
    assert np.array_equal(picture[..., 0], picture[..., 2])
    assert picture[32, 32].min() > 200


def test_bands_are_found_by_the_names_of_hdus_and_planes() -> None:
    named = [fits.ImageHDU(BANDS[at], name=name) for name, at in (("G", 2), ("R", 1), ("I", 0))]
    assert np.array_equal(pixels(as_file(*named)), SHOWN)
    by_filter = [
        fits.ImageHDU(BANDS[at], header(FILTER=f"{name} DECam 0001")) for name, at in (("g", 2), ("r", 1), ("i", 0))
    ]
    for hdu, name in zip(by_filter, "gri", strict=True):
        hdu.header["FILTER"] = name
    assert np.array_equal(pixels(as_file(*by_filter)), SHOWN)
    assert np.array_equal(pixels(as_file(fits.PrimaryHDU(BANDS[::-1], header(BANDS="grz")))), SHOWN)
    five = np.stack([BANDS[0] * 0, BANDS[2], BANDS[1], BANDS[0], BANDS[0] * 3])
    assert np.array_equal(pixels(as_file(fits.PrimaryHDU(five, header(BANDS="ugriz")))), SHOWN)


def test_the_science_hdu_stands_before_its_weights() -> None:
    weights = fits.ImageHDU(np.ones((64, 64), np.float32), name="WHT")
    assert np.array_equal(pixels(as_file(weights, fits.ImageHDU(BANDS, name="sci"))), SHOWN)


SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 32.0, "CRPIX2": 32.0, "CRVAL1": 10.0, "CRVAL2": 5.0}


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((-1, 0, 0, 1), lambda a: a),
        ((1, 0, 0, 1), lambda a: a[:, ::-1]),
        ((-1, 0, 0, -1), lambda a: a[::-1]),
        ((1, 0, 0, -1), lambda a: a[::-1, ::-1]),
        ((0, 1, 1, 0), lambda a: np.rot90(a)),
        ((0.1, 0.9, 0.9, -0.1), lambda a: np.rot90(a)),
        ((0, -1, -1, 0), lambda a: np.rot90(a, 3)),
        ((0, 1, -1, 0), lambda a: np.rot90(a[:, ::-1])),
    ],
)
def test_north_is_up_and_east_is_left(matrix, turned) -> None:
    cd = dict(zip(("CD1_1", "CD1_2", "CD2_1", "CD2_2"), (m / 3600 for m in matrix), strict=True))
    hdu = fits.PrimaryHDU(BANDS, header(**SKY, **cd))
    assert np.array_equal(pixels(as_file(hdu)), turned(SHOWN))


def test_the_way_up_agrees_with_astropy_for_every_form_of_wcs() -> None:
    from astropy.wcs import WCS

    star = np.zeros((3, 41, 61), np.float32) + np.random.default_rng(1).normal(0, 0.01, (3, 41, 61)).astype(np.float32)
    forms = [
        {"CDELT1": -1e-4, "CDELT2": 1e-4, "CROTA2": 80.0},
        {"CDELT1": 1e-4, "CDELT2": 1e-4, "CROTA2": -100.0},
        {"CDELT1": -1e-4, "CDELT2": 1e-4, "PC1_1": 0.1, "PC1_2": -0.99, "PC2_1": 0.99, "PC2_2": 0.1},
        {"CD1_1": 2e-5, "CD1_2": 1e-4, "CD2_1": 1e-4, "CD2_2": -2e-5},
    ]
    for form in forms:
        cards = header(**{**SKY, "CRPIX1": 31.0, "CRPIX2": 21.0}, **form)
        x, y = WCS(cards).world_to_pixel_values(10.0, 5.0 + 15e-4)
        bands = star.copy()
        bands[:, round(float(y)), round(float(x))] = 50
        picture = pixels(as_file(fits.PrimaryHDU(bands, cards)))
        row, column = np.unravel_index(picture.sum(axis=2).argmax(), picture.shape[:2])
        assert row < picture.shape[0] / 2 - 10, form
        assert abs(column - picture.shape[1] / 2) < 5, form


def test_what_was_not_measured_is_sky() -> None:
    bands = BANDS.copy()
    bands[:, 50:] = np.nan
    bands[0, 3, 3], bands[1, 3, 4] = np.inf, -np.inf
    picture = pixels(as_file(bands))
    assert not picture[:14].any()
    assert np.abs(picture[20:].astype(int) - SHOWN[20:]).max() <= 8


def test_negative_fluxes_and_single_hot_pixels_leave_the_galaxy() -> None:
    assert np.abs(pixels(as_file(BANDS - 5000)).astype(int) - SHOWN).max() <= 2
    hot = BANDS.copy()
    hot[:, 5, 5] = 3e38
    assert np.abs(pixels(as_file(hot))[:50].astype(int) - SHOWN[:50]).max() <= 6


def altered(key: str, value: str) -> bytes:
    """The file of the bands with another value of a card."""
    data = as_file(BANDS)
    at = data.index(key.ljust(8).encode() + b"=")
    return data[: at + 10] + value.rjust(20).encode() + data[at + 30 :]


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (as_file(np.full((64, 64), np.nan, np.float32)), "no_content", "HDU 0: no pixel"),
        (as_file(np.zeros((3, 64, 64), np.float32)), "no_content", "HDU 0: the image shows nothing"),
        (as_file(np.full((64, 64), -7, np.int16)), "no_content", "shows nothing"),
        (as_file(np.zeros((20, 64, 64), np.float32)), "unsupported", "HDU 0 is a cube of 64 x 64 x 20"),
        (as_file(fits.ImageHDU(np.zeros((2, 64, 64)), name="SCI")), "unsupported", r"HDU 1 \(SCI\) is a cube"),
        (as_file(np.zeros((31, 64), np.float32)), "too_small", "too small"),
        (as_file(fits.ImageHDU()), "not_an_image", "2 HDUs without an image"),
        (as_file(np.zeros(400, np.float32)), "not_an_image", "no image with two axes"),
        (as_file(fits.BinTableHDU.from_columns([fits.Column("ra", "D", array=np.ones(3))])), "not_an_image", "a table"),
        (as_file(BANDS)[:20000], "truncated", "before the end of HDU 0"),
        (as_file(BANDS)[:400], "truncated", "header of HDU 0"),
        (gzip.compress(as_file(BANDS))[:-9000], "truncated", "fits.gz ends"),
        (gzip.compress(b"no image" * 400), "not_an_image", "gzip file without a FITS"),
        (altered("NAXIS1", "-64"), "corrupt", "negative"),
        (altered("NAXIS1", "999999"), "too_large", "too large"),
        (altered("BITPIX", "7"), "corrupt", "BITPIX"),
        (altered("NAXIS", "100000"), "corrupt", "NAXIS"),
        (altered("NAXIS2", "'a'"), "corrupt", "NAXIS2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_what_is_no_picture_is_refused_with_its_hdu(data: bytes, code: str, told: str) -> None:
    error = refusal(data)
    assert error.code == code
    assert re.search(told, str(error)), str(error)


def _bomb(size: int) -> bytes:
    return gzip.compress(as_file(BANDS) + bytes(size), 9)


def test_bombs_are_refused_at_once() -> None:
    many_cards = as_file(BANDS)[:2880].replace(b"END", b"ABC").rstrip()
    cards = (many_cards + b" " * (-len(many_cards) % 80)) + b"HISTORY bomb".ljust(80) * (MAX_CARDS + 10)
    hdus = as_file(fits.ImageHDU()) + as_file(fits.ImageHDU())[2880:] * (MAX_HDUS + 10)
    tiled = fits.CompImageHDU(np.zeros((64, 64), np.int32), compression_type="GZIP_1", tile_shape=(64, 64))
    tile = as_file(tiled)
    inner = gzip.compress(bytes(64 * 64 * 4))
    deep = gzip.compress(bytes(40_000_000), 9)
    at = tile.find(b"\x1f\x8b")
    grown = tile[:at] + deep
    huge = grown.replace(b"PCOUNT  = " + f"{len(inner):>20}".encode(), b"PCOUNT  = " + f"{len(deep):>20}".encode())
    for data, code in [
        (_bomb(60_000_000), "too_large"),
        (cards, "too_costly"),
        (hdus, "too_costly"),
        (huge, "corrupt"),
    ]:
        started = time.process_time()
        assert refusal(data).code == code
        assert time.process_time() - started < 1


def test_a_header_that_claims_a_million_million_planes_is_refused_at_once() -> None:
    cube = altered("NAXIS3", str(10**12))
    started = time.process_time()
    assert refusal(cube).code == "unsupported"
    assert time.process_time() - started < 0.25


def rotated(angle: str) -> bytes:
    """The file of the bands with celestial axes and this CROTA2."""
    data = as_file(BANDS)
    at = data.index(b"END" + b" " * 77)
    cards = ["CTYPE1  = 'RA---TAN'", "CTYPE2  = 'DEC--TAN'", f"CROTA2  = {angle:>20}"]
    added = "".join(card.ljust(80) for card in cards).encode()
    return data[:at] + added + data[at : 2880 - len(added)] + data[2880:]


@pytest.mark.parametrize("angle", ["1E400", "-INF", "NAN"])
def test_an_angle_that_is_no_finite_number_is_none(angle: str) -> None:
    assert np.array_equal(pixels(rotated(angle)), pixels(rotated("0.0")))


def test_tiles_are_checked_before_a_decompressor_sees_them() -> None:
    counts = np.round(BANDS[0] * 9).astype(np.int32)
    rice = as_file(fits.CompImageHDU(counts, compression_type="RICE_1"))
    for change, told in [
        ((b"ZVAL1   =                   32", b"ZVAL1   =               999999"), "BLOCKSIZE"),
        ((b"ZNAXIS2 =                   64", b"ZNAXIS2 =                  640"), "640 tiles and a table of 64 rows"),
        ((b"ZCMPTYPE= 'RICE_1  '", b"ZCMPTYPE= 'SHRINK  '"), "in an unsupported way"),
        ((b"ZTILE1  =                   64", b"ZTILE1  =                    0"), "tiles of 0 pixels"),
    ]:
        assert change[0] in rice
        assert told in str(refusal(rice.replace(*change)))
    plio = as_file(fits.CompImageHDU(counts, compression_type="HCOMPRESS_1", tile_shape=(64, 64)))
    assert "compressed with HCOMPRESS_1" in str(refusal(plio))
    assert decode(plio).pixels.shape == (64, 64, 3)


def test_a_large_image_from_others_is_too_costly() -> None:
    data = as_file(np.zeros((2500, 2500), np.int16))
    assert refusal(data).code == "too_costly"
    assert read_header(data).width == 2500


def test_without_astropy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from galclass import extras

    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    error = refusal(as_file(BANDS))
    assert error.code == "unsupported"
    assert "galclass[astro]" in error.what
    assert "\n" not in error.what


def test_a_jpeg_and_its_fluxes_are_nearly_the_same_cutout(galaxy) -> None:
    jpeg = galaxy("gz2_103169_295of423.jpg")
    parameters = CutoutParameters()
    seen, drawn_again = (cutout(data, parameters).astype(int) for data in (jpeg, as_file(fluxes(jpeg))))
    assert np.abs(seen - drawn_again).mean() < 12
    assert np.corrcoef(seen.ravel(), drawn_again.ravel())[0, 1] > 0.97


def test_arrays_and_hdus_are_what_their_file_is() -> None:
    expected = pixels(as_file(BANDS))
    hdu = fits.PrimaryHDU(BANDS)
    cube = np.moveaxis(BANDS, 0, -1)
    for image in (
        BANDS,
        BANDS.astype(">f4"),
        cube,
        hdu,
        fits.ImageHDU(BANDS),
        fits.HDUList([hdu]),
        np.ma.masked_array(BANDS),
    ):
        assert np.array_equal(pixels(image_bytes(image)), expected)
    assert np.array_equal(pixels(image_bytes(expected)), expected)
