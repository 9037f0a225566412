"""A user's own table in its format: Arrow to astropy and back, one HDU of a FITS file replaced."""

from __future__ import annotations

import warnings
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from galclass.catalog.own_sample import sample_of
from galclass.catalog.own_votable import write_votable
from galclass.catalog.tables import flat_lists
from galclass.errors import CatalogError

ASTRO_FORMATS = {"fits": "fits", "votable": "votable", "ecsv": "ascii.ecsv"}
"""What astropy calls the kinds of files that it writes."""


def with_fixed_texts(table: Any) -> Any:
    """Return a table whose texts of any length, as VOTable has them, have one of their column, which FITS takes."""
    for name in table.colnames:
        column = table[name]
        if column.dtype.kind == "O" and all(isinstance(value, str | None) for value in column.tolist()):
            table.replace_column(name, _of_texts(column))
    return table


def _of_texts(column: Any) -> Any:
    from astropy.table import Column

    about = {"unit": column.unit, "description": column.description}
    return Column(np.array([value or "" for value in column.tolist()], dtype=str), name=column.name, **about)


def astro_of(table: pa.Table) -> Any:
    """Return an Arrow table as astropy's, its metadata as text."""
    from astropy.table import Table

    from galclass.catalog.astro import from_arrow

    out = Table()
    for about in table.schema:
        column = flat_lists(table.select([about.name]))[about.name]
        out[about.name] = from_arrow(column)
        facts = {key.decode(): text.decode("utf-8", "replace") for key, text in (about.metadata or {}).items()}
        out[about.name].unit = facts.get("unit")
        out[about.name].description = facts.get("description")
    return out


def arrow_of(table: Any) -> pa.Table:
    """Return an astropy table as Arrow's: units and descriptions in the metadata of fields, arrays as lists."""
    from galclass.catalog.astro import to_arrow

    fields, arrays = [], []
    for name in table.colnames:
        column = table[name]
        lists = column.ndim > 1 or _of_arrays(column)
        array = pa.array([np.asarray(v).ravel().tolist() for v in column]) if lists else to_arrow(column)
        facts = {"unit": str(column.unit or ""), "description": column.info.description or ""}
        fields.append(pa.field(name, array.type, metadata={key: text for key, text in facts.items() if text}))
        arrays.append(array)
    meta = {str(key): str(value) for key, value in table.meta.items() if not str(key).startswith("__")}
    return pa.table(arrays, schema=pa.schema(fields, metadata=meta))


def _of_arrays(column: Any) -> bool:
    """Return whether a column holds arrays of any length, as FITS has them, which are no texts."""
    if column.dtype.kind != "O":
        return False
    return any(isinstance(value, np.ndarray) and value.dtype.kind not in "SU" for value in column.tolist())


_ABOUT_COLUMNS = ("TCOMM", "TUCD", "TDISP")
"""What a FITS header says of a column and astropy drops: comments, UCDs, formats."""

_CHECKSUMS = ("CHECKSUM", "DATASUM")


def replace_hdu(source: Path, number: int, table: Any, path: Path) -> None:
    """Write a FITS file in which one table is another."""
    from astropy.io import fits

    sink = BytesIO()
    table.write(sink, format="fits")  # unlike table_to_hdu it keeps descriptions
    sink.seek(0)
    as_stored = {"do_not_scale_image_data": True, "disable_image_compression": True}
    with fits.open(source, **as_stored) as hdus, fits.open(sink) as written:
        there, made = hdus[number].header, written[1]
        for column, name in enumerate(table.colnames, start=1):
            if f"TUNIT{column}" in there:
                made.columns.change_unit(name, there[f"TUNIT{column}"])
            if table[name].description:
                made.header[f"TCOMM{column}"] = table[name].description
        kept = [f"{key}{column}" for column in range(1, there["TFIELDS"] + 1) for key in _ABOUT_COLUMNS]
        for key in ("EXTNAME", "EXTVER", *kept):
            if key in there:
                made.header[key] = there[key]
        for key in _CHECKSUMS:  # those of the table as it was
            made.header.remove(key, ignore_missing=True)
        if any(key in there for key in _CHECKSUMS):
            made.add_checksum()
        parts = [made if at == number else hdu for at, hdu in enumerate(hdus)]
        fits.HDUList(parts).writeto(path, overwrite=True)  # .gz is packed by its name


def fault_of(kind: str, one: Any, *, whole: bool = True) -> Exception | None:
    """Return why a table of one column (or a few rows that stand for it) cannot be written as a kind; None if it can.

    It is written to memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one = one if whole else sample_of(one)
            if kind not in ASTRO_FORMATS:
                flat_lists(one if isinstance(one, pa.Table) else arrow_of(one))
                return None
            table = astro_of(one) if isinstance(one, pa.Table) else one
            if kind == "votable":
                write_votable(table, BytesIO(), {})
            elif kind == "fits":
                with_fixed_texts(table).write(BytesIO(), format="fits")
            else:
                table.write(StringIO(), format=ASTRO_FORMATS[kind])
    except OSError:
        raise
    except Exception as error:  # astropy and Arrow raise what their parts raise
        return error
    return None


def unwritable(kind: str, path: Path, column: str | None, error: Exception) -> CatalogError:
    """Return the error that says which column a format cannot hold."""
    reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    return CatalogError(
        f"this table cannot be written as {kind}: {reason}",
        where=f"{path}, column {column}" if column else str(path),
        advice="write .ecsv, .vot or .parquet, or leave the column out" if kind == "fits" else None,
    )
