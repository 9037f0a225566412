"""A column that is added to a user's own table, as Arrow or astropy writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class NewColumn:
    """A column to add.

    Attributes
    ----------
    name : str
    values : sequence
        One for each row; None is missing.
    kind : str
        "string", "float64", "int32", "int64" or "list" (float32 vectors of one length).
    description : str
    """

    name: str
    values: Sequence[Any]
    kind: str = "string"
    description: str = ""


def arrow_column(column: NewColumn) -> Any:
    """Return a column as an Arrow array."""
    kind = pa.list_(pa.float32()) if column.kind == "list" else pa.type_for_alias(column.kind)
    return pa.array([None if value is None else value for value in column.values], kind)


def astro_column(column: NewColumn, *, ascii_only: bool = False) -> Any:
    """Return a column as astropy's; `ascii_only` escapes other characters, which FITS does not have."""
    from astropy.table import Column, MaskedColumn

    values = list(column.values)
    if column.kind == "list":
        width = next((len(value) for value in values if value is not None), 1)
        return Column(np.array([[np.nan] * width if v is None else v for v in values], np.float32).reshape(-1, width))
    if column.kind == "string":
        texts = [value or "" for value in values]
        texts = [text.encode("ascii", "backslashreplace").decode() for text in texts] if ascii_only else texts
        return Column(np.array(texts, dtype=str) if texts else np.array([], "U1"))
    missing = np.array([value is None for value in values], bool)
    if column.kind == "float64":
        return Column(np.array([np.nan if value is None else value for value in values], np.float64))
    numbers = np.array([0 if value is None else value for value in values], column.kind)
    return MaskedColumn(numbers, mask=missing) if missing.any() else Column(numbers)
