"""A user's own table: read completely, extended with columns, and written with everything it had.

Takes FITS, VOTable and ECSV through astropy (extra `astro`), Parquet and CSV through Arrow. Rows, their order, units,
descriptions and metadata stay; a FITS file keeps its other HDUs.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from galclass.atomic_files import replacing
from galclass.catalog.columns import ROW, Columns
from galclass.catalog.generic import CatalogColumns, id_and_file_names, ids_and_assets
from galclass.catalog.report import CatalogReport
from galclass.catalog.tables import flat_lists, read_raw, table_kind
from galclass.catalog.text import read_cells
from galclass.csv_cells import LineFeeds, guarded
from galclass.errors import CatalogError

PREFIX = "galclass_"
"""Put before the name of a new column where the table has one of that name."""

KINDS = ("fits", "votable", "ecsv", "parquet", "text")
"""Kinds of files that are read and written; of text, .csv and .tsv."""

_ASTRO = {"fits": "fits", "votable": "votable", "ecsv": "ascii.ecsv"}


@dataclass(frozen=True)
class NewColumn:
    """A column to add.

    Attributes
    ----------
    name : str
    values : sequence
        One for each row; None is missing.
    kind : str
        "string", "float64", "int32" or "list" (float32 vectors of one length).
    description : str
    """

    name: str
    values: Sequence[Any]
    kind: str = "string"
    description: str = ""


@dataclass
class OwnTable:
    """A table that was read whole.

    Attributes
    ----------
    path : Path
    kind : str
        One of `KINDS`.
    table : astropy or pyarrow table
    object_ids, keys : list of str or None
        Id of each row and the key of its image file.
    hdu : int
        In a FITS file, the extension that was read.
    """

    path: Path
    kind: str
    table: Any
    object_ids: list[str | None] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    hdu: int = 0

    def __len__(self) -> int:
        return len(self.table)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.table.colnames if self.kind in _ASTRO else self.table.column_names)

    def write_with(self, columns: Sequence[NewColumn], path: Path, facts: Mapping[str, str]) -> list[str]:
        """Write the table with more columns behind its own.

        Parameters
        ----------
        columns : sequence of NewColumn
        path : Path
            .fits, .vot, .ecsv, .parquet, .csv or .tsv; the file appears whole or not at all.
        facts : mapping
            Metadata to add (keyword of at most 8 letters -> text), such as the model's name.

        Returns
        -------
        list of str
            The names of the new columns: with `PREFIX` where the table has the name, in any case of letters.

        Raises
        ------
        CatalogError
            If the format cannot hold the table.
        """
        kind = writable_kind(path)
        names = _free_names(self.names, [column.name for column in columns])
        try:
            with replacing(path) as temporary:
                if kind in _ASTRO:
                    self._write_astro(columns, names, temporary, kind, facts)
                else:
                    self._write_arrow(columns, names, temporary, kind, facts)
        except (ValueError, TypeError, NotImplementedError, pa.ArrowException) as error:
            raise CatalogError(f"this table cannot be written as {kind}: {error}", where=str(path)) from error
        return names

    def _write_astro(
        self, columns: Sequence[NewColumn], names: list[str], path: Path, kind: str, facts: Mapping[str, str]
    ) -> None:
        table = self.table.copy() if self.kind in _ASTRO else _astro_of(self.table)
        for column, name in zip(columns, names, strict=True):
            table[name] = _astro_column(column)
            table[name].description = column.description
        table.meta.update(facts)
        table = _for_votable(table) if kind == "votable" else table
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # long keywords become HIERARCH cards, units of no standard stay texts
            if kind == "fits" and self.kind == "fits":
                _replace_hdu(self.path, self.hdu, table, path)
            else:
                table.write(path, format=_ASTRO[kind], overwrite=True)

    def _write_arrow(
        self, columns: Sequence[NewColumn], names: list[str], path: Path, kind: str, facts: Mapping[str, str]
    ) -> None:
        table = _arrow_of(self.table) if self.kind in _ASTRO else self.table
        ours = {name: _arrow_column(column) for column, name in zip(columns, names, strict=True)}
        if kind == "text":
            _write_csv(flat_lists(table), flat_lists(pa.table(ours)), path)
            return
        metadata = dict(table.schema.metadata or {}) | {name.encode(): text.encode() for name, text in facts.items()}
        for column, name in zip(columns, names, strict=True):
            about = pa.field(name, ours[name].type, metadata={"description": column.description})
            table = table.append_column(about, ours[name])
        pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def _for_votable(table: Any) -> Any:
    """Return the table with the axes of its arrays reversed: astropy writes them in the order of numpy."""
    from astropy.table import Column

    for name in [name for name in table.colnames if table[name].ndim > 2]:
        column = table[name]
        shape = (len(column), *column.shape[:0:-1])
        about = {"unit": column.unit, "description": column.description}
        table.replace_column(name, Column(np.asarray(column).reshape(shape), name=name, **about))
    return table


def writable_kind(path: Path) -> str:
    """Return the kind of a file to write.

    Raises
    ------
    CatalogError
        If tables are not written so.
    """
    kind = table_kind(path)
    name = path.name.lower()
    if kind not in KINDS or (kind == "text" and not name.endswith((".csv", ".tsv"))):
        expected = ".fits, .vot, .ecsv, .parquet, .csv or .tsv"
        raise CatalogError("tables cannot be written in this format", where=str(path), expected=expected)
    return kind


def read_own_table(path: Path, chosen: CatalogColumns | None = None) -> OwnTable:
    """Read a table with everything in it, and which image each row is about.

    Parameters
    ----------
    path : Path
    chosen : CatalogColumns, optional
        Which columns are ids and files, and which table of a file with several.

    Raises
    ------
    CatalogError
        If it cannot be read, has no column of ids or files, or its rows cannot be distinguished from comments.
    """
    chosen = chosen or CatalogColumns()
    kind = writable_kind(path)
    raw = read_raw(path, text_columns=chosen.names, table=chosen.table)
    own = OwnTable(path, kind, *_whole(path, kind, raw.chosen, chosen.names))
    rows = len(own)
    if raw.table.num_rows != rows:
        raise CatalogError(
            "its rows cannot be counted", where=str(path), expected=rows, got=raw.table.num_rows,
            advice="take out comment lines and repeated headers",
        )  # fmt: skip
    numbered = raw.table.append_column(ROW, pa.array(range(1, rows + 1), pa.int64()))
    columns = Columns(numbered, str(path), raw.aside)
    id_name, file_name = id_and_file_names(columns, chosen)
    ids, keys = ids_and_assets(columns, id_name, file_name, chosen.id is None, CatalogReport())
    own.object_ids, own.keys = ids.to_pylist(), keys.to_pylist()
    return own


def _whole(
    path: Path, kind: str, chosen: str, text_columns: frozenset[str]
) -> tuple[Any, list[str | None], list[str | None], int]:
    number = int(chosen.split(" ")[0]) if chosen else 0
    if kind == "parquet":
        return pyarrow.parquet.read_table(path, partitioning=None), [], [], 0
    if kind == "text":
        return _text_of(path, text_columns), [], [], 0
    from astropy.table import Table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those that matter were told when the file was read for its ids
        if kind == "fits":
            number = number or _first_table(path)
            return Table.read(path, format="fits", hdu=number, mask_invalid=False), [], [], number
        if kind == "votable":
            table_id = {"table_id": number - 1} if number else {}
            return Table.read(path, format="votable", **table_id), [], [], 0
        return Table.read(path, format="ascii.ecsv"), [], [], 0


def _first_table(path: Path) -> int:
    from astropy.io import fits

    with fits.open(path) as hdus:
        return next(
            number
            for number, hdu in enumerate(hdus)
            if isinstance(hdu, fits.BinTableHDU | fits.TableHDU) and not hdu.is_image
        )


def _text_of(path: Path, text_columns: frozenset[str]) -> pa.Table:
    """Read every cell of a table of text as the text it is."""
    names, rows = read_cells(path, text_columns)
    cells = zip(*rows, strict=True) if rows else ([] for _ in names)
    return pa.Table.from_arrays([pa.array(list(column), pa.string()) for column in cells], names=names)


def _free_names(taken: Sequence[str], wanted: Sequence[str]) -> list[str]:
    used = {name.lower() for name in taken}
    found = []
    for name in wanted:
        free, count = name if name.lower() not in used else PREFIX + name, 2
        while free.lower() in used:
            free, count = f"{PREFIX}{name}_{count}", count + 1
        used.add(free.lower())
        found.append(free)
    return found


def _arrow_column(column: NewColumn) -> Any:
    kind = pa.list_(pa.float32()) if column.kind == "list" else pa.type_for_alias(column.kind)
    return pa.array([None if value is None else value for value in column.values], kind)


def _astro_column(column: NewColumn) -> Any:
    from astropy.table import Column, MaskedColumn

    values = list(column.values)
    if column.kind == "list":
        width = next((len(value) for value in values if value is not None), 1)
        return Column(np.array([[np.nan] * width if v is None else v for v in values], np.float32).reshape(-1, width))
    if column.kind == "string":
        return Column(np.array([value or "" for value in values], dtype=str) if values else np.array([], "U1"))
    missing = np.array([value is None for value in values], bool)
    if column.kind == "float64":
        return Column(np.array([np.nan if value is None else value for value in values], np.float64))
    numbers = np.array([0 if value is None else value for value in values], np.int32)
    return MaskedColumn(numbers, mask=missing) if missing.any() else Column(numbers)


def _astro_of(table: pa.Table) -> Any:
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


def _arrow_of(table: Any) -> pa.Table:
    """Return an astropy table as Arrow's: units and descriptions in the metadata of fields, arrays as lists."""
    from galclass.catalog.astro import to_arrow

    fields, arrays = [], []
    for name in table.colnames:
        column = table[name]
        array = to_arrow(column) if column.ndim == 1 else pa.array([np.asarray(v).ravel().tolist() for v in column])
        facts = {"unit": str(column.unit or ""), "description": column.info.description or ""}
        fields.append(pa.field(name, array.type, metadata={key: text for key, text in facts.items() if text}))
        arrays.append(array)
    meta = {str(key): str(value) for key, value in table.meta.items() if not str(key).startswith("__")}
    return pa.table(arrays, schema=pa.schema(fields, metadata=meta))


