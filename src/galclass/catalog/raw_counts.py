"""Raw votes of a table as counts: how many volunteers gave each answer.

Takes tables with gz2_hart16's columns, as catalogs and the prepared index have them; returns (n, 37) counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galclass.catalog.votes import STEMS
from galclass.morphology import QUESTIONS

if TYPE_CHECKING:
    import pyarrow as pa

VOTERS = 45
"""Volunteers a galaxy: the typical number of Galaxy Zoo 2, taken where a table does not say how many there were."""

_WIDTHS = [len(question.answers) for question in QUESTIONS.values()]


def raw_counts(table: pa.Table) -> NDArray[np.float32]:
    """Return the raw votes of every index row, total_classifications times fractions down the tree, (n, 37).

    Fractions are `_weighted_fraction`, else `_fraction`; where the table has no total, `VOTERS` are taken. A question
    without fractions has no votes (zeros).
    """
    fractions = np.column_stack([_fraction(table, stem) for stem in STEMS])
    total = np.full(table.num_rows, float(VOTERS))
    if "total_classifications" in table.column_names:
        given = table.column("total_classifications").to_numpy().astype(np.float64)
        total = np.where(np.nan_to_num(given) > 0, given, total)
    counts = np.zeros_like(fractions)
    start = 0
    for reach, width in zip(_reach(fractions), _WIDTHS, strict=True):
        columns = slice(start, start + width)
        own = fractions[:, columns]
        asked = np.nansum(own, axis=1, keepdims=True)
        known = ~np.isnan(own).all(1, keepdims=True) & (asked > 0)
        share = np.divide(np.nan_to_num(own), asked, out=np.zeros_like(own), where=known)
        counts[:, columns] = share * (np.nan_to_num(reach) * total)[:, None]
        start += width
    return counts.astype(np.float32)


def _fraction(table: pa.Table, stem: str) -> NDArray[np.float64]:
    found = np.full(table.num_rows, np.nan)
    for kind in ("weighted_fraction", "fraction"):
        name = f"{stem}_{kind}"
        if name in table.column_names:
            own = table.column(name).to_numpy().astype(np.float64)
            found = np.where(np.isnan(found), own, found)
    return found


def _reach(fractions: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the share of all voters who reach each question, in the order of `QUESTIONS`; NaN where it is unknown."""
    f = dict(zip(STEMS, fractions.T, strict=True))
    everybody = np.ones(len(fractions))
    featured = f["t01_smooth_or_features_a02_features_or_disk"]
    galaxy = 1 - np.nan_to_num(f["t01_smooth_or_features_a03_star_or_artifact"])
    edge_on, face_on = featured * f["t02_edgeon_a04_yes"], featured * f["t02_edgeon_a05_no"]
    spiral = face_on * f["t04_spiral_a08_spiral"]
    return [
        everybody,
        featured,
        face_on,
        face_on,
        face_on,
        galaxy,
        f["t01_smooth_or_features_a01_smooth"],
        galaxy * f["t06_odd_a14_yes"],
        edge_on,
        spiral,
        spiral,
    ]
