"""The rows of a statement into a CSV or Parquet file; takes an `SqlResult`, writes the file whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from galclass.csv_cells import CsvRows
from galclass.database.files import replacing
from galclass.database.sql import SqlResult
from galclass.errors import DatabaseError

SUFFIXES = (".csv", ".parquet")


def check_suffix(path: Path) -> None:
    """Check that rows can be written to a file of this name, before they are asked for.

    Raises
    ------
    DatabaseError
        If its suffix is neither .csv nor .parquet.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DatabaseError("no such format", where=str(path), expected=", ".join(SUFFIXES))


def write_rows(result: SqlResult, path: Path) -> None:
    """Write all rows; JSON columns become text, and bytes in CSV become hexadecimal digits.

    Raises
    ------
    DatabaseError
        If the suffix is another one, or a column has values of several types (Parquet).
    """
    check_suffix(path)
    with replacing(path) as temporary:
        if path.suffix.lower() == ".csv":
            with temporary.open("w", newline="", encoding="utf-8") as file:
                rows = CsvRows(file, result.columns)
                for row in result.rows:
                    rows.write(_as_text(value) for value in row)
        else:
            _write_parquet(result, temporary)


def _as_text(value: Any) -> Any:
    return bytes(value).hex() if isinstance(value, (bytes, memoryview)) else _plain(value)


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def _write_parquet(result: SqlResult, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    columns = []
    for position, name in enumerate(result.columns):
        try:
            columns.append(pa.array([_plain(row[position]) for row in result.rows]))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            advice = "cast it in the statement, or write a .csv file"
            raise DatabaseError("values of several types", where=f"column {name}", advice=advice) from error
    pyarrow.parquet.write_table(pa.Table.from_arrays(columns, names=list(result.columns)), path, compression="zstd")
