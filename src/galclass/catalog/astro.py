"""FITS, VOTable and ECSV tables through astropy (extra `astro`): the formats of astronomers' own tools.

Takes and returns `pyarrow.Table`; units are kept in the schema's field metadata under "unit".
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.packed import check_size_unpacked
from galclass.catalog.votable_streams import check_streams
from galclass.errors import CatalogError
from galclass.extras import require


@dataclass(frozen=True)
class AstroTable:
    """One table of a file: text and numbers, its other columns with their kind, its name and those of all tables."""

    table: Any
    left_out: dict[str, str]
    chosen: str = ""
    others: tuple[str, ...] = ()


def read_astro(path: Path, kind: str, wanted: str | None = None) -> AstroTable:
    """Read a table of a FITS, VOTable or ECSV file.

    Parameters
    ----------
    path : path
    kind : str
        fits, votable or ecsv.
    wanted : str, optional
        Number or name of the table; None takes the first.

    Raises
    ------
    CatalogError
        If astropy is not installed or cannot read the file, if it is too large unpacked, if it holds no table, not
        this one, or only part of it, or if a VOTable's rows are elsewhere.
    """
    _require_astropy(path)
    from astropy.utils.exceptions import AstropyWarning

    check_size_unpacked(path)
    if kind == "votable":
        check_streams(path)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", AstropyWarning)  # an unknown unit is kept as its text
        try:
            table, chosen, others = {"fits": _fits, "votable": _votable, "ecsv": _ecsv}[kind](path, wanted)
        except CatalogError:
            raise
        except Exception as error:  # astropy raises whatever a damaged file makes of it
            raise CatalogError(f"cannot be read as {kind}: {error}", where=str(path)) from error
    cut = next((str(one.message) for one in said if "truncated" in str(one.message).lower()), None)
    if cut:
        raise CatalogError(f"the file is incomplete: {cut}", where=str(path))
    fields, arrays, left_out = [], [], {}
    for name in table.colnames:
        column = table[name]
        useless = _of_no_use(column)
        if useless:
            left_out[name.strip()] = useless
            continue
        array = to_arrow(column)
        metadata = {"unit": str(column.unit)} if column.unit is not None else None
        fields.append(pa.field(name.strip(), array.type, metadata=metadata))
        arrays.append(array)
    return AstroTable(pa.table(arrays, schema=pa.schema(fields)), left_out, chosen, others)


def _fits(path: Path, wanted: str | None) -> tuple[Any, str, tuple[str, ...]]:
    from astropy.io import fits
    from astropy.table import Table

    with fits.open(path) as hdus:
        images = [type(hdu).__name__ for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0)]
        tables = [
            (str(number), hdu.name)
            for number, hdu in enumerate(hdus)
            if isinstance(hdu, fits.BinTableHDU | fits.TableHDU) and not hdu.is_image
        ]
    if not tables:
        raise CatalogError(
            "a FITS file without a table",
            where=str(path),
            expected="a table",
            got="an image" if images else "nothing",
        )
    number, name = _chosen(tables, wanted, path, "extension")
    return Table.read(path, format="fits", hdu=int(number)), *_named(number, name, tables)


def _votable(path: Path, wanted: str | None) -> tuple[Any, str, tuple[str, ...]]:
    from astropy.io.votable import parse

    from galclass.catalog.votable_nulls import missing_texts

    found = list(parse(path).iter_tables())
    if not found:
        raise CatalogError("a VOTable without a table", where=str(path))
    tables = [(str(number), table.name or table.ID or "") for number, table in enumerate(found, start=1)]
    by_id = {table.ID: number for number, table in enumerate(found, start=1) if table.ID}
    number, name = _chosen(tables, str(by_id.get(wanted, wanted)) if wanted else None, path, "table")
    chosen = found[int(number) - 1]
    table = chosen.to_table(use_names_over_ids=True)
    for index, rows in missing_texts(path, int(number) - 1, chosen).items():
        column = table.columns[index]
        for row in rows:
            column[row] = b"" if isinstance(column[row], bytes) else ""
    return table, *_named(number, name, tables)


def _ecsv(path: Path, wanted: str | None) -> tuple[Any, str, tuple[str, ...]]:
    from astropy.table import Table

    if wanted is not None:
        raise CatalogError("a file of this kind holds only one table", where=str(path), got=f"table = {wanted!r}")
    return Table.read(path, format="ascii.ecsv"), "", ()


def _chosen(tables: list[tuple[str, str]], wanted: str | None, path: Path, word: str) -> tuple[str, str]:
    if wanted is None:
        return tables[0]
    there = ", ".join(_shown(*one) for one in tables)
    by_number = [one for one in tables if one[0] == wanted]
    by_name = [one for one in tables if one[1] == wanted] or [one for one in tables if one[1].lower() == wanted.lower()]
    found = by_number or by_name
    if len(found) > 1:
        raise CatalogError(f"several tables are named {wanted}", where=str(path), got=there, advice="choose by number")
    if not found:
        raise CatalogError(f"no {word} {wanted!r} that is a table", where=str(path), expected=there)
    return found[0]


def _named(number: str, name: str, tables: list[tuple[str, str]]) -> tuple[str, tuple[str, ...]]:
    return (_shown(number, name), tuple(_shown(*one) for one in tables)) if len(tables) > 1 else ("", ())


def _shown(number: str, name: str) -> str:
    return f"{number} ({name})" if name else number


def _of_no_use(column: Any) -> str | None:
    """Describe what a column holds if it is neither text nor numbers."""
    from astropy.table import Column

    if not isinstance(column, Column):
        return type(column).__name__
    if column.ndim > 1:
        return "list"
    if column.dtype.kind == "O":
        return None if all(_is_text(value) for value in column.tolist()) else "list"
    return {"c": "complex", "M": "date", "m": "duration", "V": "struct"}.get(column.dtype.kind)


def _is_text(value: Any) -> bool:
    """Return whether a value of a column of objects can be text: FITS stores texts of any length as arrays."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "SU"
    return isinstance(value, str | bytes | int | None) and not isinstance(value, bool)


