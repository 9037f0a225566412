"""How a user's table of text is written: its separator and decimal sign, which a table with more columns keeps."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from galclass.csv_cells import LineFeeds, guarded

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", " ": "spaces"}
_WITH_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?").fullmatch
_MISSING = ("", "na", "nan", "n/a", "null", "none", "-", "--")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?").fullmatch
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+").fullmatch
_WITH_POINT = re.compile(r"[+-]?\d+\.\d+(?:[eE][+-]?\d+)?").fullmatch


@dataclass(frozen=True)
class Dialect:
    """The separator of a table of text, and whether its fractions have a decimal comma."""

    delimiter: str = ","
    decimal_comma: bool = False

    @classmethod
    def of(cls, delimiter: str, columns: Sequence[Sequence[str]]) -> Dialect:
        """Return the dialect of a table, given its columns without those of ids and file names.

        It has decimal commas if some column of numbers does and none has decimal points; 1.234 may be a thousand.
        """
        if delimiter == ",":
            return cls()
        filled = [[cell.strip() for cell in column if cell.strip().lower() not in _MISSING] for column in columns]
        numbers = [column for column in filled if column and all(map(_NUMBER, column))]
        points = any(_WITH_POINT(cell) and not _THOUSANDS(cell) for column in numbers for cell in column)
        return cls(delimiter, not points and any(_WITH_COMMA(cell) for column in numbers for cell in column))

    def written_to(self, path: Path, source: Path) -> Dialect:
        """Return the dialect of the new table: tabs in .tsv; in .csv that of the table, but for spaces and .tsv."""
        if path.suffix.lower() == ".tsv":
            return Dialect("\t", self.decimal_comma)
        kept = self.delimiter in ",;|" or (self.delimiter == "\t" and source.suffix.lower() == path.suffix.lower())
        return self if kept else Dialect()

    def remark(self, path: Path, source: Path) -> str:
        """Say how the new table is written where that is not obvious from its name; empty otherwise."""
        if path.suffix.lower() not in (".csv", ".tsv"):
            return "fractions with decimal commas stay text" if self.decimal_comma else ""
        new = self.written_to(path, source)
        usual = "\t" if path.suffix.lower() == ".tsv" else ","
        if new == Dialect(usual) and not self.decimal_comma and self.delimiter != " ":
            return ""
        commas = ", with decimal commas" if new.decimal_comma else ""
        as_before = ", as the table is" if new == self else f" (the table: {_NAMES[self.delimiter]})"
        return f"written with {_NAMES[new.delimiter]} between the columns{commas}{as_before}"


COMMAS = Dialect()


def write_cells(table: pa.Table, ours: pa.Table, path: Path, dialect: Dialect) -> None:
    """Write the user's cells unchanged, and ours guarded against spreadsheet formulas."""
    names = [*table.column_names, *ours.column_names]
    theirs = [["" if v is None else v for v in table.column(at).to_pylist()] for at in range(table.num_columns)]
    mine = [[_cell(value, dialect) for value in column.to_pylist()] for column in ours.columns]
    with path.open("w", newline="", encoding="utf-8") as file:
        hashes = bool(theirs) and any(str(cell).lstrip().startswith("#") for cell in [names[0], *theirs[0]])
        quoting: Literal[0, 1] = csv.QUOTE_ALL if hashes else csv.QUOTE_MINIMAL  # such a row would be a comment
        writer = csv.writer(LineFeeds(file), delimiter=dialect.delimiter, lineterminator="\r\n", quoting=quoting)
        writer.writerow(names)
        writer.writerows(zip(*theirs, *mine, strict=True))


def _cell(value: Any, dialect: Dialect) -> Any:
    if value is None:
        return ""
    if isinstance(value, float) and dialect.decimal_comma:
        return repr(value).replace(".", ",")
    return guarded(value)
