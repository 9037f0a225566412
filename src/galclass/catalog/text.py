"""Tables as text: separators, comments, byte order marks, quoting; read by Arrow, looked at only where they are odd.

Takes a path, gives a `pyarrow.Table`. A plain CSV file goes to Arrow as it is; only a file with comments among its
rows, repeated headers or another encoding is rewritten in memory first.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from galclass.catalog.header import Layout, decoded, find_layout, split_at_spaces
from galclass.catalog.identifiers import ID_COLUMNS
from galclass.errors import CatalogError

LABEL_COLUMNS = ("label", "class_name", "gz2_class", "gz2class", "class", "morphology")
_TEXT_COLUMNS = ID_COLUMNS | set(LABEL_COLUMNS)
_GZ2_VOTES = re.compile(r"^t\d\d_.*_(count|weight|flag|fraction|debiased)$")  # published with float32's digits
_VOTES = re.compile(r"_(fraction|debiased|debiased_low|debiased_high)$|^class\d+\.\d+$", re.IGNORECASE)
_BOMS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8-sig",
}

_NO_TEXT = (
    (b"pk\3\4", "a zip archive or a spreadsheet", "unpack it, or save it as CSV in UTF-8"),
    (b"par1", "a Parquet file", "name it .parquet"),
    (b"arrow1", "an Arrow file", "name it .arrow"),
    (b"simple  =", "a FITS file", "name it .fits"),
    (b"\x89hdf", "an HDF5 file", "save it as Parquet or CSV"),
    (b"<!doctype html", "a web page", "look at it in a browser: it may say what went wrong"),
    (b"<html", "a web page", "look at it in a browser: it may say what went wrong"),
    (b"<?xml", "XML", "name a VOTable .vot"),
    (b"{", "JSON", "save it as CSV or Parquet"),
)
"""How files of other kinds begin, in lower case, what they are, and what to do."""


@dataclass(frozen=True)
class TextTable:
    """A table and how many of its lines were comments or repeated headers among the rows."""

    table: Any
    comments: int = 0
    repeated_headers: int = 0


def read_text(path: Path, text_columns: frozenset[str]) -> TextTable:
    """Read a table whose columns stand between commas, tabs, semicolons, bars or spaces.

    Parameters
    ----------
    path : path
        The file, perhaps gzipped.
    text_columns : frozenset of str
        Lower-case names of columns to read as text besides the known ones.

    Raises
    ------
    CatalogError
        If it is empty, in an unknown encoding, or has rows of different lengths: with the line.
    """
    data = _bytes_of(path)
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise CatalogError("this is no text", where=f"{path}, line {line}", expected="text in UTF-8", got="a NUL byte")
    try:
        layout = find_layout(data, path, text_columns | _TEXT_COLUMNS)
    except csv.Error as error:
        raise CatalogError(f"the first rows cannot be read: {error}", where=str(path)) from error
    if not data.isascii():
        decoded(data, path)
    start, comments, headers = layout.start, 0, 0
    if layout.delimiter == " ":
        data, start = _between_spaces(data, layout, path), 0
    elif _has_more_than_rows(data, layout):
        data, comments, headers = _rows_alone(data, layout)
        start = 0
    table = _parsed(data, start, layout, path, text_columns | _TEXT_COLUMNS)
    for number in sorted(layout.unnamed, reverse=True):
        if table.column(number).null_count == len(table):
            table = table.remove_column(number)  # what a separator at the end of every row makes
    return TextTable(table, comments, headers)


def _bytes_of(path: Path) -> bytes:
    """Return the file in UTF-8 without a byte order mark."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise CatalogError(f"cannot be unpacked: {error}", where=str(path)) from error
    encoding = next((name for mark, name in _BOMS.items() if data.startswith(mark)), None)
    if encoding == "utf-8-sig":
        return data[3:]
    if encoding is not None:
        try:
            return data.decode(encoding).encode()
        except UnicodeError as error:
            raise CatalogError(f"damaged {encoding.upper()}: {error}", where=str(path)) from error
    for begin, what, advice in _NO_TEXT:
        if data[:64].lstrip().lower().startswith(begin):
            raise CatalogError(f"this is {what}, not a table of text", where=str(path), advice=advice)
    if max(data[:200:2].count(0), data[1:200:2].count(0)) > min(20, len(data[:200]) // 4):
        raise CatalogError(
            "this looks like UTF-16 without a byte order mark", where=f"{path}, line 1", advice="save it as UTF-8"
        )
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def _has_more_than_rows(data: bytes, layout: Layout) -> bool:
    """Say whether there may be comments or the header again among the rows."""
    if data.find(b"\n#", max(0, layout.start - 1)) >= 0:
        return True
    return len(layout.names) > 1 and data.find(b"\n" + layout.header.encode(), max(0, layout.start - 1)) >= 0


def _rows_alone(data: bytes, layout: Layout) -> tuple[bytes, int, int]:
    """Return the rows; lines that start with "#" and repetitions of the header are left out and counted."""
    header = layout.header.encode()
    kept: list[bytes] = []
    comments = headers = 0
    for line, starts_row in _lines(data[layout.start :]):
        if starts_row and len(layout.names) > 1 and line.rstrip(b"\r\n") == header:
            headers += 1
        elif starts_row and line.startswith(b"#"):
            comments += 1
        else:
            kept.append(line)
    return b"".join(kept), comments, headers


def _lines(rows: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield each line and whether it begins a row, that is, lies in no quotes that an earlier line opened."""
    inside = False
    for line in rows.splitlines(keepends=True):
        yield line, not inside
        inside ^= line.count(b'"') % 2 == 1


def _between_spaces(data: bytes, layout: Layout, path: Path) -> bytes:
    """Return the rows of a table between spaces as CSV (EFIGI, TOPCAT's ASCII)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for number, line in enumerate(data[layout.start :].decode().split("\n"), start=layout.lines + 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cells = split_at_spaces(line)
        if len(cells) != len(layout.names):
            raise _ragged(path, number, layout, len(cells))
        writer.writerow(cells)
    return out.getvalue().encode()


def _parsed(data: bytes, start: int, layout: Layout, path: Path, text_columns: frozenset[str]) -> Any:
    names = list(layout.names)
    types = {name: pa.float64() for name in names if _VOTES.search(name)}
    types |= {name: pa.float32() for name in names if _GZ2_VOTES.search(name)}
    types |= {name: pa.string() for name in names if name.lower() in text_columns}
    if not data[start:].strip():
        return pa.table({name: pa.array([], types.get(name, pa.string())) for name in names})
    quotes = data.count(b'"', start)
    if quotes % 2:
        _check_quotes(data[start:], layout, path)
    read = pyarrow.csv.ReadOptions(column_names=names, block_size=16 << 20)
    parse = pyarrow.csv.ParseOptions(delimiter=_comma_for_spaces(layout), newlines_in_values=quotes > 0)
    # A type guessed from the first rows may not hold: then the other columns go as text; and where a vote is no number,
    # all do, so that the reader of the catalog can name its row.
    as_text = {name: pa.string() for name in names}
    error: Exception | None = None
    for chosen in (types, as_text | types, as_text):
        convert = pyarrow.csv.ConvertOptions(column_types=chosen, strings_can_be_null=True)
        try:
            table = pyarrow.csv.read_csv(pa.BufferReader(pa.py_buffer(data)[start:]), read, parse, convert)
            if quotes and len(table) < data.count(b"\n", start):  # some cell has a line break
                _check_quotes(data[start:], layout, path)
            return table
        except pa.ArrowInvalid as failure:
            error = failure
            if "conversion error" not in str(failure):
                break
    _check_lengths(data[start:], layout, path)
    raise CatalogError(f"cannot be read as text: {error}", where=str(path)) from error


def _comma_for_spaces(layout: Layout) -> str:
    return "," if layout.delimiter == " " else layout.delimiter


def _check_quotes(rows: bytes, layout: Layout, path: Path) -> None:
    """Find a quote that is never closed, or closed in the middle of a cell: it would swallow the rows after it."""
    reader = csv.reader(io.StringIO(rows.decode(), newline=""), delimiter=_comma_for_spaces(layout), strict=True)
    begin = 0
    try:
        for _ in reader:
            begin = reader.line_num
    except csv.Error as error:
        raise CatalogError(
            f"a quoted cell does not end: {error}",
            where=f"{path}, line {layout.lines + begin + 1}",
            advice='write a quote inside of quotes twice: "5"" dish"',
        ) from error


def _check_lengths(rows: bytes, layout: Layout, path: Path) -> None:
    reader = csv.reader(io.StringIO(rows.decode(), newline=""), delimiter=_comma_for_spaces(layout))
    begin = 0
    for cells in reader:
        if cells and len(cells) != len(layout.names):
            raise _ragged(path, layout.lines + begin + 1, layout, len(cells))
        begin = reader.line_num


def _ragged(path: Path, line: int, layout: Layout, got: int) -> CatalogError:
    advice = "quote cells that contain the separator"
    if len(layout.names) == 1 and got > 1:
        advice = 'put "#" in front of notes above the header'
    shown = layout.header.strip()[:60]
    return CatalogError(
        f"a row has another number of columns than the header {shown!r}",
        where=f"{path}, line {line}",
        expected=len(layout.names),
        got=got,
        advice=advice,
    )
