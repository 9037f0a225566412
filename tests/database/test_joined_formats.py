"""Joined tables: columns of arrays and unsigned numbers, other HDUs, columns that a format cannot hold."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from astropy.io import fits
from astropy.table import Table
from database.joining import IDS, images_of_rows, join
from tiny_model import tiny_model

from galclass.errors import CatalogError
from galclass.image_files import find_images
from galclass.joined import predict_catalog
from galclass.scoring import Scorer


@pytest.fixture
def folder(tmp_path: Path, galaxies: dict[str, bytes]) -> Path:
    return images_of_rows(tmp_path, galaxies)


def unusual(path: Path) -> Path:
    """A FITS table with columns of arrays of any length and of unsigned numbers."""
    arrays = np.empty(3, object)
    arrays[:] = [np.arange(size, dtype=np.float32) for size in (1, 4, 2)]
    columns = [
        fits.Column("objid", "20A", array=np.array(list(map(str, IDS[:3])))),
        fits.Column("spectrum", "PE()", array=arrays),
        fits.Column("small", "I", bzero=1 << 15, array=np.array([1, 2, 65535], np.uint16)),
        fits.Column("large", "K", bzero=1 << 63, array=np.array([1, 2, 2**64 - 1], np.uint64)),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(path)
    return path


def test_arrays_of_any_length_and_unsigned_numbers_are_in_every_format(folder: Path, tmp_path: Path) -> None:
    source = unusual(tmp_path / "c.fits")
    for suffix in ("fits", "parquet", "csv", "vot", "ecsv"):
        done = join(folder, source, tmp_path / f"out.{suffix}")
        assert done.exit_code == 0, (suffix, done.output, done.exception)
    with fits.open(tmp_path / "out.fits") as hdus:
        assert hdus[1].data["spectrum"][1].tolist() == [0, 1, 2, 3]
        assert hdus[1].data["large"].tolist() == [1, 2, 2**64 - 1]
    assert pa.parquet.read_table(tmp_path / "out.parquet")["spectrum"].to_pylist()[1] == [0, 1, 2, 3]
    assert pd.read_csv(tmp_path / "out.csv")["spectrum"][1] == "0|1|2|3"
    votable = Table.read(tmp_path / "out.vot", format="votable")
    assert votable["small"].tolist() == [1, 2, 65535]
    assert [str(value) for value in votable["large"]] == ["1", "2", str(2**64 - 1)]


@pytest.mark.parametrize("suffix", ["fits", "vot", "ecsv"])
def test_a_column_that_the_format_cannot_hold_is_named_before_anything_is_scored(
    folder: Path, tmp_path: Path, suffix: str
) -> None:
    table = pa.table({"objid": [str(key) for key in IDS[:3]], "both": [{"a": 1, "b": "x"}] * 3})
    pa.parquet.write_table(table, tmp_path / "c.parquet")
    scored: list[int] = []
    with pytest.raises(CatalogError, match=rf"out\.{suffix}, column both: this table cannot be written as"):
        predict_catalog(
            find_images([str(folder)]), Scorer(tiny_model()), tmp_path / "c.parquet", tmp_path / f"out.{suffix}",
            advance=scored.append,
        )  # fmt: skip
    assert not scored


def test_other_hdus_stay_as_they_are_stored_and_checksums_are_right(folder: Path, tmp_path: Path) -> None:
    counts = np.arange(64 * 64, dtype=np.int16).reshape(64, 64)
    table = fits.BinTableHDU.from_columns([fits.Column("objid", "20A", array=np.array([str(IDS[0])]))])
    parts = [fits.PrimaryHDU(), fits.ImageHDU(counts, name="RAW"), table, fits.CompImageHDU(counts, name="PACKED")]
    fits.HDUList(parts).writeto(tmp_path / "c.fits")
    stored = {"do_not_scale_image_data": True, "disable_image_compression": True}
    with fits.open(tmp_path / "c.fits", "update", **stored) as hdus:
        hdus["RAW"].header["BSCALE"] = 0.1
        for hdu in hdus:
            hdu.add_checksum()
    done = join(folder, tmp_path / "c.fits", tmp_path / "out.fits")
    assert done.exit_code == 0, done.output
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a wrong checksum
        with (
            fits.open(tmp_path / "c.fits", **stored) as before,
            fits.open(tmp_path / "out.fits", checksum=True, **stored) as after,
        ):
            for name in ("RAW", "PACKED"):
                assert before[name].header == after[name].header
                assert np.array_equal(before[name].data, after[name].data)
            assert {"CHECKSUM", "DATASUM"} <= set(after[2].header)
