"""Where a table of text begins: leading comments, the separator, and the names of its columns.

Takes the first lines of a file, returns a `Layout`.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from galclass.errors import CatalogError

_SEPARATORS = ",\t;|"
_LOOKED_AT = 30  # rows that show which separator fits
_AROUND_NAMES = " \t\r\n\v\f\u00a0\u200b\ufeff"
_POSITIONS = {"ra", "dec", "raj2000", "dej2000", "z", "redshift"}


@dataclass(frozen=True)
class Layout:
    """How a text table is laid out.

    Attributes
    ----------
    names : tuple of str
        Names of the columns, without spaces round them; `column_2` for the second one without a name.
    delimiter : str
        Comma, tab, semicolon, bar, or a space for any number of spaces.
    start : int
        Byte at which the rows begin.
    lines : int
        Lines before the rows.
    header : str
        The line of names as it stands in the file.
    unnamed : tuple of int
        Columns without a name.
    comments : int
        Comment lines above the names.
    """

    names: tuple[str, ...]
    delimiter: str
    start: int
    lines: int
    header: str
    unnamed: tuple[int, ...] = ()
    comments: int = 0


@dataclass(frozen=True)
class _Head:
    """Comments before the table, its first line, the rows after it, and which separator Excel announced."""

    comments: list[str]
    first: str
    rows: list[str]
    before: int  # bytes before the first line
    lines: int  # lines before it
    announced: str | None


def find_layout(data: bytes, path: Path, known: frozenset[str]) -> Layout:
    """Find separator and names.

    Parameters
    ----------
    data : bytes
        The file in UTF-8.
    path : path
        Its suffix says which separator is tried first.
    known : frozenset of str
        Lower-case names that distinguish a header from a row.

    Raises
    ------
    CatalogError
        If the file is empty, the separator is unclear, or a name comes twice.
    """
    head = _head(data, path)
    delimiter = head.announced or _delimiter(head, path)
    first, *rest = (_cells(line, delimiter) for line in (head.first, *head.rows))
    names, header, start, lines = first, head.first, head.before + len(head.first.encode()), head.lines + 1
    comments = len(head.comments)
    commented = _cells(head.comments[-1].lstrip("#").strip(), delimiter) if head.comments else []
    if len(commented) == len(first) and len(first) > 1 and _is_header(commented, first, known):
        names, header, start, lines = commented, head.comments[-1], head.before, head.lines
        comments -= 1
    elif rest and all(len(cells) == len(first) + 1 and not cells[-1] for cells in rest):
        names = [*first, ""]  # a separator at the end of every row but the header
    names = [name.strip(_AROUND_NAMES) for name in names]
    if not any(names):
        raise CatalogError("the table is empty", where=str(path), expected="a header and rows")
    unnamed = tuple(number for number, name in enumerate(names) if not name)
    names = [name or f"column_{number}" for number, name in enumerate(names, start=1)]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise CatalogError(f"duplicate columns: {', '.join(twice)}", where=str(path))
    return Layout(tuple(names), delimiter, start, lines, header.rstrip("\r\n"), unnamed, comments)


def _head(data: bytes, path: Path) -> _Head:
    comments: list[str] = []
    before = lines = 0
    announced = None
    stream = io.BytesIO(data)
    for raw in stream:
        line = decoded(raw, path, lines + 1)
        stripped = line.strip()
        if stripped.lower().startswith("sep=") and len(stripped) == 5:
            announced = stripped[4]
        elif line.startswith("#"):
            comments.append(line)
        elif stripped:
            break
        before, lines = before + len(raw), lines + 1
    else:
        return _only_comments(comments, path, before, lines, announced)
    first = line
    while first.count('"') % 2 and (raw := stream.readline()):  # a name with a line break in quotes
        first += decoded(raw, path, lines + 1)
    rows: list[str] = []
    for number, raw in enumerate(stream, start=lines + 2):
        row = decoded(raw, path, number)
        if row.strip() and not row.startswith("#"):
            rows.append(row)
        if len(rows) == _LOOKED_AT:
            break
    return _Head(comments, first, rows, before, lines + first.count("\n") - 1, announced)


def _only_comments(comments: list[str], path: Path, before: int, lines: int, announced: str | None) -> _Head:
    """Take the last comment of a file without rows for its header."""
    if not comments:
        raise CatalogError("the table is empty", where=str(path), expected="a header and rows")
    first = comments.pop().lstrip("#")
    return _Head(comments, first, [], before - len(first.encode()), lines - 1, announced)


def decoded(data: bytes, path: Path, line: int = 1) -> str:
    """Return UTF-8 as text.

    Parameters
    ----------
    data : bytes
    path : path
    line : int
        Number of its first line in the file.

    Raises
    ------
    CatalogError
        With the line that is in another encoding, and what to do.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        number = line + data.count(b"\n", 0, error.start)
        begin = data.rfind(b"\n", 0, error.start) + 1
        shown = data[begin : error.end + 20].split(b"\n")[0].decode("latin-1").strip()
        raise CatalogError(
            "a line is not in UTF-8",
            where=f"{path}, line {number}",
            got=f"{shown[:80]!r} if it is Latin-1",
            advice="save the table as UTF-8, e.g. `iconv -f latin1 -t utf-8 OLD > NEW`",
        ) from error


def split_at_spaces(line: str) -> list[str]:
    """Split a line at spaces outside quotes."""
    if '"' not in line:
        return line.split()
    return [quoted or bare for quoted, bare in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)]


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return split_at_spaces(line)
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])


def _delimiter(head: _Head, path: Path) -> str:
    """Return the separator that the suffix says if it fits, else the only other one that does."""
    name = path.name.lower()
    spaces = not re.search(r"\.[ct]sv(\.(gz|bz2|xz|zst))?$", name)
    usual = "\t" if ".tsv" in name else ","
    fitting = [sign for sign in _SEPARATORS if _fits(head, sign)]
    if usual in fitting:
        return usual
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        raise CatalogError(
            "the separator is unclear",
            where=str(path),
            expected="commas (.csv) or tabs (.tsv)",
            got=" and ".join(repr(sign) for sign in fitting) + f" in {head.first.strip()[:80]!r}",
            advice="save it with commas",
        )
    return " " if spaces else usual


def _fits(head: _Head, sign: str) -> bool:
    count = len(_cells(head.first, sign))
    lengths = [len(_cells(row, sign)) for row in head.rows if row.count('"') % 2 == 0]
    return count > 1 and sum(length in (count, count + 1) for length in lengths) * 2 >= len(lengths)


def _is_header(commented: list[str], first: list[str], known: frozenset[str]) -> bool:
    """Return whether the last comment, not the first line, holds the names."""
    names, others = ({cell.strip().lower() for cell in cells} for cells in (commented, first))
    usual = known | _POSITIONS
    if bool(names & usual) != bool(others & usual):
        return bool(names & usual)
    return any(map(_is_number, others)) and not any(map(_is_number, names))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
