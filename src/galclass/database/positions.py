"""Where objects are: ids and positions of a catalog, by the image file of each row. Angles in degrees (J2000)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from galclass.catalog import CatalogColumns, CatalogReport, read_catalog
from galclass.image_files.keys import row_key

_VOTES = re.compile(r"t\d\d_")


@dataclass(frozen=True)
class CatalogRow:
    """What a catalog says about the object in an image file; `others`: rows of other objects in the same file."""

    object_id: str
    ra: float | None
    dec: float | None
    label: str | None
    votes: Mapping[str, float]
    others: tuple[CatalogRow, ...] = ()

    @property
    def all(self) -> tuple[CatalogRow, ...]:
        """The row itself and those of the other objects in the same file."""
        return (self, *self.others)


def read_objects(
    catalog: Path,
    mapping: Path | None = None,
    *,
    format: str = "auto",
    columns: CatalogColumns | None = None,
    report: CatalogReport | None = None,
) -> dict[str, CatalogRow]:
    """Read object id, position and label of every row of a catalog, by the key of its image file (`file_key`).

    Where several objects name one file, the first has the rows of the others.

    Parameters
    ----------
    catalog, mapping, format, columns
        As for `read_catalog`.
    report : CatalogReport, optional
        Gets the rows left out and the names of the columns.

    Raises
    ------
    CatalogError
        If the file is no catalog.
    """
    findings = report if report is not None else CatalogReport()
    table = read_catalog(catalog, format, mapping, columns=columns, report=findings, any_label=True)
    votes = [name for name in table.column_names if _VOTES.match(name)]
    found: dict[str, CatalogRow] = {}
    for values in table.to_pylist():
        key, row = row_key(values["asset_id"]), _catalog_row(values, votes)
        if key is not None:
            first = found.setdefault(key, row)
            found[key] = first if first is row else replace(first, others=(*first.others, row))
    return found


def _catalog_row(row: dict[str, Any], votes: Sequence[str]) -> CatalogRow:
    known = {name: row[name] for name in votes if row[name] is not None}
    return CatalogRow(row["object_id"], row.get("ra"), row.get("dec"), row.get("label"), known)
