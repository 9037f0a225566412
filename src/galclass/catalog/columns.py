"""Find columns by name whatever their case, and name every one that is missing at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from galclass.errors import CatalogError

ROW = "__row"  # row number of the file, carried along while a table is read


class Columns:
    """The columns of a table by lower-case name.

    Parameters
    ----------
    table : pyarrow.Table
    where : str
        The file, for messages.
    """

    def __init__(self, table: Any, where: str) -> None:
        self.table, self.where = table, where
        self._by_name: dict[str, str] = {name.lower(): name for name in table.column_names}

    def has(self, *names: str) -> bool:
        """Whether all these columns are there."""
        return all(name.lower() in self._by_name for name in names)

    def first(self, *names: str) -> str | None:
        """Give the first of these names that is there, in lower case."""
        return next((name.lower() for name in names if self.has(name)), None)

    def get(self, name: str) -> Any:
        """Give a column in one chunk."""
        return self.table[self._by_name[name.lower()]].combine_chunks()

    def chunks(self, name: str) -> Any:
        """Give a column as it lies in memory."""
        return self.table[self._by_name[name.lower()]]

    def require(self, names: Iterable[str]) -> None:
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
            hints.append(f"{name} (did you mean {self._by_name[close[0]]}?)" if close else name)
        there = [name for name in self.table.column_names if name != ROW]
        shown = ", ".join(there[:12]) + (f", ... ({len(there)} columns)" if len(there) > 12 else "")
        raise CatalogError(f"columns are missing: {', '.join(hints)}", where=self.where, got=shown)


def as_float(column: Any, name: str, where: str) -> Any:
    """Give a numeric column as float64, NaN as null.

    Raises
    ------
    CatalogError
        If it holds text that is no number.
    """
    try:
        values = pc.cast(column, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise CatalogError(f"column {name} is not numeric: {error}", where=where) from error
    return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
