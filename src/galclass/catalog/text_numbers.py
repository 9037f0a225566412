"""Cells of a text file as numbers, for tables that are written in a format with types.

Integers stay exact; fractions are float64, so digits beyond its 15 to 17 are rounded.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
"""Without leading zeros or a plus, and within 64 bits."""
_DECIMAL = r"^[+-]?([0-9]{1,15}([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$|^(nan|NaN|NAN|[+-]?inf|[+-]?Inf)$"
_LEADING_ZERO = r"^[+-]?0[0-9]"


def with_numbers(table: pa.Table, texts: frozenset[str]) -> pa.Table:
    """Return a table of text with columns of int64 or float64 where every cell that is not empty is such a number.

    Parameters
    ----------
    table : pyarrow.Table
        All columns text.
    texts : frozenset of str
        Columns that stay text.
    """
    for position, name in enumerate(table.column_names):
        if name not in texts:
            table = table.set_column(position, name, _numbers(table.column(position)))
    return table


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    cells = pc.utf8_trim_whitespace(column)
    cells = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
    if cells.null_count == len(cells):
        return column
    if _all(cells, _INTEGER):
        return cells.cast(pa.int64())
    if _all(cells, _DECIMAL) and not pc.any(pc.match_substring_regex(cells, _LEADING_ZERO)).as_py():
        return cells.cast(pa.float64())
    return column


def _all(cells: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(cells, pattern)).as_py())
