"""Cutouts show the sky where it is: any frame, axes and distortion of a tile, any scale, and gaps in its pixels."""

from __future__ import annotations

import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import CliRunner, Result

from galclass.cli import cli
from galclass.errors import CutoutError

SIDE, DEGREES = 400, 0.4 / 3600  # of a pixel
MIDDLE = SkyCoord(0.003, 30.0, unit="deg")
OBJECT = MIDDLE.directional_offset_by(50 * u.deg, 20 * u.arcsec)


def header(x: str, y: str, at: tuple[float, float], **more: object) -> fits.Header:
    return fits.Header(
        {
            "CTYPE1": x, "CTYPE2": y, "CRVAL1": at[0], "CRVAL2": at[1], "CRPIX1": 200.5, "CRPIX2": 200.5,
            "CDELT1": -DEGREES, "CDELT2": DEGREES, **more,
        }
    )  # fmt: skip


def equatorial(**more: object) -> fits.Header:
    return header("RA---TAN", "DEC--TAN", (MIDDLE.ra.deg, MIDDLE.dec.deg), **more)


SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 2e-5, "A_1_1": 1e-5, "B_0_2": -1e-5}
DISTORTED = header("RA---TAN-SIP", "DEC--TAN-SIP", (MIDDLE.ra.deg, MIDDLE.dec.deg), **SIP)
TILES = {
    "icrs": equatorial(),
    "fk5 of 1975": header("RA---TAN", "DEC--TAN", (359.68, 29.861), RADESYS="FK5", EQUINOX=1975.0),
    "fk4": header("RA---TAN", "DEC--TAN", (359.3625, 29.7218), RADESYS="FK4", EQUINOX=1950.0),
    "galactic": header("GLON-TAN", "GLAT-TAN", (MIDDLE.galactic.l.deg, MIDDLE.galactic.b.deg)),
    "declination first": header("DEC--TAN", "RA---TAN", (MIDDLE.dec.deg, MIDDLE.ra.deg)),
    "sip": DISTORTED,
}


def tile(path: Path, head: fits.Header) -> np.ndarray:
    """Write and return a tile with a round galaxy at OBJECT and a star 10 arcsec east of it."""
    y, x = np.mgrid[:SIDE, :SIDE]
    values = np.full((SIDE, SIDE), 5.0)
    star = OBJECT.directional_offset_by(90 * u.deg, 10 * u.arcsec)
    for where, peak, width in ((OBJECT, 100, 5), (star, 50, 2)):
        column, row = WCS(head).world_to_pixel(where)
        values += peak * np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * width**2))
    fits.PrimaryHDU(values.astype(np.float32), head).writeto(path, overwrite=True)
    return values


