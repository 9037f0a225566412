"""Table files in and out by the file's name: text, Parquet, Arrow, FITS, VOTable and ECSV.

Takes a path, returns a `pyarrow.Table` and the reverse; a file is written under another name and then moved.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from galclass.atomic_files import replacing
from galclass.catalog.identifiers import ID_COLUMNS
from galclass.catalog.packed import PACKED, check_declared
from galclass.catalog.text import LABEL_COLUMNS, read_text
from galclass.csv_cells import guarded_table, unguarded_table
from galclass.errors import CatalogError

_TEXT = (".csv", ".tsv", ".txt", ".dat", ".ascii")
_KINDS = {
    **dict.fromkeys(_TEXT, "text"),
    **dict.fromkeys((name + packed for name in _TEXT for packed in PACKED), "text"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".feather", ".arrow", ".ipc"), "arrow"),
    **dict.fromkeys((".fits", ".fit", ".fits.gz"), "fits"),
    **dict.fromkeys((".vot", ".vot.gz", ".xml", ".votable"), "votable"),
    ".ecsv": "ecsv",
}
_WRITTEN = {".csv", ".csv.gz", ".parquet", ".pq", ".fits", ".fit", ".fits.gz", ".vot", ".vot.gz", ".xml", ".votable"}
LIST_SEPARATOR = "|"


@dataclass(frozen=True)
class RawTable:
    """The columns of a file that a catalog can use, and what else is in it.

    Attributes
    ----------
    table : pyarrow.Table
        Text and numbers.
    left_out : dict of str to str
        Columns of another kind (images, lists, structs, complex numbers): name and type.
    chosen, others : str, tuple of str
        In a file of several tables the one that was read, and the names of all of them; else empty.
    comments, repeated_headers : int
        Lines among the rows of a text table that are none.
    """

    table: Any
    left_out: dict[str, str] = field(default_factory=dict)
    chosen: str = ""
    others: tuple[str, ...] = ()
    comments: int = 0
    repeated_headers: int = 0

    @property
    def aside(self) -> str:
        """What else the file has, in words that go on after the list of its columns."""
        words = ""
        if self.left_out:
            columns = ", ".join(f"{name} ({kind})" for name, kind in list(self.left_out.items())[:6])
            words += f"; not usable here: {columns}"
        if len(self.others) > 1:
            words += f"; in table {self.chosen} of {', '.join(self.others)}: choose with the setting table"
        return words


def table_kind(path: Path) -> str:
    """Return the kind of a table file by its name: text, parquet, arrow, fits, votable or ecsv.

    Raises
    ------
    CatalogError
        If the name says nothing.
    """
    return _KINDS[_suffix(path)]


def _suffix(path: Path) -> str:
    name = path.name.lower()
    found = [suffix for suffix in _KINDS if name.endswith(suffix)]
    if not found:
        advice = "save it as CSV in UTF-8" if name.endswith((".xlsx", ".xls", ".ods", ".h5", ".hdf5")) else None
        advice = (
            "unpack it" if name.endswith((*PACKED, ".zip", ".7z", ".rar", ".lz4", ".z", ".tar", ".tgz")) else advice
        )
        expected = ", ".join(one for one in _KINDS if not one.endswith(PACKED[1:]))
        raise CatalogError("not a table by its name", where=str(path), expected=expected, advice=advice)
    return max(found, key=len)


def read_table(path: Path | str, *, text_columns: frozenset[str] = frozenset()) -> Any:
    """Read a whole table file.

    Parameters
    ----------
    path : path
        The file; its suffix says the kind. Of several tables in a file the first is read.
    text_columns : frozenset of str
        Columns to read as text besides the known id columns (`ID_COLUMNS`), whatever their case; for files that have
        no types.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    CatalogError
        If the file is missing, empty or not what its name says.
    """
    path = Path(path)
    if _checked_kind(path) == "parquet":
        return _parquet(path, None)
    return read_raw(path, text_columns=text_columns).table


def read_raw(path: Path, *, text_columns: frozenset[str] = frozenset(), table: str | None = None) -> RawTable:
    """Read the columns of a table file that a catalog can use, and say what else is in it.

    Parameters
    ----------
    path, text_columns
        As for `read_table`.
    table : str, optional
        Which table of a FITS file (number of its extension, or EXTNAME) or VOTable (number from 1, name or ID).

    Raises
    ------
    CatalogError
        As for `read_table`, and if there is no such table.
    """
    kind = _checked_kind(path)
    lower = frozenset(name.lower() for name in text_columns)
    if kind in ("fits", "votable", "ecsv"):
        from galclass.catalog.astro import read_astro

        found = read_astro(path, kind, table)
        return RawTable(found.table, found.left_out, found.chosen, found.others)
    if table is not None:
        raise CatalogError("a file of this kind holds only one table", where=str(path), got=f"table = {table!r}")
    if kind == "text":
        text = read_text(path, lower)
        return RawTable(unguarded_table(text.table), comments=text.comments, repeated_headers=text.repeated_headers)
    return _flat_columns(path, kind, lower)


def _checked_kind(path: Path) -> str:
    kind = table_kind(path)
    check_is_file(path)
    return kind


def check_is_file(path: Path) -> None:
    """Check that a table is a file: it is read more than once, and a pipe may keep its reader waiting for ever.

    Raises
    ------
    CatalogError
        If there is none, or it is a folder, pipe, socket or device.
    """
    if path.is_file():
        return
    if path.exists():
        kind = "a folder" if path.is_dir() else "a pipe, socket or device: save the table as a file"
        raise CatalogError(f"the table is {kind}", where=str(path))
    raise CatalogError("table not found", where=str(path))


def _flat_columns(path: Path, kind: str, text_columns: frozenset[str]) -> RawTable:
    """Read a Parquet or Arrow file without its images: a column of them may not fit in memory."""
    whole = _arrow(path) if kind == "arrow" else None
    schema = _parquet_schema(path) if whole is None else whole.schema
    twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
    if twice:
        raise CatalogError(f"duplicate columns: {', '.join(twice)}", where=str(path))
    names_of_text = (text_columns | ID_COLUMNS | set(LABEL_COLUMNS)) - {"image"}
    left_out = {
        one.name: _kind_in_words(one.type)
        for one in schema
        if _is_nested(one.type) or (is_bytes(one.type) and one.name.strip().lower() not in names_of_text)
    }
    kept = [name for name in schema.names if name not in left_out]
    return RawTable(whole.select(kept) if whole is not None else _parquet(path, kept), left_out)


def _is_nested(kind: Any) -> bool:
    return pa.types.is_nested(kind) and not pa.types.is_run_end_encoded(kind)


def is_bytes(kind: Any) -> bool:
    """Return whether an Arrow type holds bytes that are not marked as text."""
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def _kind_in_words(kind: Any) -> str:
    return "struct" if pa.types.is_struct(kind) else "bytes" if is_bytes(kind) else "list"


def _parquet(path: Path, columns: list[str] | None) -> Any:
    import pyarrow.parquet

    try:
        about = pyarrow.parquet.read_metadata(path)
        check_declared(path, sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups)))
        return pyarrow.parquet.read_table(path, columns=columns, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"cannot be read as parquet: {error}", where=str(path)) from error


def _parquet_schema(path: Path) -> Any:
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"cannot be read as parquet: {error}", where=str(path)) from error


def _arrow(path: Path) -> Any:
    """Read a Feather or Arrow file, or a stream of Arrow's (as Hugging Face's datasets are stored)."""
    import pyarrow.feather

    with path.open("rb") as file:
        is_file = file.read(4) in (b"ARRO", b"FEA1")
    try:
        if is_file:
            return pyarrow.feather.read_table(path)
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_stream(source).read_all()
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"cannot be read as an Arrow file: {error}", where=str(path)) from error


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
    if _suffix(path) not in _WRITTEN:
        expected = ".parquet, .csv, .fits or .vot"
        raise CatalogError("tables cannot be written in this format", where=str(path), expected=expected)
    with replacing(path) as temporary:
        if kind == "parquet":
            import pyarrow.parquet

            pyarrow.parquet.write_table(table, temporary, compression="zstd")
        elif kind == "text":
            _write_csv(flat_lists(table), temporary)
        else:
            from galclass.catalog.astro import write_astro

            write_astro(flat_lists(table), temporary, kind, where=path)
    return path


def flat_lists(table: Any) -> Any:
    """Return a table whose list columns are text, with "|" between the parts."""
    for index, one in enumerate(table.schema):
        if pa.types.is_list(one.type) or pa.types.is_large_list(one.type):
            joined = pc.binary_join(pc.cast(table.column(index), pa.list_(pa.string())), LIST_SEPARATOR)
            table = table.set_column(index, one.name, joined)
    return table


def _write_csv(table: Any, path: Path) -> None:
    import pyarrow.csv

    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    with pa.output_stream(path, compression="gzip" if path.name.endswith(".gz") else None) as sink:
        pyarrow.csv.write_csv(guarded_table(table), sink, options)
