"""Batches of rows as one file: CSV and Parquet streamed, FITS and VOTable whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from galclass.catalog import write_table
from galclass.csv_cells import guarded_table


def write_batches(batches: Iterator[pa.RecordBatch], schema: pa.Schema, path: Path) -> int:
    """Write batches to a file and return how many rows they have.

    Parameters
    ----------
    batches : iterator of pyarrow.RecordBatch
    schema : pyarrow.Schema
        Of every batch, and of a file without rows.
    path : Path
        .csv or .parquet (streamed), .fits or .vot (held in memory). No text in a CSV file is a spreadsheet's formula.
    """
    if path.suffix in (".fits", ".vot"):
        table = pa.Table.from_batches(batches, schema)
        write_table(table, path)
        return int(table.num_rows)
    rows = 0
    with _writer(path, schema) as writer:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            writer.write_table(guarded_table(table) if path.suffix == ".csv" else table)
            rows += batch.num_rows
    return rows


def _writer(path: Path, schema: pa.Schema) -> Any:
    if path.suffix == ".csv":
        return pyarrow.csv.CSVWriter(path, schema)
    return pyarrow.parquet.ParquetWriter(path, schema, compression="zstd")
