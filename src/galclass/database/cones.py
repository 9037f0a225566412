"""Cones on the sky, read from what people type.

Angles are in degrees (J2000) unless a unit says otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from galclass.catalog.positions import degrees_of

UNITS = {"deg": 1.0, "arcmin": 60.0, "arcsec": 3600.0}
"""Units of a radius by how many make a degree."""

_SPELLINGS = {
    **dict.fromkeys(("", "d", "deg", "degree", "degrees", "\u00b0"), "deg"),
    **dict.fromkeys(("'", "\u2032", "m", "amin", "arcmin", "arcmins", "arcminute", "arcminutes"), "arcmin"),
    **dict.fromkeys(('"', "''", "\u2033", "s", "as", "asec", "arcsec", "arcsecs", "arcsecond", "arcseconds"), "arcsec"),
}
_RADIUS = re.compile(
    r"(?P<position>.*?)(?:\s*,\s*|\s+)(?P<number>[+\-\u2212]?[0-9.]+(?:[eE][+-]?\d+)?)\s*(?P<unit>[^\s\d,]*)"
)
_SIGN = re.compile(r"(?<=[\s\d.hmsd\"'\u00b0])[+\-\u2212\u2013]")
_NUMBER = re.compile(r"[0-9.]+")
_EXAMPLES = '"10:00:28.6 +02:12:21 30 arcsec" or "150.119, 2.206, 0.01" (degrees)'


@dataclass(frozen=True)
class Cone:
    """A circle on the sky: centre and radius in degrees."""

    ra: float
    dec: float
    radius_deg: float


def read_cone(text: str) -> Cone:
    """Read a cone: right ascension, declination, radius.

    Positions are sexagesimal (hours and degrees) or decimal degrees; blanks or commas stand between the parts; the
    radius has a unit (deg, arcmin, arcsec and their signs) or is in degrees.

    Raises
    ------
    ValueError
        Its message says which part is wrong.
    """
    match = _RADIUS.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"the radius is missing: expected {_EXAMPLES}")
    ra_text, dec_text = _position(match["position"].strip().rstrip(","))
    ra = _angle(ra_text, "right ascension", hours=True)
    dec = _angle(dec_text, "declination", hours=False)
    radius = _radius(match["number"], match["unit"])
    if not 0 <= ra <= 360:
        raise ValueError(f"the right ascension {ra_text} is outside 0 to 360 degrees")
    if not -90 <= dec <= 90:
        raise ValueError(f"the declination {dec_text} is outside -90 to 90 degrees")
    return Cone(ra % 360, dec, radius)


def _position(text: str) -> tuple[str, str]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 1:
        signs = list(_SIGN.finditer(text))
        words = text.split()
        if len(signs) == 1 and signs[0].start() > 0:
            parts = [text[: signs[0].start()].strip(), text[signs[0].start() :].strip()]
        elif len(words) in (2, 4, 6):
            parts = [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])]
        elif len(words) < 2:
            raise ValueError(f"a right ascension, a declination and a radius are needed: expected {_EXAMPLES}")
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"it is not clear where the right ascension ends in {text[:60]!r}: put a comma after it")
    ra, dec = (len(_NUMBER.findall(part)) for part in parts)
    if ra != dec and any(re.search(r"\s", part) for part in parts):  # its last number was taken for the radius
        raise ValueError(f"the radius is missing, or the position {text[:60]!r} is not whole: expected {_EXAMPLES}")
    return parts[0], parts[1]


def _angle(text: str, name: str, *, hours: bool) -> float:
    plain = re.sub(r"\s*(?:deg(?:rees?)?|\u00b0|(?<=\d)d)$", "", text.strip(), flags=re.IGNORECASE)
    try:
        value = degrees_of(plain, hours=hours)
    except ValueError:
        raise ValueError(f"the {name} {text[:40]!r} cannot be read: expected degrees or sexagesimal") from None
    if value != value:  # NaN
        raise ValueError(f"the {name} {text[:40]!r} is not a number")
    return value


def _radius(number: str, unit: str) -> float:
    known = _SPELLINGS.get(unit.lower())
    if known is None:
        raise ValueError(f"the unit of the radius, {unit[:20]!r}, is unknown: expected {', '.join(UNITS)}")
    try:
        radius = float(number.replace("\u2212", "-")) / UNITS[known]
    except ValueError:
        raise ValueError(f"the radius {number[:20]!r} is not a number") from None
    if not 0 < radius <= 180:
        raise ValueError(f"the radius {number} {known} is not above 0 and at most 180 degrees")
    return radius
