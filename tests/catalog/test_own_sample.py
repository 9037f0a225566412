"""A few rows stand for a column of a user's table where a format is tried."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from astropy.table import Table

from galclass.catalog.own_sample import sample_of
from galclass.catalog.own_table import read_own_table
from galclass.errors import CatalogError


@pytest.mark.parametrize("source", ["csv", "vot", "ecsv", "parquet"])
def test_a_column_is_checked_in_memory_by_the_rows_that_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    count = 3000
    names = [f"Galaxie {row}" for row in range(count - 1)] + ["Galaxie \u00e9"]
    table = pa.table({"objid": [str(row) for row in range(count)], "z": [0.1] * count, "name": names})
    path = tmp_path / f"c.{source}"
    if source == "csv":
        pa.csv.write_csv(table, path)
    elif source == "parquet":
        pa.parquet.write_table(table, path)
    else:
        own = Table({name: table[name].to_pylist() for name in table.column_names})
        own["name"] = own["name"].astype(object) if source == "vot" else own["name"]
        own.write(path, format="votable" if source == "vot" else "ascii.ecsv")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    read = read_own_table(path)
    for suffix in ("vot", "ecsv", "parquet", "csv"):
        read.check(tmp_path / f"out.{suffix}")
    with pytest.raises(CatalogError, match=r"out\.fits, column name: this table cannot be written as fits"):
        read.check(tmp_path / "out.fits")
    for name in ("objid", "z", "name"):
        assert len(sample_of(table.select([name]))) <= 2
        assert len(sample_of(Table({name: table[name].to_pylist()}))) <= 2


def test_a_sample_has_the_first_missing_value_and_each_kind_of_array() -> None:
    numbers = pa.table({"n": pa.array([1, 2, 3, None, 4, None])})
    assert sample_of(numbers)["n"].to_pylist() == [1, 2, None]
    assert sample_of(pa.table({"n": pa.array([[1], [2, 3]])}))["n"].to_pylist() == ["1"]
    masked = Table({"n": np.ma.array([[1, 2], [3, 4], [5, 6], [7, 8]], mask=[[0, 0], [0, 0], [0, 0], [0, 1]])})
    assert len(sample_of(masked)) == 3
    assert len(sample_of(masked[:0])) == 0
    arrays = np.array([np.zeros(2), np.zeros(3), np.zeros(1, int), None], dtype=object)
    assert len(sample_of(Table({"n": arrays}))) == 3
