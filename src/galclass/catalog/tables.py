"""Table files in and out: CSV (also gzipped), Parquet, FITS and VOTable, by the file's name.

Takes a path, gives a `pyarrow.Table` and the reverse; a file is written under another name and then moved.
"""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.identifiers import ID_COLUMNS
from galclass.csv_cells import guarded_table, unguarded, unguarded_table
from galclass.errors import CatalogError

_KINDS = {
    **dict.fromkeys((".csv", ".csv.gz", ".tsv", ".tsv.gz"), "csv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".fits", ".fit", ".fits.gz"), "fits"),
    **dict.fromkeys((".vot", ".vot.gz", ".xml", ".votable"), "votable"),
    ".txt": "columns",
}
_GZ2_VOTES = re.compile(r"^t\d\d_.*_(count|weight|flag|fraction|debiased)$")  # published with float32's digits
_VOTES = re.compile(r"_(fraction|debiased|debiased_low|debiased_high)$|^class\d+\.\d+$", re.IGNORECASE)
LIST_SEPARATOR = "|"


def table_kind(path: Path) -> str:
    """Give the kind of a table file by its name: csv, parquet, fits, votable or columns (text with spaces).

    Raises
    ------
    CatalogError
        If the name says nothing.
    """
    name = path.name.lower()
    for suffix in sorted(_KINDS, key=len, reverse=True):
        if name.endswith(suffix):
            return _KINDS[suffix]
    raise CatalogError("not a table by its name", where=str(path), expected=", ".join(_KINDS))


def read_table(path: Path | str, *, text_columns: frozenset[str] = frozenset()) -> Any:
    """Read a whole table file.

    Parameters
    ----------
    path : path
        The file; its suffix says the kind.
    text_columns : frozenset of str
        Columns to read as text besides the known id columns (`ID_COLUMNS`); for files that have no types.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    CatalogError
        If the file is missing, empty or not what its name says.
    """
    path = Path(path)
    kind = table_kind(path)
    if not path.is_file():
        raise CatalogError("no such table", where=str(path))
    if kind in ("fits", "votable"):
        from galclass.catalog.astro import read_astro

        return read_astro(path, kind)
    try:
        if kind == "parquet":
            import pyarrow.parquet

            return pyarrow.parquet.read_table(path)
        source = path if kind == "csv" else io.BytesIO(_columns_as_csv(path))
        delimiter = "\t" if ".tsv" in path.name.lower() else ","
        return unguarded_table(_read_csv(path, source, delimiter, text_columns))
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError, OSError) as error:
        raise CatalogError(f"cannot be read as {kind}: {error}", where=str(path)) from error


def write_table(table: Any, path: Path | str) -> Path:
    """Write a table; the file's suffix says the kind.

    Parameters
    ----------
    table : pyarrow.Table
        Lists of text become one text with "|" between the parts where the format has no lists.
    path : path
        .parquet, .csv, .csv.gz, .fits or .vot.
    """
    path = Path(path)
    kind = table_kind(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        if kind == "parquet":
            import pyarrow.parquet

            pyarrow.parquet.write_table(table, temporary, compression="zstd")
        elif kind == "csv":
            _write_csv(flat_lists(table), temporary)
        elif kind in ("fits", "votable"):
            from galclass.catalog.astro import write_astro

            write_astro(flat_lists(table), temporary, kind)
        else:
            expected = ".parquet, .csv, .fits or .vot"
            raise CatalogError("tables are not written in this kind", where=str(path), expected=expected)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def flat_lists(table: Any) -> Any:
    """Give a table whose list columns are text, with "|" between the parts."""
    for index, field in enumerate(table.schema):
        if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            joined = pc.binary_join(pc.cast(table.column(index), pa.list_(pa.string())), LIST_SEPARATOR)
            table = table.set_column(index, field.name, joined)
    return table


def _write_csv(table: Any, path: Path) -> None:
    import pyarrow.csv

    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    with pa.output_stream(path, compression="gzip" if path.name.endswith(".gz") else None) as sink:
        pyarrow.csv.write_csv(guarded_table(table), sink, options)


def _read_csv(path: Path, source: Any, delimiter: str, text_columns: frozenset[str]) -> Any:
    import pyarrow.csv

    names = _header(path, source, delimiter)
    text = [name for name in names if name.lower() in ID_COLUMNS or name in text_columns]
    types = {name: pa.float64() for name in names if _VOTES.search(name)}
    types |= {name: pa.float32() for name in names if _GZ2_VOTES.search(name)}
    types |= {name: pa.string() for name in text}
    convert = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    read = pyarrow.csv.ReadOptions(column_names=names, skip_rows=1, block_size=16 << 20)
    parse = pyarrow.csv.ParseOptions(delimiter=delimiter)
    try:
        return pyarrow.csv.read_csv(source, read, parse, convert)
    except pa.ArrowInvalid as error:
        if "conversion error" not in str(error):
            raise
    # A type guessed from the first rows did not hold: the columns that are not known go as text.
    types = {name: types.get(name, pa.string()) for name in names}
    convert = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    if not isinstance(source, Path):
        source.seek(0)
    try:
        return pyarrow.csv.read_csv(source, read, parse, convert)
    except pa.ArrowInvalid as error:
        column = re.search(r"CSV column #(\d+): CSV conversion error.*(invalid value .*)", str(error))
        if column is None:
            raise
        where = f"{path}, column {names[int(column[1])]}"
        raise CatalogError("not a number", where=where, got=column[2]) from error


def _header(path: Path, source: Any, delimiter: str) -> list[str]:
    if isinstance(source, Path):
        with pa.input_stream(source, compression="detect") as stream:
            line = io.TextIOWrapper(stream, encoding="utf-8-sig").readline()
    else:
        line = source.readline().decode("utf-8")
        source.seek(0)
    names = [unguarded(name.strip()) for name in next(csv.reader([line], delimiter=delimiter), [])]
    if not line.strip() or not any(names):
        raise CatalogError("the table is empty", where=str(path), expected="a header and rows")
    other = next((sign for sign in ";\t|" if sign in line and sign != delimiter), None)
    if len(names) == 1 and other is not None:
        raise CatalogError(
            f"the separator looks like {other!r}",
            where=str(path),
            expected="commas (.csv) or tabs (.tsv)",
            got=line.strip()[:80],
            advice="save it with commas" if other != "\t" else "name it .tsv",
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CatalogError(f"columns come twice: {', '.join(twice)}", where=str(path))
    return names


def _columns_as_csv(path: Path) -> bytes:
    """Give a table of columns between spaces, with "#" comments, as CSV (EFIGI)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [",".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]
    return ("\n".join(rows) + "\n").encode()
