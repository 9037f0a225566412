"""Tables as text: separators, comments, byte order marks, quoting; read by Arrow, looked at only where they are odd.

Takes a path, returns a `pyarrow.Table`. A plain CSV file goes to Arrow as it is; only a file with comments among its
rows, repeated headers or another encoding is rewritten in memory first.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from galclass.catalog.foreign import kind_of
from galclass.catalog.header import Layout, decoded, find_layout, split_at_spaces
from galclass.catalog.identifiers import ID_COLUMNS
from galclass.catalog.packed import unpacked
from galclass.errors import CatalogError

LABEL_COLUMNS = ("label", "class_name", "gz2_class", "gz2class", "class", "morphology")
_TEXT_COLUMNS = ID_COLUMNS | set(LABEL_COLUMNS)
_GZ2_VOTES = re.compile(r"^t\d\d_.*_(count|weight|flag|fraction|debiased)$")  # published with float32's digits
_VOTES = re.compile(r"_(fraction|debiased|debiased_low|debiased_high)$|^class\d+\.\d+$", re.IGNORECASE)
_BLANK_LINE = re.compile(rb"(?:^|\n)[ \t\v\f]+\r?(?=\n|\Z)")
_FULL_LINE = re.compile(rb"[^\r\n]+")
_BOMS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8-sig",
}


@dataclass(frozen=True)
class TextTable:
    """A table and how many of its lines were comments or repeated headers among the rows."""

    table: Any
    comments: int = 0
    repeated_headers: int = 0


def read_text(path: Path, text_columns: frozenset[str]) -> TextTable:
    """Read a table whose columns are separated by commas, tabs, semicolons, vertical bars or spaces.

    Parameters
    ----------
    path : path
        The file, perhaps packed (gzip, bzip2, xz, Zstandard).
    text_columns : frozenset of str
        Lower-case names of columns to read as text besides the known ones.

    Raises
    ------
    CatalogError
        If it is empty, in an unknown encoding, or has rows of different lengths: with the line.
    """
    data, layout, comments, headers = _rows_and_layout(path, text_columns)
    table = _parsed(data, layout, path, text_columns | _TEXT_COLUMNS)
    for number in sorted(layout.unnamed, reverse=True):
        if table.column(number).null_count == len(table):
            table = table.remove_column(number)  # what a separator at the end of every row makes
    return TextTable(table, comments, headers)


@dataclass(frozen=True)
class Cells:
    """Names and rows of a table, every cell as the text it is; its comment lines and its separator."""

    names: list[str]
    rows: list[list[str]]
    comments: int
    delimiter: str


def read_cells(path: Path, text_columns: frozenset[str]) -> Cells:
    """Read the names and the rows of the same table, every cell as the text it is.

    Parameters
    ----------
    path, text_columns
        As for `read_text`.

    Raises
    ------
    CatalogError
        As for `read_text`.
    """
    data, layout, comments, _ = _rows_and_layout(path, text_columns)
    names = list(layout.names)
    stream = io.StringIO(data.decode(), newline="")
    try:
        rows = [row for row in csv.reader(stream, delimiter=_comma_for_spaces(layout)) if row]
    except csv.Error as error:
        raise CatalogError(f"cannot be read as text: {error}", where=str(path)) from error
    if any(len(row) != len(names) for row in rows):
        _check_lengths(data, layout, path)
    for number in sorted(layout.unnamed, reverse=True):
        if not any(row[number] for row in rows):
            del names[number]
            rows = [row[:number] + row[number + 1 :] for row in rows]
    return Cells(names, rows, layout.comments + comments, layout.delimiter)


def _rows_and_layout(path: Path, text_columns: frozenset[str]) -> tuple[bytes, Layout, int, int]:
    """Return the rows alone in UTF-8, their layout, and how many comments and repeated headers were left out."""
    data = _bytes_of(path)
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise CatalogError("this is not text", where=f"{path}, line {line}", expected="text in UTF-8", got="a NUL byte")
    try:
        layout = find_layout(data, path, text_columns | _TEXT_COLUMNS)
    except csv.Error as error:
        raise CatalogError(f"the first rows cannot be read: {error}", where=str(path)) from error
    if not data.isascii():
        decoded(data, path)
    if layout.delimiter == " ":
        rows, comments = _between_spaces(data, layout, path)
        return rows, layout, comments, 0
    if _has_more_than_rows(data, layout):
        rows, comments, headers = _rows_alone(data, layout)
        return rows, layout, comments, headers
    return data[layout.start :], layout, 0, 0


def _bytes_of(path: Path) -> bytes:
    """Return the file in UTF-8 without a byte order mark."""
    data = _in_utf8(unpacked(path.read_bytes(), path), path)
    if foreign := kind_of(data):
        raise CatalogError(f"this is {foreign.what}, not a table of text", where=str(path), advice=foreign.advice)
    if max(data[:200:2].count(0), data[1:200:2].count(0)) > min(20, len(data[:200]) // 4):
        raise CatalogError(
            "this looks like UTF-16 without a byte order mark", where=f"{path}, line 1", advice="save it as UTF-8"
        )
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def _in_utf8(data: bytes, path: Path) -> bytes:
    """Return text in UTF-8 if a byte order mark says its encoding, without the mark; else the bytes as they are."""
    encoding = next((name for mark, name in _BOMS.items() if data.startswith(mark)), None)
    if encoding is None:
        return data
    if encoding == "utf-8-sig":
        return data[3:]
    try:
        return data.decode(encoding).encode()
    except UnicodeError as error:
        raise CatalogError(f"damaged {encoding.upper()}: {error}", where=str(path)) from error


def _has_more_than_rows(data: bytes, layout: Layout) -> bool:
    """Return whether there may be comments, lines of blanks or the header again among the rows."""
    start = max(0, layout.start - 1)
    if data.find(b"\n#", start) >= 0:
        return True
    if len(layout.names) == 1:
        return False
    return data.find(b"\n" + layout.header.encode(), start) >= 0 or _BLANK_LINE.search(data, start) is not None


def _rows_alone(data: bytes, layout: Layout) -> tuple[bytes, int, int]:
    """Return the rows; lines that start with "#" and repetitions of the header become empty ones and are counted."""
    header, delimiter = layout.header.encode(), layout.delimiter.encode()
    several = len(layout.names) > 1
    kept: list[bytes] = []
    comments = headers = 0
    for line, starts_row in _lines(data[layout.start :], delimiter):
        if starts_row and several and line.rstrip(b"\r\n") == header:
            headers += 1
        elif starts_row and line.startswith(b"#"):
            comments += 1
        elif not (starts_row and several and delimiter not in line and not line.strip()):
            kept.append(line)
            continue
        kept.append(b"\n")  # so that messages have the file's own line numbers
    return b"".join(kept), comments, headers


def _lines(rows: bytes, delimiter: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield each line and whether it begins a row, that is, is not inside quotes opened on an earlier line."""
    inside = False
    for line in rows.splitlines(keepends=True):
        yield line, not inside
        if b'"' in line:
            inside = _ends_inside_quotes(line, delimiter, inside)


