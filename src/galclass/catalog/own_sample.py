"""A few rows that stand for a whole column: of each kind of value the first, so that a format is tried in no time.

Takes a table of one column (Arrow's or astropy's), returns one of the same type.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galclass.catalog.tables import flat_lists

_HEAD = 2
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def sample_of(one: Any) -> Any:
    """Return the rows of a table of one column whose values differ in kind: type, axes, missing, letters beyond ASCII.

    Parameters
    ----------
    one : pyarrow.Table or astropy.table.Table
        Lists of Arrow become text, as in the formats that have none.

    Raises
    ------
    pyarrow.ArrowException
        If a list cannot be text.
    """
    if isinstance(one, pa.Table):
        one = flat_lists(one)
        column = one.column(0)
        if _is_text(column.type):
            return one.take(_first_of_each(column.to_pylist()))
        return one.take(_head(np.asarray(column.is_null())))
    column = one.columns[0]
    if column.dtype.kind in "OUS":
        return one[_first_of_each(column.tolist())]
    mask = np.asarray(getattr(column, "mask", np.zeros(len(column), bool)))
    missing: NDArray[np.bool_] = np.array([row.any() for row in mask], dtype=bool) if mask.ndim > 1 else mask
    return one[_head(missing)]


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _head(missing: NDArray[np.bool_]) -> list[int]:
    """Return the first rows with a value, and the first without."""
    there, absent = np.flatnonzero(~missing)[:_HEAD], np.flatnonzero(missing)[:1]
    return sorted([*there.tolist(), *absent.tolist()])


def _first_of_each(values: list[Any]) -> list[int]:
    found: dict[Any, int] = {}
    for row, value in enumerate(values):
        found.setdefault(_kind_of(value), row)
    return list(found.values())


def _kind_of(value: Any) -> Any:
    if isinstance(value, str):
        return str, value.isascii(), bool(_CONTROL.search(value))
    if isinstance(value, bytes):
        return bytes, value.isascii()
    return type(value), getattr(value, "dtype", None), getattr(value, "ndim", None)
