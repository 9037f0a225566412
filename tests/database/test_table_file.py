"""Batches of rows as files: every suffix in either case, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as parquet
import pytest

from galclass.catalog import read_table
from galclass.database.table_file import STREAMED, WHOLE, write_batches

SCHEMA = pa.schema([("name", pa.string()), ("value", pa.float64())])
ROWS = [{"name": "=1+1", "value": 0.5}, {"name": "b", "value": 2.0}]


def batches(count: int = 2) -> Iterator[pa.RecordBatch]:
    """The rows, one a batch, then a fault if more are wanted."""
    for number in range(count):
        if number == len(ROWS):
            raise ValueError("no more rows")
        yield pa.RecordBatch.from_pylist([ROWS[number]], schema=SCHEMA)


@pytest.mark.parametrize("suffix", [*STREAMED, *WHOLE, ".CSV", ".Parquet", ".FITS", ".VOT"])
def test_every_suffix_in_either_case_names_its_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new folder" / f"p{suffix}"
    assert write_batches(batches(), SCHEMA, path) == 2
    readers = {".parquet": parquet.read_table, ".csv": pyarrow.csv.read_csv}
    table = readers.get(suffix.lower(), read_table)(path)
    first = "'=1+1" if suffix.lower() == ".csv" else "=1+1"
    assert [str(value).strip() for value in table["name"].to_pylist()] == [first, "b"]
    assert table["value"].to_pylist() == [0.5, 2.0]
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".fits", ".vot"])
def test_what_stood_there_stands_after_a_fault(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="no more rows"):
        write_batches(batches(3), SCHEMA, path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == [path.name]
