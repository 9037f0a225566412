"""The image in a FITS file: which HDUs and planes it is made of, and which way is up.

Takes the headers that `fits_layout` read, returns a `FitsImage`; opens no pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import atan2, cos, degrees, isfinite, radians, sin
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from galclass.cutouts.fits_layout import Hdu, Value
from galclass.errors import CutoutError

_Matrix = tuple[float, float, float, float]

_ORDER = "ugrizyjhk"
"""Bands by wavelength, shortest first."""

_BAND = re.compile(r"(?:.*[._ -])?([ugrizyjhk])(?:[._ -]?(?:band|sdss|prime|\d{3,4}))?", re.IGNORECASE)

_NAMED = 12
"""HDUs that an error names."""

_MAX_PLANES = 1000
"""Planes of a cube whose names are looked up; a header may claim 10^18."""


class Way(NamedTuple):
    """How an array whose row 0 is the bottom is turned: mirrored left-right first, then quarters counter-clockwise."""

    mirrored: bool
    quarters: int


@dataclass(frozen=True)
class FitsImage:
    """The image in a file: the HDUs and planes that become red, green and blue, or the grey one.

    Attributes
    ----------
    parts : tuple of (Hdu, plane)
        One or three; plane None is an image of two axes, -1 stands for all three of an image whose last axis is colour.
    height, width : int
        As stored.
    way : Way
    """

    parts: tuple[tuple[Hdu, int | None], ...]
    height: int
    width: int
    way: Way

    @property
    def hdus(self) -> list[Hdu]:
        """The HDUs, each once."""
        return list({hdu.number: hdu for hdu, _ in self.parts}.values())

    @property
    def where(self) -> str:
        """What errors call it."""
        return ", ".join(hdu.label for hdu in self.hdus)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as shown."""
        turned = self.way.quarters % 2
        return (self.height, self.width) if turned else (self.width, self.height)


def upright(pixels: NDArray[Any], way: Way) -> NDArray[Any]:
    """Return an array whose row 0 is the bottom as an image whose row 0 is the top, turned as the WCS says."""
    shown = pixels[::-1]
    if way.mirrored:
        shown = shown[:, ::-1]
    return np.ascontiguousarray(np.rot90(shown, way.quarters))


def find_image(hdus: Sequence[Hdu], wanted: str | None = None) -> FitsImage:
    """Choose the HDUs and planes that make up the image.

    Parameters
    ----------
    hdus : sequence of Hdu
        Of a file.
    wanted : str, optional
        Name or number of the one to take.

    Raises
    ------
    CutoutError
        not_an_image or unsupported.

    Notes
    -----
    Three HDUs of one shape that are named by bands (EXTNAME, FILTER or BAND: i, r, g; g, r, z; ...) are one image.
    Else it is the HDU named SCI, or the first with an image. Planes are named by BANDS ("grz") or BAND0, BAND1, ...;
    three planes without names are red, green, blue in their order.
    """
    if wanted is not None:
        return _one_hdu(_wanted(hdus, wanted))
    images = [hdu for hdu in hdus if hdu.is_image]
    if not images:
        tables = any(hdu.cards.get("XTENSION") in ("BINTABLE", "TABLE") for hdu in hdus)
        got = "a table" if tables else f"{len(hdus)} HDUs without an image"
        raise CutoutError("not_an_image", f"the FITS file has no image with two axes but {got}")
    named = {band: hdu for hdu in reversed(images) if len(long_axes(hdu)) == 2 and (band := _band_of(hdu))}
    colours = _three(named)
    first = next((hdu for hdu in images if hdu.name == "SCI"), images[0])
    if colours and len({long_axes(named[band]) for band in colours}) == 1 and first in named.values():
        height, width = long_axes(first)
        return FitsImage(tuple((named[band], None) for band in colours), height, width, way_of(first.cards))
    return _one_hdu(first)


def _wanted(hdus: Sequence[Hdu], wanted: str) -> Hdu:
    """Return the HDU of this name, name and version, or number; the first of several."""
    name, _, version = wanted.strip().upper().partition(",")
    found = [
        hdu for hdu in hdus if hdu.name == name.strip() and version.strip() in ("", str(hdu.cards.get("EXTVER", 1)))
    ]
    if not found and wanted.strip().isdecimal():
        found = [hdu for hdu in hdus if hdu.number == int(wanted)]
    known = ", ".join(f"{hdu.number} {hdu.name}".strip() for hdu in hdus[:_NAMED])
    if not found:
        more = ", ..." if len(hdus) > _NAMED else ""
        raise CutoutError("not_an_image", f"the FITS file has no HDU {wanted!r}", expected=f"one of {known}{more}")
    if not found[0].is_image:
        raise CutoutError("not_an_image", f"{found[0].label} holds no image of two axes")
    return found[0]


