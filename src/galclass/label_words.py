"""What a label says in words: "Sb2m(r)" is "spiral with obvious bulge, 2 arms, medium winding, ring"."""

from __future__ import annotations

from collections.abc import Mapping

from galclass.errors import MorphologyError
from galclass.morphology import CLASS_NAMES, Gz2Class, leaves_of, parse_gz2_class

_EDGE_ON_BULGE: Mapping[str, str] = {"r": "rounded bulge", "b": "boxy bulge", "n": "no bulge"}
_WINDING: Mapping[str, str] = {"t": "tight winding", "m": "medium winding", "l": "loose winding"}
_ARMS: Mapping[str, str] = {
    "1": "1 arm",
    "+": "more than 4 arms",
    "?": "arms that cannot be counted",
}
_ODD: Mapping[str, str] = {
    "r": "ring",
    "l": "lens or arc",
    "d": "disturbed",
    "i": "irregular",
    "o": "something odd",
    "m": "merger",
    "u": "dust lane",
}


def label_words(label: str) -> str:
    """Return a label as people say it.

    Parameters
    ----------
    label : str
        A class, a gz2_class string, or a coarse label; anything else comes back with its underscores as blanks.
    """
    try:
        return ", ".join(_parts(parse_gz2_class(label)))
    except MorphologyError:
        return CLASS_NAMES.get(label, label.replace("_", " "))


def _parts(parsed: Gz2Class) -> list[str]:
    parts = [CLASS_NAMES[parsed.leaf]]
    if parsed.edge_on_bulge:
        parts.append(_EDGE_ON_BULGE[parsed.edge_on_bulge])
    if parsed.arms:
        parts.append(_ARMS.get(parsed.arms, f"{parsed.arms} arms"))
    if parsed.winding:
        parts.append(_WINDING[parsed.winding])
    if parsed.odd:
        parts.append(_ODD[parsed.odd])
    return parts


def classes_of(label: str) -> tuple[str, ...]:
    """Return the classes that agree with a label; empty where it says nothing about them."""
    try:
        return leaves_of(label)
    except MorphologyError:
        return ()
