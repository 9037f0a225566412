"""Object ids are text: 18-19 digits do not survive a float, so ids that did pass through one are found and named.

Takes an id column of any type, returns text (null: no id); never an id other than the one in the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.report import CatalogReport
from galclass.errors import CatalogError

_LONG_DIGITS = 17  # digits that no float64 holds exactly
_FEW = 3  # so many ids with the same trailing zeros are no accident
_PADDING = "\0 \t\r\n\v\f\u00a0\u200b\ufeff"  # what stands round an id and is no part of it: byte order mark included

BLANKS = ("", "nan", "-nan", "na", "n/a", "#n/a", "none", "null", "<na>", "nat", "-", "--")
"""Texts, in lower case, that stand for a missing value: as pandas, numpy, astropy, R and spreadsheets write it."""

_SPREADSHEET_TEXT = r"""^(?:="|')(\d+)["']?$"""
"""How spreadsheets keep digits as text: ="587722981741363294" or a leading apostrophe."""

ID_COLUMNS = frozenset(
    {
        *("object_id", "dr7objid", "dr8objid", "objid", "specobjid", "asset_id", "galaxyid", "galaxy_id", "id_str"),
        *("iauname", "pgcname", "image", "id", "name", "file", "filename", "file_name", "path", "image_file"),
    }
)
"""Lower-case names of columns that are read as text from a table without types."""


def ids_as_text(column: Any, where: str, report: CatalogReport) -> Any:
    """Return an id column as text, exactly.

    Parameters
    ----------
    column : pyarrow.ChunkedArray or pyarrow.Array
        Text, bytes in UTF-8 (padding is dropped), integers, decimals without a fraction, or floats that are whole and
        below the first integer that their width cannot hold (2**11, 2**24, 2**53).
    where : str
        File and column, for messages.

    Raises
    ------
    CatalogError
        If the ids lost digits on their way, or the column holds no ids (lists, structs, truth values, dates).
    """
    column = plain_text_or_numbers(column, where)
    kind = column.type
    if pa.types.is_floating(kind):
        return _from_floats(column, where)
    if pa.types.is_decimal(kind):
        return _from_decimals(column, where)
    if pa.types.is_null(kind) or pa.types.is_integer(kind):
        text = pc.cast(column, pa.string())
    elif pa.types.is_string(kind):
        text = pc.utf8_trim(column, _PADDING)
        text = pc.replace_substring_regex(text, _SPREADSHEET_TEXT, r"\1")
        text = pc.if_else(is_blank(text), pa.scalar(None, pa.string()), text)
        text = _repaired(text, where, report)
    else:
        raise CatalogError(
            f"ids cannot be of type {kind}", where=where, expected="text or integers", advice="name another column"
        )
    _check_trailing_zeros(text, where)
    return text


def plain_text_or_numbers(column: Any, where: str) -> Any:
    """Return a column in one chunk, with every kind of text as `string`; bytes must be UTF-8.

    Raises
    ------
    CatalogError
        Naming the first row whose bytes are no UTF-8.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    if isinstance(column, pa.UuidArray):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pa.types.is_dictionary(column.type):
        column = _decoded(column)
    kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pc.cast(column, pa.string())
    if any(test(kind) for test in _IS_BYTES):
        return _from_bytes(column, where)
    return column


def _decoded(column: Any) -> Any:
    """Return a column without its dictionary (a category of pandas or polars)."""
    values = column.dictionary
    if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):  # Arrow takes no rows of views
        values = pc.cast(values, pa.large_string() if pa.types.is_string_view(values.type) else pa.large_binary())
    return pc.take(values, column.indices)


_IS_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)


def _from_bytes(column: Any, where: str) -> Any:
    texts: list[str | None] = []
    for row, value in enumerate(column.to_pylist(), start=1):
        try:
            texts.append(None if value is None else value.decode())
        except UnicodeDecodeError as error:
            raise CatalogError(
                "bytes that are not UTF-8", where=f"{where}, row {row}", got=repr(value[:40]), advice="write it as text"
            ) from error
    return pa.array(texts, pa.string())


def _lost(where: str, example: str) -> CatalogError:
    return CatalogError(
        "ids went through floating-point numbers and lost digits",
        where=where,
        got=example,
        advice="export the ids again as text or 64-bit integers, e.g. pandas.read_csv(..., dtype=str), or "
        "astype('Int64') where a column of integers has gaps",
    )


def _from_floats(column: Any, where: str) -> Any:
    first_inexact = 2 ** (np.finfo(column.type.to_pandas_dtype()).nmant + 1)
    values = column.to_numpy(zero_copy_only=False).astype(np.float64)
    known = values[~np.isnan(values)]
    wrong = known[(np.abs(known) >= first_inexact) | (known != np.floor(known))]
    if len(wrong):
        raise _lost(where, f"{wrong[0]:.17g} of type {column.type}")
    return pa.array([None if np.isnan(value) else str(int(value)) for value in values], pa.string())


def _from_decimals(column: Any, where: str) -> Any:
    texts: list[str | None] = []
    for row, value in enumerate(column.to_pylist(), start=1):
        if value is not None and value != value.to_integral_value():
            raise CatalogError(
                "an id is a fraction", where=f"{where}, row {row}", got=f"{value:f}", advice="export the ids as text"
            )
        texts.append(None if value is None else f"{value.to_integral_value():f}")
    return pa.array(texts, pa.string())


def is_blank(text: Any) -> Any:
    """Return a mask of the texts that stand for a missing value."""
    return pc.is_in(pc.utf8_lower(text), value_set=pa.array(BLANKS))


def _repaired(text: Any, where: str, report: CatalogReport) -> Any:
    # "123.0" (an integer column with gaps, written by pandas) is exact below 2**53; "5.87e+17" never is. Only a decimal
    # point or a signed exponent is float notation: "1234e507" is a hexadecimal id.
    point = pc.match_substring_regex(text, r"^[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?$")
    exponent = pc.match_substring_regex(text, r"^[+-]?\d+[eE][+-]\d+$")
    suspects = pc.or_(point, exponent)
    if not pc.any(suspects).as_py():
        return text
    safe = pc.match_substring_regex(text, r"^\d{1,15}\.0*$")
    mangled = pc.filter(text, pc.and_(suspects, pc.invert(safe)))
    if len(mangled):
        raise _lost(where, mangled[0].as_py())
    report.note("repaired_ids", pc.sum(safe).as_py() or 0)
    return pc.if_else(safe, pc.replace_substring_regex(text, r"\.0*$", ""), text)


def _check_trailing_zeros(text: Any, where: str) -> None:
    long = pc.unique(pc.filter(text, pc.match_substring_regex(text, rf"^-?\d{{{_LONG_DIGITS},}}$")))
    if len(long) < _FEW:
        return
    # 10**7 is a multiple of 128 and of 1000: the last seven digits tell
    last = pc.cast(pc.utf8_slice_codeunits(long, -7), pa.int32()).to_numpy()
    if not (last % 128).any() or not (last % 1000).any():
        raise _lost(where, f"{long[0].as_py()}, and all others are rounded alike")
