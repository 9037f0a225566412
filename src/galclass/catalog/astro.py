"""FITS and VOTable tables through astropy (extra `astro`): the formats of astronomers' own tools.

Takes and gives `pyarrow.Table`; units are kept in the schema's field metadata under "unit".
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.errors import CatalogError


def read_astro(path: Path, kind: str) -> Any:
    """Read the first table of a FITS or VOTable file.

    Raises
    ------
    CatalogError
        If astropy is not installed or cannot read the file.
    """
    _require_astropy(path)
    from astropy.table import Table
    from astropy.units import UnitsWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)  # an unknown unit is kept as its text
        try:
            table = Table.read(path, format=kind)
        except (OSError, ValueError, IndexError, TypeError) as error:
            raise CatalogError(f"cannot be read as {kind}: {error}", where=str(path)) from error
    fields, arrays = [], []
    for name in table.colnames:
        column = table[name]
        if column.ndim > 1:
            continue  # arrays in a cell (spectra, images) mean nothing here
        array = _to_arrow(column)
        metadata = {"unit": str(column.unit)} if column.unit is not None else None
        fields.append(pa.field(name.strip(), array.type, metadata=metadata))
        arrays.append(array)
    return pa.table(arrays, schema=pa.schema(fields))


def write_astro(table: Any, path: Path, kind: str) -> None:
    """Write a FITS or VOTable file that astropy and TOPCAT read; nulls of text become empty, of floats NaN.

    Raises
    ------
    CatalogError
        If astropy is not installed, or a text cannot stand in such a file.
    """
    _require_astropy(path)
    _check_texts(table, path, kind)
    from astropy.table import Table
    from astropy.units import Unit

    out = Table()
    for field in table.schema:
        out[field.name] = _from_arrow(table[field.name])
        unit = (field.metadata or {}).get(b"unit") or _UNITS.get(field.name.lower())
        if unit:
            out[field.name].unit = Unit(unit.decode(), parse_strict="silent")
    out.write(path, format=kind, overwrite=True)


_UNFIT = {
    "fits": (r"[^\x00-\x7f]", "ASCII"),
    "votable": (r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "no control characters"),
}
"""What no text of a format may hold, as a regular expression, and what it may."""


def _check_texts(table: Any, path: Path, kind: str) -> None:
    pattern, expected = _UNFIT[kind]
    for name in table.column_names:
        if not (pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type)):
            continue
        unfit = pc.index(pc.match_substring_regex(table[name], pattern), True).as_py()
        if unfit >= 0:
            where = f"{path}, column {name}, row {unfit + 1}"
            raise CatalogError(
                f"a text that {kind} cannot hold",
                where=where,
                expected=expected,
                got=ascii(table[name][unfit].as_py()[:80]),
                advice="write it as .parquet or .csv",
            )


_UNITS = {"ra": b"deg", "dec": b"deg", "petror90_r": b"arcsec"}


def _require_astropy(path: Path) -> None:
    from importlib.util import find_spec

    if find_spec("astropy") is None:
        raise CatalogError("FITS and VOTable need astropy", where=str(path), advice="pip install 'galclass[astro]'")


def _to_arrow(column: Any) -> Any:
    mask = np.asarray(getattr(column, "mask", np.zeros(len(column), bool)))
    values = np.asarray(column)
    if values.dtype.kind in "SUO":
        text = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values.tolist()]
        return pa.array(
            [None if hidden or not value else value for value, hidden in zip(text, mask, strict=True)], pa.string()
        )
    native = values.astype(values.dtype.newbyteorder("="))  # FITS is big-endian
    array = pa.array(native, mask=mask)
    return (
        pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array) if pa.types.is_floating(array.type) else array
    )


def _from_arrow(column: Any) -> Any:
    from astropy.table import MaskedColumn

    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        mask = column.is_null().to_numpy()
        values = column.fill_null(False if pa.types.is_boolean(kind) else 0).to_numpy()
        return MaskedColumn(values, mask=mask) if mask.any() else values
    if pa.types.is_floating(kind):
        return column.to_numpy()
    return np.array([value or "" for value in pc.cast(column, pa.string()).to_pylist()], dtype=str)