def _ends_inside_quotes(line: bytes, delimiter: bytes, inside: bool) -> bool:
    """Return whether a cell continues after a line; only at the start of a cell does a quote open one."""
    offset, starts_cell = 0, not inside
    while True:
        if inside:
            quote = line.find(b'"', offset)
            if quote < 0:
                return True
            inside = line.startswith(b'""', quote)
            offset, starts_cell = quote + (2 if inside else 1), False
        elif starts_cell and line.startswith(b'"', offset):
            inside, offset = True, offset + 1
        else:
            offset, starts_cell = line.find(delimiter, offset) + 1, True
            if not offset:
                return False


def _between_spaces(data: bytes, layout: Layout, path: Path) -> tuple[bytes, int]:
    """Return the rows of a table between spaces as CSV (EFIGI, TOPCAT's ASCII), and count the comments among them."""
    out = io.StringIO()
    comments = 0
    writer = csv.writer(out, lineterminator="\n")
    for number, line in enumerate(data[layout.start :].decode().split("\n"), start=layout.lines + 1):
        if not line.strip() or line.lstrip().startswith("#"):
            comments += line.lstrip().startswith("#")
            continue
        cells = split_at_spaces(line)
        if len(cells) != len(layout.names):
            raise _ragged(path, number, layout, len(cells))
        writer.writerow(cells)
    return out.getvalue().encode(), comments


