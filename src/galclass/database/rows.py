"""The rows of a statement into a CSV or Parquet file; takes rows one by one, writes the file whole or not at all."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from galclass.atomic_files import replacing
from galclass.csv_cells import CsvRows
from galclass.errors import DatabaseError

SUFFIXES = (".csv", ".parquet")

_CHUNK_BYTES, _ROW_BYTES = 32 << 20, 200
_CAST = "cast it in the statement, or write a .csv file"


def check_suffix(path: Path) -> None:
    """Check that rows can be written to a file of this name, before they are asked for.

    Raises
    ------
    DatabaseError
        If its suffix is neither .csv nor .parquet.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DatabaseError("unknown format", where=str(path), expected=", ".join(SUFFIXES))


def write_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], path: Path) -> int:
    """Write rows as they come; JSON columns become text, and bytes in CSV become hexadecimal digits.

    Parameters
    ----------
    columns : sequence of str
    rows : iterable of rows
        Some megabytes of them are in memory at a time.
    path : Path

    Returns
    -------
    int
        How many there were.

    Raises
    ------
    DatabaseError
        If the suffix is another one; for Parquet, if two columns have one name, or one has values of several types.
    """
    check_suffix(path)
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice and path.suffix.lower() != ".csv":
        advice = f"give each a name of its own, such as {twice[0]} AS {twice[0]}_2, or write a .csv file"
        raise DatabaseError("several columns have one name", where=str(path), got=", ".join(twice), advice=advice)
    with replacing(path) as temporary:
        if path.suffix.lower() != ".csv":
            return _write_parquet(columns, rows, temporary)
        count = 0
        with temporary.open("w", newline="", encoding="utf-8") as file:
            written = CsvRows(file, columns)
            for row in rows:
                written.write(_as_text(value) for value in row)
                count += 1
        return count


def _as_text(value: Any) -> Any:
    return bytes(value).hex() if isinstance(value, (bytes, memoryview)) else _plain(value)


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def _write_parquet(columns: Sequence[str], rows: Iterable[Sequence[Any]], path: Path) -> int:
    """Write row groups; a column's type is known when all its values are, so they wait in a file meanwhile."""
    import pyarrow as pa
    import pyarrow.parquet

    count, schemas, starts = 0, [], []
    with tempfile.TemporaryFile(dir=path.parent) as waiting:
        for chunk in _chunks(rows):
            table = _table(columns, chunk)
            count += len(chunk)
            schemas.append(table.schema)
            starts.append(waiting.tell())
            with pa.ipc.new_stream(waiting, table.schema) as stream:
                stream.write_table(table)
        try:
            schema = pa.unify_schemas(schemas or [_table(columns, []).schema], promote_options="permissive")
            with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as written:
                for start in starts:
                    waiting.seek(start)
                    with pa.ipc.open_stream(waiting) as stream:
                        written.write_table(stream.read_all().cast(schema))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DatabaseError(
                "values of several types", where="a column", got=str(error)[:200], advice=_CAST
            ) from error
    return count


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    import pyarrow as pa

    arrays = []
    for position, name in enumerate(columns):
        try:
            arrays.append(pa.array([_plain(row[position]) for row in rows]))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DatabaseError("values of several types", where=f"column {name}", advice=_CAST) from error
    return pa.Table.from_arrays(arrays, names=list(columns))


def _chunks(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    chunk: list[Sequence[Any]] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += _ROW_BYTES + sum(len(value) for value in row if isinstance(value, (str, bytes, memoryview)))
        if size > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
