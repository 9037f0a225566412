"""Cutouts of a tile: the object is in the middle, north is up, and what cannot be cut is named."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import CliRunner, Result

from galclass.cli import cli
from galclass.cutouts import decode
from galclass.errors import CatalogError, CutoutError

SIDE = 300
STARS = {"587722981742084144": (150, 150), "587722981746540704": (90, 200), "J1.5": (200, 100)}
SCALE = 0.4  # arcsec a pixel


def wcs(angle_deg: float = 0, mirrored: bool = False) -> WCS:
    turn = np.radians(angle_deg)
    made = WCS(naxis=2)
    made.wcs.ctype, made.wcs.crval, made.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.0, 2.0], [150.5, 150.5]
    parity = 1 if mirrored else -1
    made.wcs.cd = (
        SCALE / 3600 * np.array([[parity * np.cos(turn), -parity * np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    )
    return made


def tile(path: Path, there: WCS, factor: float = 1.0, **options) -> Path:
    """A band with a round galaxy at each star, and a small blob 8 arcsec north of it."""
    y, x = np.mgrid[:SIDE, :SIDE]
    values = np.random.default_rng(0).normal(10, 0.1, (SIDE, SIDE))
    for column, row in STARS.values():
        ra, dec = map(float, there.pixel_to_world_values(column, row))
        north = there.world_to_pixel_values(ra, dec + 8 / 3600)
        values += factor * 100 * np.exp(-((x - column) ** 2 + (y - row) ** 2) / 30)
        values += factor * 60 * np.exp(-((x - north[0]) ** 2 + (y - north[1]) ** 2) / 6)
    hdu = fits.CompImageHDU if options else fits.ImageHDU
    fits.HDUList([fits.PrimaryHDU(), hdu(values.astype(np.float32), there.to_header(), **options)]).writeto(path)
    return path


def catalog(path: Path, there: WCS, **more: tuple[float, float]) -> Path:
    places = {**{key: there.pixel_to_world_values(*at) for key, at in STARS.items()}, **more}
    rows = [(key, float(ra), float(dec), 5.0) for key, (ra, dec) in places.items()]
    pd.DataFrame(rows, columns=["objid", "ra", "dec", "petroR90_r"]).astype({"objid": str}).to_csv(path, index=False)
    return path


def cut(*words: object) -> Result:
    return CliRunner().invoke(cli, ["cut", *map(str, words), "--size-px", "101"])


@pytest.mark.parametrize(("angle", "mirrored"), [(0, False), (30, False), (200, True)])
def test_the_object_is_in_the_middle_and_north_is_up(tmp_path: Path, angle: float, mirrored: bool) -> None:
    there = wcs(angle, mirrored)
    objects = catalog(tmp_path / "c.csv", there)
    done = cut(
        tile(tmp_path / "t.fits", there), "--catalog", objects, "--output", tmp_path / "out", "--size-arcsec", 30
    )
    assert done.exit_code == 0, done.output
    assert "3 objects = 3 cut + 0 already there" in done.output
    for name in STARS:
        picture = decode((tmp_path / "out" / f"{name}.png").read_bytes()).pixels[..., 0].astype(float)
        assert picture.shape == (101, 101)
        assert picture[50, 50] > 200
        blob = np.unravel_index(picture[:35].argmax(), (35, 101))  # 8 arcsec are 27 px
        assert abs(blob[0] - 23) <= 2, (name, blob)
        assert abs(blob[1] - 50) <= 2, (name, blob)


def test_three_tiles_are_three_colours_and_fluxes_keep_their_wcs(tmp_path: Path) -> None:
    there = wcs(10)
    tiles = [
        tile(tmp_path / "i.fits", there, 3),
        tile(tmp_path / "r.fits", wcs(0), 0.001),
        tile(tmp_path / "g.fits", there, 0.1),
    ]
    objects = catalog(tmp_path / "c.csv", there)
    done = cut(*tiles, "--catalog", objects, "--output", tmp_path / "png", "--size-arcsec", 30)
    assert done.exit_code == 0, done.output
    middle = decode((tmp_path / "png" / "J1.5.png").read_bytes()).pixels[50, 50]
    assert middle[0] > 200 > middle[2]
    done = cut(*tiles, "--catalog", objects, "--output", tmp_path / "fits", "--size-arcsec", 30, "--format", "fits")
    assert done.exit_code == 0, done.output
    with fits.open(tmp_path / "fits" / "J1.5.fits") as hdus:
        assert hdus[0].data.shape == (3, 101, 101)
        at = WCS(hdus[0].header).celestial.world_to_pixel_values(*there.pixel_to_world_values(*STARS["J1.5"]))
    assert np.allclose(at, 50, atol=0.01)
    assert np.array_equal(
        decode((tmp_path / "fits" / "J1.5.fits").read_bytes()).pixels,
        decode((tmp_path / "png" / "J1.5.png").read_bytes()).pixels,
    )


@pytest.mark.parametrize("size", ["nan", "inf", "-3", "0", "1e9"])
def test_a_size_that_is_none_is_refused(tmp_path: Path, size: str) -> None:
    path = catalog(tmp_path / "c.csv", wcs())
    done = cut(tile(tmp_path / "t.fits", wcs()), "--catalog", path, "--output", tmp_path / "o", "--size-arcsec", size)
    assert done.exit_code == 2
    assert "above 0 and at most 3,600" in done.output
    assert not (tmp_path / "o").exists()


def test_what_cannot_be_cut_is_named_and_a_second_run_goes_on(tmp_path: Path) -> None:
    there = wcs()
    edge, away = there.pixel_to_world_values(5, 150), (330.0, -2.0)
    objects = catalog(tmp_path / "c.csv", there, edge=edge, away=away, nowhere=(np.nan, np.nan))
    image = tile(tmp_path / "t.fits", there, compression_type="RICE_1")
    words = (image, "--catalog", objects, "--output", tmp_path / "out")
    done = cut(*words)
    assert done.exit_code == 3, done.output
    rejects = pd.read_csv(tmp_path / "out" / "rejects.csv").set_index("object_id")["code"].to_dict()
    assert rejects["edge"] == "partly_outside"
    assert rejects["away"] == "outside"
    assert "no_position" in rejects["nowhere"] or "position" in rejects["nowhere"]
    assert not list((tmp_path / "out").glob(".*"))
    (tmp_path / "out" / "J1.5.png").unlink()
    assert "1 cut + 2 already there" in cut(*words).output
    (tmp_path / "out" / "J1.5.png").write_bytes(b"")  # what a power cut may leave
    assert "1 cut + 2 already there" in cut(*words).output
    assert (tmp_path / "out" / "J1.5.png").stat().st_size
    other = cut(*words, "--size-arcsec", 20)
    assert "other settings: size_arcsec" in str(other.exception)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"CTYPE1": "RA---XXX", "CTYPE2": "DEC--XXX"}, "Unrecognized projection code"),
        ({"CDELT1": 0.0}, "singular"),
        ({"CUNIT1": "furlong"}, "furlong"),
    ],
)
def test_a_wcs_that_cannot_be_used_is_named(tmp_path: Path, change: dict[str, object], told: str) -> None:
    made = WCS(naxis=2)
    made.wcs.ctype, made.wcs.crval, made.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [150.0, 2.0], [-1e-4, 1e-4]
    header = made.to_header()
    header.update(change)
    fits.PrimaryHDU(np.ones((50, 50), np.float32), header).writeto(tmp_path / "t.fits")
    done = cut(
        tmp_path / "t.fits", "--catalog", catalog(tmp_path / "c.csv", wcs()), "--output", tmp_path / "o",
    )  # fmt: skip
    assert isinstance(done.exception, CutoutError)
    assert "t.fits: HDU 0: its WCS cannot be used" in str(done.exception)
    assert told in str(done.exception)


def test_a_tile_that_was_not_copied_whole_is_named(tmp_path: Path) -> None:
    whole = tile(tmp_path / "t.fits", wcs())
    whole.write_bytes(whole.read_bytes()[:-90_000])
    done = cut(whole, "--catalog", catalog(tmp_path / "c.csv", wcs()), "--output", tmp_path / "o")
    assert isinstance(done.exception, CutoutError)
    assert "bytes before the end of HDU 1" in str(done.exception)


def test_a_catalog_of_the_whole_sky_is_passed_over_quickly(tmp_path: Path) -> None:
    there = wcs()
    away = {f"away{n}": (200.0 + n / 100, -30.0) for n in range(1000)}
    words = (tile(tmp_path / "t.fits", there), "--catalog", catalog(tmp_path / "c.csv", there, **away))
    started = time.process_time()
    done = CliRunner().invoke(cli, ["cut", *map(str, words), "--size-px", "1024", "--output", str(tmp_path / "o")])
    assert "1,000 outside" in done.output
    assert time.process_time() - started < 20  # a grid for each takes minutes


def test_an_object_whose_position_was_corrected_is_cut_again(tmp_path: Path) -> None:
    there, output = wcs(), tmp_path / "out"
    words = (tile(tmp_path / "t.fits", there), "--output", output, "--catalog")
    assert (
        cut(*words, catalog(tmp_path / "wrong.csv", there, late=there.pixel_to_world_values(150, 100))).exit_code == 0
    )
    wrong = (output / "late.png").read_bytes()
    right = catalog(tmp_path / "right.csv", there, late=there.pixel_to_world_values(90, 200))
    assert "1 cut + 3 already there" in cut(*words, right).output
    assert (output / "late.png").read_bytes() == (output / "587722981746540704.png").read_bytes() != wrong
    assert "0 cut + 4 already there" in cut(*words, right).output
    assert "0 cut + 3 already there" in cut(*words, catalog(tmp_path / "fewer.csv", there)).output
    assert pd.read_csv(output / "positions.csv", dtype=str)["object_id"].tolist() == [*STARS, "late"]


def test_a_file_of_ones_own_is_neither_replaced_nor_counted_as_cut(tmp_path: Path) -> None:
    there, output = wcs(), tmp_path / "out"
    output.mkdir()
    (output / "J1.5.png").write_bytes(b"mine")
    words = (tile(tmp_path / "t.fits", there), "--catalog", catalog(tmp_path / "c.csv", there), "--output", output)
    for told in ("2 cut + 0 already there + 1 name_taken", "0 cut + 2 already there + 1 name_taken"):
        assert told in cut(*words).output
    assert (output / "J1.5.png").read_bytes() == b"mine"


@pytest.mark.parametrize(("name", "text"), [("cut.json", "{"), ("cut.json", "[]"), ("positions.csv", "a\nb,c,x,y,z")])
def test_a_damaged_record_of_the_folder_is_named(tmp_path: Path, name: str, text: str) -> None:
    there = wcs()
    words = (
        tile(tmp_path / "t.fits", there), "--catalog", catalog(tmp_path / "c.csv", there), "--output", tmp_path / "o",
    )  # fmt: skip
    assert cut(*words).exit_code == 0
    (tmp_path / "o" / name).write_text(text)
    done = cut(*words)
    assert isinstance(done.exception, CatalogError)
    assert name in str(done.exception)


def test_a_tile_that_is_none_is_refused_by_its_name(tmp_path: Path) -> None:
    objects = catalog(tmp_path / "c.csv", wcs())
    (tmp_path / "text.fits").write_text(
        "no FITS at all, but longer than a card of eighty characters would ever be, surely"
    )
    fits.PrimaryHDU(np.ones((50, 50))).writeto(tmp_path / "plain.fits")
    fits.PrimaryHDU(np.ones((5, 50, 50)), wcs().to_header()).writeto(tmp_path / "cube.fits")
    for name, told in [("text", "text.fits"), ("plain", "no celestial WCS"), ("cube", "cube of 50 x 50 x 5")]:
        done = cut(tmp_path / f"{name}.fits", "--catalog", objects, "--output", tmp_path / "o", "--size-arcsec", 9)
        assert done.exit_code == 1
        assert told in str(done.exception), str(done.exception)
    good = tile(tmp_path / "t.fits", wcs())
    done = cut(good, "--catalog", objects, "--output", tmp_path / "o", "--size-column", "radius")
    assert "no column radius" in str(done.exception)
    assert cut(good, good, "--catalog", objects, "--output", tmp_path / "o").exit_code == 2