_ABOUT_COLUMNS = ("TCOMM", "TUCD", "TDISP")
"""What a FITS header says of a column and astropy drops: comments, UCDs, formats."""


def _replace_hdu(source: Path, number: int, table: Any, path: Path) -> None:
    """Write a FITS file in which one table is another."""
    from astropy.io import fits

    with fits.open(source) as hdus:
        there, sink = hdus[number].header, BytesIO()
        table.write(sink, format="fits")  # unlike table_to_hdu it keeps descriptions
        with fits.open(BytesIO(sink.getvalue())) as written:
            made = written[1].copy()
        for column, name in enumerate(table.colnames, start=1):
            if f"TUNIT{column}" in there:
                made.columns.change_unit(name, there[f"TUNIT{column}"])
            if table[name].description:
                made.header[f"TCOMM{column}"] = table[name].description
        kept = [f"{key}{column}" for column in range(1, there["TFIELDS"] + 1) for key in _ABOUT_COLUMNS]
        for key in ("EXTNAME", "EXTVER", *kept):
            if key in there:
                made.header[key] = there[key]
        parts = [made if at == number else hdu.copy() for at, hdu in enumerate(hdus)]
        fits.HDUList(parts).writeto(path, overwrite=True)  # .gz is packed by its name


def _write_csv(table: pa.Table, ours: pa.Table, path: Path) -> None:
    """Write the user's cells unchanged, and ours guarded against spreadsheet formulas."""
    names = [*table.column_names, *ours.column_names]
    theirs = [["" if v is None else v for v in table.column(at).to_pylist()] for at in range(table.num_columns)]
    mine = [["" if value is None else guarded(value) for value in column.to_pylist()] for column in ours.columns]
    with path.open("w", newline="", encoding="utf-8") as file:
        sign = "\t" if path.name.lower().endswith(".tsv") else ","
        writer = csv.writer(LineFeeds(file), delimiter=sign, lineterminator="\r\n")
        writer.writerow(names)
        writer.writerows(zip(*theirs, *mine, strict=True))
