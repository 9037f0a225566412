"""A user's own table: read completely, extended with columns, and written with everything it had.

Takes FITS, VOTable and ECSV through astropy (extra `astro`), Parquet and CSV through Arrow. Rows, their order, units,
descriptions and metadata stay; a FITS file keeps its other HDUs.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from galclass.atomic_files import replacing
from galclass.catalog.columns import ROW, Columns
from galclass.catalog.dialect import COMMAS, Dialect, write_cells
from galclass.catalog.generic import CatalogColumns, id_and_file_names, ids_and_assets
from galclass.catalog.new_column import NewColumn, arrow_column, astro_column
from galclass.catalog.own_formats import (
    ASTRO_FORMATS,
    arrow_of,
    astro_of,
    fault_of,
    replace_hdu,
    unwritable,
    with_fixed_texts,
)
from galclass.catalog.own_votable import read_votable, write_votable
from galclass.catalog.report import CatalogReport
from galclass.catalog.tables import flat_lists, read_raw, table_kind
from galclass.catalog.text import read_cells
from galclass.catalog.text_numbers import with_numbers
from galclass.errors import CatalogError

PREFIX = "galclass_"
"""Put before the name of a new column where the table has one of that name."""

KINDS = ("fits", "votable", "ecsv", "parquet", "text")
"""Kinds of files that are read and written; of text, .csv and .tsv."""


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
        In a FITS file, the extension that was read; in a VOTable, the number of the table, 0 the first.
    texts : frozenset of str
        Columns that are text whatever they hold: ids and files.
    comments : int
        Lines of a table of text that start with "#": no table that is written has them.
    dialect : Dialect
        Of a table of text.
    """

    path: Path
    kind: str
    table: Any
    object_ids: list[str | None] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    hdu: int = 0
    texts: frozenset[str] = frozenset()
    comments: int = 0
    dialect: Dialect = COMMAS

    def __len__(self) -> int:
        return len(self.table)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.table.colnames if self.kind in ASTRO_FORMATS else self.table.column_names)

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
                if kind in ASTRO_FORMATS:
                    self._write_astro(columns, names, temporary, kind, facts)
                else:
                    self._write_arrow(columns, names, temporary, kind, facts)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # astropy and Arrow raise what their parts raise
            new = {name: astro_column(column) for column, name in zip(columns, names, strict=True)}
            culprit = next((name for name in [*self.names, *new] if fault_of(kind, self._alone(name, new))), None)
            raise unwritable(kind, path, culprit, error) from error
        return names

    def check(self, path: Path) -> None:
        """Check by a few rows that a format can hold each column, before the work whose result is to be written.

        Raises
        ------
        CatalogError
            If it cannot; names the column.
        """
        kind = writable_kind(path)
        for name in self.names:
            fault = fault_of(kind, self._alone(name, {}), whole=False)
            if fault is not None:
                raise unwritable(kind, path, name, fault) from fault

    def _alone(self, name: str, new: Mapping[str, Any]) -> Any:
        """Return a table of one column, its own or a new one."""
        if name in new:
            from astropy.table import Table

            return Table({name: new[name]})
        if self.kind in ASTRO_FORMATS:
            return self.table[[name]]
        one = self.table.select([name])
        return with_numbers(one, self.texts) if self.kind == "text" else one

    def _write_astro(
        self, columns: Sequence[NewColumn], names: list[str], path: Path, kind: str, facts: Mapping[str, str]
    ) -> None:
        table = self.table.copy() if self.kind in ASTRO_FORMATS else astro_of(self._typed())
        for column, name in zip(columns, names, strict=True):
            table[name] = astro_column(column, ascii_only=kind == "fits")
            table[name].description = column.description
        table.meta.update(facts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # long keywords become HIERARCH cards, units of no standard stay texts
            if kind == "fits" and self.kind == "fits":
                replace_hdu(self.path, self.hdu, table, path)
            elif kind == "votable":
                write_votable(table, path, facts, (self.path, self.hdu) if self.kind == "votable" else None)
            else:
                table = with_fixed_texts(table) if kind == "fits" else table
                table.write(path, format=ASTRO_FORMATS[kind], overwrite=True)

    def _typed(self) -> pa.Table:
        """Return an Arrow table; of a text file with numbers where all cells of a column are numbers, but for ids."""
        return with_numbers(self.table, self.texts) if self.kind == "text" else self.table

    def _write_arrow(
        self, columns: Sequence[NewColumn], names: list[str], path: Path, kind: str, facts: Mapping[str, str]
    ) -> None:
        table = arrow_of(self.table) if self.kind in ASTRO_FORMATS else self.table if kind == "text" else self._typed()
        ours = {name: arrow_column(column) for column, name in zip(columns, names, strict=True)}
        if kind == "text":
            write_cells(flat_lists(table), flat_lists(pa.table(ours)), path, self.dialect.written_to(path, self.path))
            return
        metadata = dict(table.schema.metadata or {}) | {name.encode(): text.encode() for name, text in facts.items()}
        for column, name in zip(columns, names, strict=True):
            about = pa.field(name, ours[name].type, metadata={"description": column.description})
            table = table.append_column(about, ours[name])
        pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


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
    kind = table_kind(path)
    if kind not in KINDS:
        expected = "text, FITS, VOTable, ECSV or Parquet"
        raise CatalogError("columns cannot be added to a table of this format", where=str(path), expected=expected)
    raw = read_raw(path, text_columns=chosen.names, table=chosen.table)
    own = _whole(path, kind, raw.chosen, chosen.names)
    rows = len(own)
    if raw.table.num_rows != rows:
        raise CatalogError(
            "its rows cannot be counted", where=str(path), expected=rows, got=raw.table.num_rows,
            advice="remove comment lines and repeated headers",
        )  # fmt: skip
    numbered = raw.table.append_column(ROW, pa.array(range(1, rows + 1), pa.int64()))
    columns = Columns(numbered, str(path), raw.aside)
    id_name, file_name = id_and_file_names(columns, chosen)
    ids, keys = ids_and_assets(columns, id_name, file_name, chosen.id is None, CatalogReport())
    own.object_ids, own.keys = ids.to_pylist(), keys.to_pylist()
    own.texts = frozenset(name for name in (id_name, file_name) if name)
    return own


def _whole(path: Path, kind: str, chosen: str, text_columns: frozenset[str]) -> OwnTable:
    number = int(chosen.split(" ")[0]) if chosen else 0
    if kind == "parquet":
        return OwnTable(path, kind, pyarrow.parquet.read_table(path, partitioning=None))
    if kind == "text":
        return _text_of(path, text_columns)
    from astropy.table import Table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those that matter were reported when the file was read for its ids
        if kind == "fits":
            number = number or _first_table(path)
            return OwnTable(path, kind, Table.read(path, format="fits", hdu=number, mask_invalid=False), hdu=number)
        if kind == "votable":
            return OwnTable(path, kind, read_votable(path, number), hdu=number)
        return OwnTable(path, kind, Table.read(path, format="ascii.ecsv"))


def _first_table(path: Path) -> int:
    from astropy.io import fits

    with fits.open(path) as hdus:
        return next(
            number
            for number, hdu in enumerate(hdus)
            if isinstance(hdu, fits.BinTableHDU | fits.TableHDU) and not hdu.is_image
        )


def _text_of(path: Path, text_columns: frozenset[str]) -> OwnTable:
    """Read every cell of a table of text as the text it is."""
    found = read_cells(path, text_columns)
    cells = zip(*found.rows, strict=True) if found.rows else ([] for _ in found.names)
    columns = [list(column) for column in cells]
    table = pa.Table.from_arrays([pa.array(column, pa.string()) for column in columns], names=found.names)
    told = [column for name, column in zip(found.names, columns, strict=True) if name not in text_columns]
    return OwnTable(path, "text", table, comments=found.comments, dialect=Dialect.of(found.delimiter, told))


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