def write_astro(table: Any, path: Path, kind: str, where: Path) -> None:
    """Write a FITS or VOTable file that astropy and TOPCAT read; nulls of text become empty, of floats NaN.

    Parameters
    ----------
    table : pyarrow.Table
    path : Path
        The file to write.
    kind : str
        "fits" or "votable".
    where : Path
        What an error calls the file, where `path` is a temporary one.

    Raises
    ------
    ExtraError
        If astropy is not installed.
    CatalogError
        If a text cannot stand in such a file.
    """
    _require_astropy(where)
    _check_texts(table, where, kind)
    from astropy.table import Table
    from astropy.units import Unit

    out = Table()
    for field in table.schema:
        out[field.name] = from_arrow(table[field.name])
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
                f"text that {kind} cannot hold",
                where=where,
                expected=expected,
                got=ascii(table[name][unfit].as_py()[:80]),
                advice="write it as .parquet or .csv",
            )


_UNITS = {"ra": b"deg", "dec": b"deg", "petror90_r": b"arcsec"}


def _require_astropy(path: Path) -> None:
    require("astro", what=f"{path}: a FITS, VOTable or ECSV table", modules=("astropy",))


def to_arrow(column: Any) -> Any:
    """Return a column of astropy's of one axis as an Arrow array; masked values and NaN become null."""
    mask = np.asarray(getattr(column, "mask", np.zeros(len(column), bool)))
    values = np.asarray(column)
    if values.dtype.kind in "SUO":
        return _text(values.tolist(), mask)
    native = values.astype(values.dtype.newbyteorder("="))  # FITS is big-endian
    if native.dtype.kind == "f" and native.dtype.itemsize > 8:
        native = native.astype(np.float64)
    array = pa.array(native, mask=mask)
    return (
        pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array) if pa.types.is_floating(array.type) else array
    )


def _text(values: list[Any], mask: Any) -> Any:
    """Return text, or bytes if some are not UTF-8: the caller that needs the column then names the row."""
    there = [None if hidden else _one_text(value) for value, hidden in zip(values, mask, strict=True)]
    try:
        return pa.array([value.decode() if isinstance(value, bytes) else value for value in there], pa.string())
    except UnicodeDecodeError:
        return pa.array([value.encode() if isinstance(value, str) else value for value in there], pa.binary())


def _one_text(value: Any) -> Any:
    """Return text or bytes, None where there is none; characters joined, integers as digits."""
    if isinstance(value, np.ndarray):
        blank: Any = b" " if value.dtype.kind == "S" else " "
        value = blank[:0].join(one or blank for one in value.tolist())
    return str(value) if isinstance(value, int) else value or None


def from_arrow(column: Any) -> Any:
    """Return an Arrow column as numpy's or astropy's; nulls of text become empty, of floats NaN."""
    from astropy.table import MaskedColumn

    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        mask = column.is_null().to_numpy()
        values = column.fill_null(False if pa.types.is_boolean(kind) else 0).to_numpy()
        return MaskedColumn(values, mask=mask) if mask.any() else values
    if pa.types.is_floating(kind):
        return column.to_numpy()
    return np.array([value or "" for value in pc.cast(column, pa.string()).to_pylist()], dtype=str)