def _one_hdu(hdu: Hdu) -> FitsImage:
    shape = long_axes(hdu)
    if len(shape) == 2:
        return FitsImage(((hdu, None),), *shape, way_of(hdu.cards))
    if len(shape) == 3 and shape[2] == 3 and shape[0] > 3:
        return FitsImage(((hdu, -1),), *shape[:2], Way(False, 0))
    names = _plane_names(hdu, shape[0]) if len(shape) == 3 and shape[0] <= _MAX_PLANES else {}
    colours = _three(names)
    if len(shape) == 3 and colours:
        parts = tuple((hdu, names[band]) for band in colours)
    elif len(shape) == 3 and shape[0] == 3:
        parts = tuple((hdu, plane) for plane in range(3))
    else:
        raise CutoutError(
            "unsupported",
            f"{hdu.label} is a cube of {' x '.join(map(str, reversed(shape)))}: one plane or three are supported",
        )
    return FitsImage(parts, *shape[1:], way_of(hdu.cards))


def long_axes(hdu: Hdu) -> tuple[int, ...]:
    """Return the shape without leading axes of one pixel."""
    shape = hdu.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _band_of(hdu: Hdu) -> str | None:
    for key in ("EXTNAME", "BAND", "FILTER", "FILTER1"):
        found = _BAND.fullmatch(str(hdu.cards.get(key, "")).strip())
        if found:
            return found[1].lower()
    return None


def _plane_names(hdu: Hdu, planes: int) -> dict[str, int]:
    """Return the planes of a cube by band; empty where they are not named or a name comes twice."""
    text = re.sub(r"[^a-z]", "", str(hdu.cards.get("BANDS", "")).lower())
    names = (
        list(text)
        if len(text) == planes
        else [str(hdu.cards.get(f"BAND{at}", "")).strip().lower() for at in range(planes)]
    )
    return {name: plane for plane, name in enumerate(names)} if len(set(names)) == planes and all(names) else {}


def _three(named: Mapping[str, object]) -> str | None:
    """Return the bands that become red, green and blue: i, r, g or z, r, g; of three others the longest is red."""
    for colours in ("irg", "zrg"):
        if set(colours) <= set(named):
            return colours
    if len(named) == 3 and set(named) <= set(_ORDER):
        return "".join(sorted(named, key=_ORDER.index, reverse=True))
    return None


def way_of(cards: Mapping[str, Value]) -> Way:
    """Return the quarter turn that brings north up and east left, to the nearest; no turn without a WCS."""
    matrix = _sky_matrix(cards)
    if matrix is None:
        return Way(False, 0)
    east_x, east_y, north_x, north_y = matrix
    determinant = east_x * north_y - east_y * north_x
    if not np.isfinite(determinant) or determinant == 0:
        return Way(False, 0)
    mirrored = determinant > 0  # on the sky east is left of north
    # the direction on the array in which declination alone grows: the solution of matrix . v = (0, 1)
    right, up = -east_y / determinant, east_x / determinant
    angle = degrees(atan2(up, -right if mirrored else right))
    return Way(mirrored, round((90 - angle) / 90) % 4)


def _sky_matrix(cards: Mapping[str, Value]) -> _Matrix | None:
    """Return (longitude by x, by y, latitude by x, by y); None without celestial axes."""
    kinds = [str(cards.get(f"CTYPE{axis}", ""))[:4] for axis in (1, 2)]
    longitude = [kind.startswith("RA") or kind.endswith(("LON", "LON-")) or kind[1:4] == "LON" for kind in kinds]
    latitude = [kind.startswith("DEC") or kind[1:4] == "LAT" for kind in kinds]
    if not (longitude[0] and latitude[1]) and not (longitude[1] and latitude[0]):
        return None
    rows = _linear(cards)
    x, y = (rows[0], rows[1]) if longitude[0] else (rows[1], rows[0])
    return (*x, *y)


def _linear(cards: Mapping[str, Value]) -> tuple[tuple[float, float], tuple[float, float]]:
    def number(key: str, default: float) -> float:
        value = cards.get(key, default)
        return float(value) if isinstance(value, int | float) and isfinite(value) else default

    if any(f"CD{row}_{column}" in cards for row in (1, 2) for column in (1, 2)):
        return (number("CD1_1", 0), number("CD1_2", 0)), (number("CD2_1", 0), number("CD2_2", 0))
    x, y = number("CDELT1", 1), number("CDELT2", 1)
    if any(f"PC{row}_{column}" in cards for row in (1, 2) for column in (1, 2)):
        one, two = (number("PC1_1", 1), number("PC1_2", 0)), (number("PC2_1", 0), number("PC2_2", 1))
        return (x * one[0], x * one[1]), (y * two[0], y * two[1])
    turn = radians(number("CROTA2", 0))
    return (x * cos(turn), -y * sin(turn)), (x * sin(turn), y * cos(turn))
