"""Where objects are: ids and positions from a catalog, and the cone search over `galaxy_images`.

Angles are in degrees (J2000) and arcsec; distances are on the sphere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, or_, true

from galclass.catalog import CatalogColumns, CatalogReport, read_catalog
from galclass.database.schema import images
from galclass.errors import DatabaseError
from galclass.preprocess.images import row_key

ARCSEC_PER_DEG = 3600.0
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


def separation_arcsec(
    ra: NDArray[np.float64], dec: NDArray[np.float64], ra0: float, dec0: float
) -> NDArray[np.float64]:
    """Give the distance of positions (deg) from a point on the sky, by the haversine formula."""
    along, across = np.radians(ra - ra0), np.radians(dec - dec0)
    chord = np.sin(across / 2) ** 2 + np.cos(np.radians(dec)) * math.cos(math.radians(dec0)) * np.sin(along / 2) ** 2
    angles: NDArray[np.float64] = 2 * np.arcsin(np.sqrt(np.clip(chord, 0, 1))) * (180 / math.pi) * ARCSEC_PER_DEG
    return angles


def box_round(ra: float, dec: float, radius_arcsec: float) -> ColumnElement[bool]:
    """Give the SQL condition of a box that holds the whole cone; over the poles and across 0h too.

    Raises
    ------
    DatabaseError
        If the position or the radius is none.
    """
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and 0 < radius_arcsec <= 180 * ARCSEC_PER_DEG):
        raise DatabaseError(
            "no such cone", expected="RA in 0..360 deg, Dec in -90..90 deg, a radius above 0 arcsec",
            got=f"{ra} {dec} {radius_arcsec}",
        )  # fmt: skip
    radius = radius_arcsec / ARCSEC_PER_DEG
    strip = images.c.dec.between(dec - radius, dec + radius)
    return and_(strip, _ra_range(ra, dec, radius))


def _ra_range(ra: float, dec: float, radius: float) -> ColumnElement[bool]:
    if abs(dec) + radius >= 90:
        return true()
    half = math.degrees(math.asin(min(1.0, math.sin(math.radians(radius)) / math.cos(math.radians(dec))))) + 1e-9
    low, high = ra - half, ra + half
    if low < 0:
        return or_(images.c.ra >= low + 360, images.c.ra <= high)
    if high > 360:
        return or_(images.c.ra >= low, images.c.ra <= high - 360)
    return images.c.ra.between(low, high)
