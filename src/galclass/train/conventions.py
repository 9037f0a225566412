"""Two meanings of "smooth": the volunteers' (raw fractions) and that of gz2_class (debiased fractions).

Debiasing moves faint galaxies from smooth to disk, so half of the galaxies that volunteers call smooth have a spiral
gz2_class. A class head that also learns from samples with raw labels therefore takes the kind of such a row from its
raw fractions, and from its gz2_class only the leaf within a kind. Takes the index, returns arrays along its rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galclass.clean_samples import CLEAN_ANSWERS, CLEAN_LABELS, clean_kind
from galclass.errors import TrainingError
from galclass.morphology import CLASSES, COARSE_LABELS, GROUPS

if TYPE_CHECKING:
    import pyarrow as pa


def raw_kinds(table: pa.Table, where: str) -> NDArray[np.bool_]:
    """Return the classes that fit the raw (weighted) fractions by the clean-sample thresholds, (n, 13).

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
        return values

    found = clean_kind({stem: fraction(stem) for stem in CLEAN_ANSWERS})
    classes_of = np.zeros((len(CLEAN_LABELS) + 1, len(CLASSES)), dtype=bool)  # the last row: clean for no kind
    for kind, label in enumerate(CLEAN_LABELS):
        classes_of[kind, _positions(COARSE_LABELS[label])] = True
    kinds: NDArray[np.bool_] = classes_of[found]
    return kinds


def own_kind(leaves: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return all classes of the kind (smooth, or face-on spiral) of rows of one class, (n, 13); else all False."""
    kinds = np.zeros_like(leaves)
    single = leaves.sum(1) == 1
    for names in (GROUPS["Elliptical"], COARSE_LABELS["spiral"]):
        positions = _positions(names)
        kinds[:, positions] |= (single & leaves[:, positions].any(1))[:, None]
    return kinds


def widened_to_two(leaves: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Widen labels to "smooth" or "not smooth", (n, 13); one that spans both becomes uninformative."""
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