def cut(folder: Path, *words: str, kind: str = "fits", at: SkyCoord = OBJECT) -> Result:
    (folder / "c.csv").write_text(f"object_id,ra,dec\none,{at.ra.deg:.8f},{at.dec.deg:.8f}\n")
    paths = (str(folder / "t.fits"), "--catalog", str(folder / "c.csv"), "--output", str(folder / "out"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return CliRunner().invoke(cli, ["cut", *paths, "--format", kind, *words])


def made(folder: Path) -> np.ndarray:
    return fits.getdata(folder / "out" / "one.fits").astype(np.float64)


def centre_of(values: np.ndarray, row: float, column: float, radius: float) -> tuple[float, float]:
    """The centre of light within a circle, as (row, column) from its middle."""
    y, x = np.indices(values.shape)
    light = np.where(np.hypot(y - row, x - column) < radius, values - np.median(values), 0)
    return float((light * (y - row)).sum() / light.sum()), float((light * (x - column)).sum() / light.sum())


@pytest.mark.parametrize("name", TILES)
def test_a_tile_in_any_coordinates_is_cut_at_the_catalogs_position(tmp_path: Path, name: str) -> None:
    tile(tmp_path / "t.fits", TILES[name])
    done = cut(tmp_path, "--size-px", "101", "--size-arcsec", "40.4")
    assert done.exit_code == 0, done.output
    assert np.allclose(centre_of(made(tmp_path), 50, 50, 16), 0, atol=0.1)
    assert np.allclose(centre_of(made(tmp_path), 50, 25, 7), 0, atol=0.2)  # east is left


@pytest.mark.parametrize("times", [2, 3, 4])
def test_a_coarser_cutout_has_its_object_in_the_middle(tmp_path: Path, times: int) -> None:
    tile(tmp_path / "t.fits", TILES["icrs"])
    assert cut(tmp_path, "--size-px", "33", "--size-arcsec", str(33 * 0.4 * times)).exit_code == 0
    assert np.allclose(centre_of(made(tmp_path), 16, 16, 16 / times), 0, atol=0.02)


def test_a_coarser_cutout_is_the_mean_of_the_tiles_pixels_up_to_its_border(tmp_path: Path) -> None:
    values = tile(tmp_path / "t.fits", TILES["icrs"])
    column, row = (int(np.rint(axis)) for axis in WCS(TILES["icrs"]).world_to_pixel(OBJECT))
    middle = SkyCoord.from_pixel(column, row, WCS(TILES["icrs"]))
    assert cut(tmp_path, "--size-px", "33", "--size-arcsec", str(33 * 2.0), at=middle).exit_code == 0
    part = values[row - 82 : row + 83, column - 82 : column + 83]
    assert np.allclose(made(tmp_path), part.reshape(33, 5, 33, 5).mean(axis=(1, 3)), atol=0.05)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_bad_pixel_leaves_its_surroundings_alone(tmp_path: Path, times: int) -> None:
    words = ("--size-px", "65", "--size-arcsec", str(65 * 0.4 * times))
    values = tile(tmp_path / "t.fits", TILES["icrs"])
    assert cut(tmp_path, *words).exit_code == 0
    whole = made(tmp_path)
    (tmp_path / "out" / "one.fits").unlink()
    row, column = np.unravel_index(values.argmax(), values.shape)
    values[row + 12, column - 20] = np.nan
    values[row - 20, column + 10] = np.inf
    (tmp_path / "out" / "cut.json").unlink()
    fits.PrimaryHDU(values.astype(np.float32), TILES["icrs"]).writeto(tmp_path / "t.fits", overwrite=True)
    assert cut(tmp_path, *words).exit_code == 0
    seen = made(tmp_path)
    assert np.isnan(seen).sum() == (2 if times == 1 else 0)
    assert np.nanmax(np.abs(seen - whole)) < 1


@pytest.mark.parametrize("kind", ["png", "fits"])
def test_an_object_in_the_empty_border_of_a_tile_is_a_reject(tmp_path: Path, kind: str) -> None:
    values = tile(tmp_path / "t.fits", TILES["icrs"])
    values[:] = np.nan
    fits.PrimaryHDU(values.astype(np.float32), TILES["icrs"]).writeto(tmp_path / "t.fits", overwrite=True)
    done = cut(tmp_path, "--size-px", "65", "--size-arcsec", "26", kind=kind)
    assert done.exit_code == 3
    assert "0 cut + 0 already there + 1 no_content" in done.output
    assert not list((tmp_path / "out").glob("one.*"))


def test_positions_far_from_a_distorted_tile_are_outside_without_a_warning(tmp_path: Path) -> None:
    tile(tmp_path / "t.fits", DISTORTED)
    for away in (0.2, 3, 60, 170):
        done = cut(tmp_path, "--size-arcsec", "20", at=MIDDLE.directional_offset_by(30 * u.deg, away * u.deg))
        assert done.exit_code == 3, done.output
        assert "1 outside" in done.output


def test_a_small_part_of_a_distorted_detector_is_cut_at_its_place(tmp_path: Path) -> None:
    part = DISTORTED.copy()
    part.update(CRPIX1=-2800.0, CRPIX2=200.5)  # 180 px from where it would be without distortion
    x, y = np.mgrid[:40, :40][::-1]
    fits.PrimaryHDU((100 * np.exp(-((x - 20) ** 2 + (y - 20) ** 2) / 18)).astype(np.float32), part).writeto(
        tmp_path / "t.fits"
    )
    done = cut(tmp_path, "--size-px", "33", "--size-arcsec", "8", at=WCS(part).pixel_to_world(20, 20))
    assert done.exit_code == 0, done.output
    assert np.allclose(centre_of(made(tmp_path), 16, 16, 12), 0, atol=0.1)


def test_a_frame_that_positions_cannot_be_turned_into_is_refused(tmp_path: Path) -> None:
    tile(tmp_path / "t.fits", TILES["icrs"])
    fits.setval(tmp_path / "t.fits", "CTYPE1", value="ELON-TAN")
    fits.setval(tmp_path / "t.fits", "CTYPE2", value="ELAT-TAN")
    done = cut(tmp_path, "--size-arcsec", "20")
    assert isinstance(done.exception, CutoutError)
    assert "ELON-TAN, ELAT-TAN" in str(done.exception)


def integers(path: Path, kind: str) -> np.ndarray:
    """Write a tile of integers in one of the ways that surveys have; return what it stands for."""
    values = np.rint(tile(path, TILES["icrs"]) * 100)
    hidden = np.zeros(values.shape, bool)
    hidden[:, 150:153] = kind != "unsigned"
    if kind == "unsigned":
        fits.PrimaryHDU(values.astype(np.uint16), TILES["icrs"]).writeto(path, overwrite=True)
    elif kind == "compressed":
        stored = np.where(hidden, -9, values).astype(np.int32)
        head = fits.Header({**TILES["icrs"], "BLANK": -9})
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(stored, head)]).writeto(path, overwrite=True)
    else:
        stored = np.where(hidden, -32768, values - 100).astype(np.int16)
        head = fits.Header({**TILES["icrs"], "BLANK": -32768})
        fits.PrimaryHDU(stored, head).writeto(path, overwrite=True)
        with fits.open(path, "update", do_not_scale_image_data=True) as hdus:
            hdus[0].header["BSCALE"], hdus[0].header["BZERO"] = 2.0, 200.0
        values = values * 2
    return np.where(hidden, np.nan, values)


@pytest.mark.parametrize("kind", ["unsigned", "scaled", "compressed"])
def test_a_tile_of_integers_is_cut_in_its_own_units_without_its_blanks(tmp_path: Path, kind: str) -> None:
    values = integers(tmp_path / "t.fits", kind)
    at = SkyCoord.from_pixel(160, 200, WCS(TILES["icrs"]))
    done = cut(tmp_path, "--size-px", "33", "--size-arcsec", str(33 * 0.4), at=at)
    assert done.exit_code == 0, done.output
    assert np.allclose(made(tmp_path), values[184:217, 144:177], atol=0.1, equal_nan=True)
