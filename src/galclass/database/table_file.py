"""Batches of rows as one file: CSV and Parquet streamed, FITS and VOTable whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from galclass.atomic_files import replacing
from galclass.catalog import write_table
from galclass.csv_cells import guarded_table

STREAMED = (".parquet", ".csv")
WHOLE = (".fits", ".vot", ".votable", ".xml")
"""Suffixes, in any case, of files that are streamed and of those that are held in memory."""


def write_batches(batches: Iterator[pa.RecordBatch], schema: pa.Schema, path: Path) -> int:
    """Write batches to a file that appears whole or not at all, and return how many rows they have.

    Parameters
    ----------
    batches : iterator of pyarrow.RecordBatch
    schema : pyarrow.Schema
        Of every batch, and of a file without rows.
    path : Path
        Its suffix is one of `STREAMED` or `WHOLE`. No text in a CSV file is a spreadsheet's formula.
    """
    suffix = path.suffix.lower()
    if suffix in WHOLE:
        table = pa.Table.from_batches(batches, schema)
        write_table(table, path)
        return int(table.num_rows)
    rows = 0
    with replacing(path) as temporary, _writer(suffix, temporary, schema) as writer:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            writer.write_table(guarded_table(table) if suffix == ".csv" else table)
            rows += batch.num_rows
    return rows


def _writer(suffix: str, path: Path, schema: pa.Schema) -> Any:
    if suffix == ".csv":
        return pyarrow.csv.CSVWriter(path, schema)
    return pyarrow.parquet.ParquetWriter(path, schema, compression="zstd")
