"""The clean samples of Galaxy Zoo 2: five kinds of galaxy that most volunteers agree on, by vote thresholds.

Takes raw vote fractions, returns one of `CLEAN_LABELS` or none; writes nothing. Thresholds: Willett et al. 2013 (MNRAS
435, 2835), table 3; as the public samples of them (Dieleman et al. 2015; Zhu et al. 2019) are made, each is compared
with the share of all voters, that is with fractions multiplied down the tree of questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

CLEAN_LABELS: tuple[str, ...] = (
    "completely_round_smooth",
    "in_between_smooth",
    "cigar_shaped_smooth",
    "edge_on",
    "spiral",
)
"""The five kinds, in the order of every vector over them."""

CLEAN_ANSWERS: tuple[str, ...] = (
    "t01_smooth_or_features_a01_smooth",
    "t01_smooth_or_features_a02_features_or_disk",
    "t02_edgeon_a04_yes",
    "t02_edgeon_a05_no",
    "t04_spiral_a08_spiral",
    "t07_rounded_a16_completely_round",
    "t07_rounded_a17_in_between",
    "t07_rounded_a18_cigar_shaped",
)
"""The answers that the thresholds look at, in the order of the tree, by gz2_hart16's stems."""

_SMOOTH, _SHAPE = 0.469, 0.50
_FEATURES, _EDGE_ON, _NOT_EDGE_ON, _SPIRAL = 0.430, 0.602, 0.715, 0.619

CLEAN_SHARES: Mapping[str, float] = MappingProxyType(
    {
        "smooth": _SMOOTH,
        "shape": _SHAPE,
        "features": _FEATURES,
        "edge_on": _EDGE_ON,
        "not_edge_on": _NOT_EDGE_ON,
        "spiral": _SPIRAL,
    }
)
"""The least share of all voters that each step towards a kind takes ("shape": of one of the three roundnesses)."""


def clean_kind(fractions: Mapping[str, NDArray[np.floating]]) -> NDArray[np.int64]:
    """Return the position in `CLEAN_LABELS` of each object, or -1 where the votes are not clean.

    Parameters
    ----------
    fractions : mapping of array (n,)
        For each of `CLEAN_ANSWERS` the share, in [0, 1], among those who were asked; NaN where nobody was.
    """
    return clean_kind_of_shares(shares_of_all_voters(fractions))


def clean_kind_of_shares(share: Mapping[str, NDArray[np.floating]]) -> NDArray[np.int64]:
    """Do the same from shares of all voters, each (n,)."""
    is_smooth = share["t01_smooth_or_features_a01_smooth"] >= _SMOOTH
    has_features = share["t01_smooth_or_features_a02_features_or_disk"] >= _FEATURES
    rules = [
        is_smooth & (share["t07_rounded_a16_completely_round"] >= _SHAPE),
        is_smooth & (share["t07_rounded_a17_in_between"] >= _SHAPE),
        is_smooth & (share["t07_rounded_a18_cigar_shaped"] >= _SHAPE),
        has_features & (share["t02_edgeon_a04_yes"] >= _EDGE_ON),
        has_features & (share["t02_edgeon_a05_no"] >= _NOT_EDGE_ON) & (share["t04_spiral_a08_spiral"] >= _SPIRAL),
    ]
    met = np.stack(rules, axis=-1)
    return np.where(met.sum(axis=-1) == 1, met.argmax(axis=-1), -1)


def shares_of_all_voters(fractions: Mapping[str, NDArray[np.floating]]) -> dict[str, NDArray[np.float64]]:
    """Multiply the fractions of `CLEAN_ANSWERS` down the tree, as the Galaxy Challenge publishes them, each (n,)."""
    given = {stem: np.nan_to_num(np.asarray(fractions[stem], dtype=np.float64)) for stem in CLEAN_ANSWERS}
    smooth, featured, _, not_edge_on = list(given.values())[:4]
    ones = np.ones_like(smooth)
    reached = [ones, ones, featured, featured, featured * not_edge_on, smooth, smooth, smooth]
    return {stem: share * reach for (stem, share), reach in zip(given.items(), reached, strict=True)}
