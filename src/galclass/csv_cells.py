"""Text in CSV files: what a spreadsheet would run as a formula gets an apostrophe in front, and loses it when read.

One rule for every CSV file that is written here: predictions, exports, query results, catalogs, and the page's own.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol

_BLANK = r"[\s\x00-\x1f\u200b\ufeff]"
"""What spreadsheets take from the front of a cell before they look at it."""

_FORMULA = re.compile(rf"'*(?:{_BLANK}*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])")
"""A formula, also behind apostrophes: one of the rule's own must come off again, and no other."""

_NUMBER = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]\d{1,3}([: ])\d{1,2}(?:\1\d{1,2})?(?:\.\d*)?|[+-]", re.ASCII
)
"""Text that begins like a formula but is a number, a declination or a lone sign: it stays as other programs need it."""


class Sink(Protocol):
    """What text is written to."""

    def write(self, text: str, /) -> object:
        """Take a piece of text."""


def guarded(value: Any) -> Any:
    """Return a cell as it is written: text that looks like a formula gets a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and _is_formula(value) else value


def unguarded(text: str) -> str:
    """Return the text as it was before `guarded`."""
    return text[1:] if text.startswith("'") and _is_formula(text) else text


def _is_formula(text: str) -> bool:
    return text[:1] not in _HARMLESS and _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None


_HARMLESS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") | {""}
"""First characters that decide at once; most cells begin so."""


class CsvRows:
    """Writes rows as CSV, a header first; lines end in LF, and a cell with a line break of either kind is quoted.

    Parameters
    ----------
    sink : Sink
        A text file opened with newline="", or a `StringIO` made so.
    columns : iterable of str
        Names; they are guarded too, as a statement or a model can choose them.
    """

    def __init__(self, sink: Sink, columns: Iterable[str]) -> None:
        self._writer = csv.writer(LineFeeds(sink), lineterminator="\r\n")
        self.write(columns)

    def write(self, values: Iterable[Any]) -> None:
        """Add a row; None is written as nothing."""
        self._writer.writerow([guarded(value) for value in values])


class LineFeeds:
    """Ends lines in LF; a `csv.writer` set to LF itself would not quote a cell with a carriage return."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, line: str, /) -> object:
        """Write a row that ends in CR LF."""
        return self._sink.write(line[:-2] + "\n")


def guarded_table(table: Any) -> Any:
    """Return a `pyarrow.Table` with text cells and column names as they are written to CSV."""
    return _changed(table, guarded)


def unguarded_table(table: Any) -> Any:
    """Return the `pyarrow.Table` that was written, from one that was read from CSV."""
    return _changed(table, unguarded)


def _changed(table: Any, change: Callable[[str], str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = table.column(index)
            if pc.any(pc.match_substring_regex(column, "^[^0-9A-Za-z]")).as_py():  # few columns have such a cell
                values = [value if value is None else change(value) for value in column.to_pylist()]
                table = table.set_column(index, field, pa.array(values, field.type))
    return table.rename_columns([change(name) for name in table.column_names])