def _parsed(data: bytes, layout: Layout, path: Path, text_columns: frozenset[str]) -> Any:
    names = list(layout.names)
    types = {name: pa.float64() for name in names if _VOTES.search(name)}
    types |= {name: pa.float32() for name in names if _GZ2_VOTES.search(name)}
    types |= {name: pa.string() for name in names if name.lower() in text_columns}
    if not data.strip():
        return pa.table({name: pa.array([], types.get(name, pa.string())) for name in names})
    quotes = data.count(b'"')
    if quotes % 2:
        _check_quotes(data, layout, path)
    read = pyarrow.csv.ReadOptions(column_names=names, block_size=16 << 20)
    parse = pyarrow.csv.ParseOptions(delimiter=_comma_for_spaces(layout), newlines_in_values=quotes > 0)
    # A type guessed from the first rows may not hold: then the other columns go as text; and where a vote is no number,
    # all do, so that the reader of the catalog can name its row.
    as_text = {name: pa.string() for name in names}
    error: Exception | None = None
    for chosen in (types, as_text | types, as_text):
        convert = pyarrow.csv.ConvertOptions(column_types=chosen, strings_can_be_null=True)
        try:
            table = pyarrow.csv.read_csv(pa.BufferReader(pa.py_buffer(data)), read, parse, convert)
            if quotes and len(table) < len(_FULL_LINE.findall(data)):  # some cell has a line break
                _check_quotes(data, layout, path)
            return table
        except pa.ArrowInvalid as failure:
            error = failure
            if "conversion error" not in str(failure):
                break
    _check_lengths(data, layout, path)
    raise CatalogError(f"cannot be read as text: {error}", where=str(path)) from error


def _comma_for_spaces(layout: Layout) -> str:
    return "," if layout.delimiter == " " else layout.delimiter


def _check_quotes(rows: bytes, layout: Layout, path: Path) -> None:
    """Find a quote that is never closed, or closed in the middle of a cell after it swallowed lines.

    A cell of one line such as "a"b is read as it stands.
    """
    reader = csv.reader(io.StringIO(rows.decode(), newline=""), delimiter=_comma_for_spaces(layout), strict=True)
    while True:
        begin = reader.line_num
        try:
            next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field larger" in str(error):
                return
            if reader.line_num - begin > 1 or "unexpected end" in str(error):
                raise CatalogError(
                    f"unterminated quoted cell: {error}",
                    where=f"{path}, line {layout.lines + begin + 1}",
                    advice='double a quote inside quotes: "5"" dish"',
                ) from error


def _check_lengths(rows: bytes, layout: Layout, path: Path) -> None:
    reader = csv.reader(io.StringIO(rows.decode(), newline=""), delimiter=_comma_for_spaces(layout))
    while True:
        begin = reader.line_num
        try:
            cells = next(reader, None)
        except csv.Error:  # a cell too long for this reader: which row is wrong remains unknown
            return
        if cells is None:
            return
        if cells and len(cells) != len(layout.names):
            raise _ragged(path, layout.lines + begin + 1, layout, len(cells))


def _ragged(path: Path, line: int, layout: Layout, got: int) -> CatalogError:
    advice = "quote cells that contain the separator"
    if len(layout.names) == 1 and got > 1:
        advice = 'put "#" in front of notes above the header'
    shown = layout.header.strip()[:60]
    return CatalogError(
        f"a row and the header differ in their number of columns {shown!r}",
        where=f"{path}, line {line}",
        expected=len(layout.names),
        got=got,
        advice=advice,
    )
