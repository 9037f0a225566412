"""How a user's table of text is written: its separator and decimal sign, which a table with more columns keeps."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from galclass.csv_cells import LineFeeds, guarded

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", " ": "spaces"}
_WITH_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?").fullmatch
_WITH_POINT = re.compile(r"[+-]?\d+\.\d+(?:[eE][+-]?\d+)?").fullmatch


@dataclass(frozen=True)
class Dialect:
    """The separator of a table of text, and whether its fractions have a decimal comma."""

    delimiter: str = ","
    decimal_comma: bool = False

    @classmethod
    def of(cls, delimiter: str, rows: Sequence[Sequence[str]]) -> Dialect:
        """Return the dialect of a table; it has decimal commas if some cells do and none has a decimal point."""
        if delimiter == ",":
            return cls()
        cells = [cell.strip() for row in rows for cell in row]
        return cls(delimiter, any(map(_WITH_COMMA, cells)) and not any(map(_WITH_POINT, cells)))

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
        writer = csv.writer(LineFeeds(file), delimiter=dialect.delimiter, lineterminator="\r\n")
        writer.writerow(names)
        writer.writerows(zip(*theirs, *mine, strict=True))


def _cell(value: Any, dialect: Dialect) -> Any:
    if value is None:
        return ""
    if isinstance(value, float) and dialect.decimal_comma:
        return repr(value).replace(".", ",")
    return guarded(value)
