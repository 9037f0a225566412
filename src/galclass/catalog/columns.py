"""Find columns by name whatever their case, and name every one that is missing at once; read numbers and labels."""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.identifiers import is_blank, plain_text_or_numbers
from galclass.errors import CatalogError

ROW = "__row"  # row number of the file, carried along while a table is read


class Columns:
    """The columns of a table by lower-case name.

    Parameters
    ----------
    table : pyarrow.Table
    where : str
        The file, for messages.
    other : str
        What else the file has (other tables, columns of no use), for messages about missing columns.

    Raises
    ------
    CatalogError
        If two columns have the same name, spaces round it aside.
    """

    def __init__(self, table: Any, where: str, other: str = "") -> None:
        names = [name.strip() for name in table.column_names]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise CatalogError(f"duplicate columns: {', '.join(twice)}", where=where)
        self.table, self.where, self._other = table.rename_columns(names), where, other
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._by_name[name.lower()].append(name)

    def has(self, *names: str) -> bool:
        """Whether all these columns are there."""
        return all(name.strip().lower() in self._by_name for name in names)

    def first(self, *names: str) -> str | None:
        """Return the first of these names that is there, in lower case."""
        return next((name.strip().lower() for name in names if self.has(name)), None)

    def real_name(self, name: str) -> str:
        """Return the spelling of a column in the file.

        Raises
        ------
        CatalogError
            If several columns differ in case only and none is spelt like `name`, or `name` is no user's spelling.
        """
        spellings = self._by_name[name.strip().lower()]
        if len(spellings) > 1:
            raise CatalogError(
                f"duplicate columns: {' and '.join(spellings)} differ in case only",
                where=self.where,
                advice="rename one of them",
            )
        return spellings[0]

    def get(self, name: str) -> Any:
        """Return a column in one chunk."""
        return self.chunks(name).combine_chunks()

    def chunks(self, name: str) -> Any:
        """Return a column as stored in memory."""
        return self.table[self.real_name(name)]

    def at(self, name: str) -> str:
        """Name the file and the column, for messages."""
        return f"{self.where}, column {self.real_name(name)}"

    def require(self, names: Iterable[str], *, advice: str | None = None) -> None:
        """Raise one error for all columns that are missing.

        Raises
        ------
        CatalogError
            With the nearest name that is there for each.
        """
        missing = [name for name in names if not self.has(name)]
        if not missing:
            return
        hints = []
        for name in missing:
            close = difflib.get_close_matches(name.lower(), self._by_name, n=1)
            hints.append(f"{name} (did you mean {self._by_name[close[0]][0]}?)" if close else name)
        there = [name for name in self.table.column_names if name != ROW]
        shown = ", ".join(there[:12]) + (f", ... ({len(there)} columns)" if len(there) > 12 else "")
        raise CatalogError(
            f"columns are missing: {', '.join(hints)}", where=self.where, got=shown + self._other, advice=advice
        )


def as_float(column: Any, name: str, where: str) -> Any:
    """Return a numeric column as float64; NaN, blank and what `BLANKS` lists as null.

    Raises
    ------
    CatalogError
        If it holds something that is no number: the first such value with its row.
    """
    named = f"{where}, column {name}"
    column = plain_text_or_numbers(column, named)
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        column = pc.if_else(is_blank(column), pa.scalar(None, pa.string()), column)
    try:
        values = pc.cast(column, pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row, value = _first_not_a_number(column)
        if row is None:
            raise CatalogError(f"column {name} is not numeric", where=where, got=str(column.type)) from error
        advice = None
        if re.fullmatch(r"[+-]?[\d.,' ]+", value):
            advice = "write numbers with a decimal point and without thousands separators"
        raise CatalogError("not a number", where=f"{named}, row {row}", got=repr(value), advice=advice) from error
    return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)


def _first_not_a_number(column: Any) -> tuple[int | None, Any]:
    if not pa.types.is_string(column.type):
        return None, None
    for row, value in enumerate(column.to_pylist(), start=1):
        try:
            pc.cast(pa.scalar(value, pa.string()), pa.float64())
        except pa.ArrowInvalid:
            return row, value
    return None, None


def as_labels(column: Any, name: str, where: str) -> Any:
    """Return a column of labels as text: without spaces round it, blank as null.

    Whole numbers have no point and truths are True and False, as text too: R writes TRUE, pandas 1.0 beside gaps.

    Raises
    ------
    CatalogError
        If the column holds lists, structs or other things that are no labels.
    """
    column = plain_text_or_numbers(column, f"{where}, column {name}")
    kind = column.type
    if pa.types.is_floating(kind):  # class numbers in a column with gaps, as pandas writes them
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    elif pa.types.is_boolean(kind):  # as text tables have them
        column = pc.if_else(column, "True", "False")
    elif not (pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise CatalogError(
            f"labels cannot be of type {kind}", where=f"{where}, column {name}", advice="name the column of labels"
        )
    text = pc.cast(column, pa.string())
    text = pc.utf8_trim(text, "\0 \t\r\n\v\f\u00a0\ufeff")
    text = pc.if_else(is_blank(text), pa.scalar(None, pa.string()), text)
    known = [label for label in pc.unique(text).to_pylist() if label is not None]
    if known and all(label.lower() in ("true", "false") for label in known):
        return pc.utf8_capitalize(text)
    if pa.types.is_floating(kind) or all(re.fullmatch(r"-?\d+\.0", label) for label in known):
        return pc.replace_substring_regex(text, r"\.0$", "")
    return text


def plain_label(label: str) -> str:
    """Return a label as `as_labels` reads it from a column of truths or of whole numbers with a point.

    Two names of the same plain label are one: models may have classes as tables had them written.
    """
    if label.lower() in ("true", "false"):
        return label.capitalize()
    return label[:-2] if re.fullmatch(r"-?\d+\.0", label) else label
