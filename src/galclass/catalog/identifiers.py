"""Object ids are text: 18-19 digits do not survive a float, so ids that did pass through one are found and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.report import CatalogReport
from galclass.errors import CatalogError

_EXACT_FLOAT = 2**53
_LONG_DIGITS = 17  # digits that no float64 holds exactly
_FEW = 3  # so many ids with the same trailing zeros are no accident

ID_COLUMNS = frozenset(
    {
        *("object_id", "dr7objid", "dr8objid", "objid", "specobjid", "asset_id", "galaxyid", "galaxy_id"),
        *("iauname", "pgcname", "image", "id", "name", "file", "filename"),
    }
)
"""Lower-case names of columns that are read as text from a table without types."""


def ids_as_text(column: Any, where: str, report: CatalogReport) -> Any:
    """Give an id column as text, exactly.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Text, integers, or floats below 2**53.

    Raises
    ------
    CatalogError
        If the ids lost digits on their way.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_floating(column.type):
        return _from_floats(column, where)
    if not _is_text(column.type):
        text = pc.cast(column, pa.string())
    else:
        text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
        text = _repaired(text, where, report)
    _check_trailing_zeros(text, where)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _lost(where: str, example: str) -> CatalogError:
    return CatalogError(
        "ids went through floating-point numbers and lost digits",
        where=where,
        got=example,
        advice="export the ids again as text or 64-bit integers, e.g. pandas.read_csv(..., dtype=str)",
    )


def _from_floats(column: Any, where: str) -> Any:
    values = column.to_numpy(zero_copy_only=False)
    known = values[~np.isnan(values)]
    wrong = known[(np.abs(known) >= _EXACT_FLOAT) | (known != np.floor(known))]
    if len(wrong):
        raise _lost(where, f"{wrong[0]:.17g}")
    return pa.array([None if np.isnan(value) else str(int(value)) for value in values], pa.string())


def _repaired(text: Any, where: str, report: CatalogReport) -> Any:
    # "123.0" (an integer column with gaps, written by pandas) is exact below 2**53; "5.87e+17" never is.
    floats = pc.match_substring_regex(text, r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$")
    plain = pc.match_substring_regex(text, r"^[+-]?\d+$")
    suspects = pc.and_(floats, pc.invert(plain))
    if not pc.any(suspects).as_py():
        return text
    safe = pc.match_substring_regex(text, r"^\d{1,15}\.0*$")
    mangled = pc.filter(text, pc.and_(suspects, pc.invert(safe)))
    if len(mangled):
        raise _lost(where, mangled[0].as_py())
    report.note("repaired_ids", pc.sum(safe).as_py() or 0)
    return pc.if_else(safe, pc.replace_substring_regex(text, r"\.0*$", ""), text)


def _check_trailing_zeros(text: Any, where: str) -> None:
    long = pc.unique(pc.filter(text, pc.match_substring_regex(text, rf"^\d{{{_LONG_DIGITS},19}}$")))
    if len(long) < _FEW:
        return
    numbers = pc.cast(long, pa.uint64()).to_numpy()
    if not (numbers % 128).any() or not (numbers % 1000).any():
        raise _lost(where, f"{numbers[0]}, and all others are rounded alike")
