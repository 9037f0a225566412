"""Two meanings of "smooth": what volunteers said (raw fractions) and what gz2_class says (debiased fractions).

Debiasing moves faint galaxies from smooth to disk, so that half of the galaxies that volunteers call smooth have a
spiral gz2_class. A class head that learns from samples with raw labels too takes from such a row the kind by its raw
fractions, and from its gz2_class only the leaf within its own kind. Takes the index, gives arrays along its rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galclass.errors import TrainingError
from galclass.morphology import CLASSES, COARSE_LABELS, GROUPS

if TYPE_CHECKING:
    import pyarrow as pa

_SMOOTH, _SHAPE = 0.469, 0.50
_FEATURES, _EDGE_ON, _NOT_EDGE_ON, _SPIRAL = 0.430, 0.602, 0.715, 0.619
"""Thresholds of the clean samples, Willett et al. 2013, table 3."""

_ROUND_TO_CIGAR = ("a16_completely_round", "a17_in_between", "a18_cigar_shaped")


def raw_kinds(table: pa.Table, where: str) -> NDArray[np.bool_]:
    """Give the classes that fit the raw (weighted) fractions by the clean-sample thresholds, (n, 13).

    Rows that are clean for no kind, and rows without fractions, are all False.

    Raises
    ------
    TrainingError
        If the index has no weighted fractions.
    """

    def fraction(stem: str) -> NDArray[np.float64]:
        name = f"{stem}_weighted_fraction"
        if name not in table.column_names:
            raise TrainingError(f"the index has no column {name}", where=where, advice=f"leave out {where}")
        values: NDArray[np.float64] = table.column(name).to_numpy().astype(np.float64)
        return np.nan_to_num(values)

    smooth = fraction("t01_smooth_or_features_a01_smooth") >= _SMOOTH
    features = (fraction("t01_smooth_or_features_a02_features_or_disk") >= _FEATURES) & ~smooth
    edge_on = features & (fraction("t02_edgeon_a04_yes") >= _EDGE_ON)
    face_on = features & ~edge_on & (fraction("t02_edgeon_a05_no") >= _NOT_EDGE_ON)
    kinds = np.zeros((table.num_rows, len(CLASSES)), dtype=bool)
    for leaf, answer in zip(GROUPS["Elliptical"], _ROUND_TO_CIGAR, strict=True):
        kinds[:, CLASSES.index(leaf)] = smooth & (fraction(f"t07_rounded_{answer}") >= _SHAPE)
    kinds[:, CLASSES.index("Se")] = edge_on
    spiral = face_on & (fraction("t04_spiral_a08_spiral") >= _SPIRAL)
    kinds[:, _positions(COARSE_LABELS["spiral"])] = spiral[:, None]
    return kinds


def own_kind(leaves: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give for rows of one class all classes of its kind (smooth, or face-on spiral), (n, 13); else all False."""
    kinds = np.zeros_like(leaves)
    single = leaves.sum(1) == 1
    for names in (GROUPS["Elliptical"], COARSE_LABELS["spiral"]):
        positions = _positions(names)
        kinds[:, positions] |= (single & leaves[:, positions].any(1))[:, None]
    return kinds


def widened_to_two(leaves: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Widen labels to "smooth" or "not smooth", (n, 13); one that spans both says nothing any more."""
    smooth = _positions(GROUPS["Elliptical"])
    others = [position for position in range(len(CLASSES)) if position not in smooth]
    is_smooth, is_other = leaves[:, smooth].any(1), leaves[:, others].any(1)
    only_smooth: NDArray[np.bool_] = np.logical_and(is_smooth, np.logical_not(is_other))
    only_other: NDArray[np.bool_] = np.logical_and(is_other, np.logical_not(is_smooth))
    wide = np.zeros_like(leaves)
    wide[:, smooth] = only_smooth[:, None]
    wide[:, others] = only_other[:, None]
    return wide


def _positions(names: tuple[str, ...]) -> list[int]:
    return [CLASSES.index(name) for name in names]
