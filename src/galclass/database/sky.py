"""Positions on the sky: cones, distances and HEALPix; degrees (J2000), arcsec, distances on the sphere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, func, or_, true

from galclass.database.cones import Cone
from galclass.database.schema import images
from galclass.errors import DatabaseError
from galclass.extras import missing_extra

ARCSEC_PER_DEG = 3600.0
HEALPIX_ORDER = 29


def separation_arcsec(
    ra: NDArray[np.float64],
    dec: NDArray[np.float64],
    ra0: float | NDArray[np.float64],
    dec0: float | NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the distance of positions (deg) from a point on the sky, or from one each, by the haversine formula."""
    along, across = np.radians(ra - ra0), np.radians(dec - dec0)
    chord = np.sin(across / 2) ** 2 + np.cos(np.radians(dec)) * np.cos(np.radians(dec0)) * np.sin(along / 2) ** 2
    angles: NDArray[np.float64] = 2 * np.arcsin(np.sqrt(np.clip(chord, 0, 1))) * (180 / math.pi) * ARCSEC_PER_DEG
    return angles


def box_round(ra: float, dec: float, radius_arcsec: float) -> ColumnElement[bool]:
    """Return the SQL condition of a box around the whole cone, also at the poles and across 0h.

    Raises
    ------
    DatabaseError
        If the position or the radius is none.
    """
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and 0 < radius_arcsec <= 180 * ARCSEC_PER_DEG):
        raise DatabaseError(
            "cone out of range", expected="RA in 0..360 deg, Dec in -90..90 deg, a radius above 0 arcsec",
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


def haversine(cone: Cone) -> ColumnElement[float]:
    """Return what grows with the distance of a stored position from the centre of a cone."""
    dec, ra = func.radians(images.c.dec), func.radians(images.c.ra)
    half_dec = func.sin((dec - math.radians(cone.dec)) / 2)
    half_ra = func.sin((ra - math.radians(cone.ra)) / 2)
    across = func.cos(dec) * math.cos(math.radians(cone.dec))
    value: ColumnElement[Any] = half_dec * half_dec + across * half_ra * half_ra
    return value


def inside(cone: Cone) -> list[ColumnElement[bool]]:
    """Return a box for speed, then the exact distance by the haversine formula."""
    box = box_round(cone.ra, cone.dec, cone.radius_deg * ARCSEC_PER_DEG)
    limit = math.sin(math.radians(cone.radius_deg) / 2) ** 2  # a cosine has no digits left at milliarcseconds
    return [box, haversine(cone) <= limit]


def healpix_column(ra: Sequence[float | None], dec: Sequence[float | None]) -> list[int | None]:
    """Return the nested HEALPix index at order 29 of positions in degrees, or None if one is unknown.

    Raises
    ------
    DatabaseError
        If there are positions but astropy-healpix is not installed.
    """
    known = [number for number, position in enumerate(zip(ra, dec, strict=True)) if None not in position]
    found: list[int | None] = [None] * len(ra)
    if known:
        indices = _healpix(np.array([ra[n] for n in known], float), np.array([dec[n] for n in known], float))
        for number, index in zip(known, indices, strict=True):
            found[number] = int(index)
    return found


def _healpix(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.int64]:
    try:
        from astropy import units
        from astropy_healpix import lonlat_to_healpix
    except ModuleNotFoundError as error:
        raise missing_extra(error, "a column of HEALPix numbers") or error from error
    indices: NDArray[np.int64] = lonlat_to_healpix(ra * units.deg, dec * units.deg, 2**HEALPIX_ORDER, order="nested")
    return indices
