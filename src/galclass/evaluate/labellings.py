"""How labels can be scored: the 13 classes, the groups, and the coarse labels of a source.

Takes label text, returns index arrays; a coarse label is predicted by summing its leaves' probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galclass.morphology import CLASSES, COARSE_LABELS, GROUPS, leaves_of


@dataclass(frozen=True)
class Labelling:
    """A set of labels no two of which share a leaf.

    Attributes
    ----------
    title : str
        Heading of its table.
    names : tuple of str
        The labels.
    leaves : tuple of tuple of str
        The classes each label stands for.
    """

    title: str
    names: tuple[str, ...]
    leaves: tuple[tuple[str, ...], ...]

    def sum_probabilities(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Sum (n, 13) class probabilities over the classes of each label, (n, k)."""
        return probabilities.astype(np.float64) @ self.matrix

    @property
    def matrix(self) -> NDArray[np.float64]:
        """1 where a class (row, 13) belongs to a label (column, k)."""
        return np.array([[float(leaf in leaves) for leaves in self.leaves] for leaf in CLASSES])

    def true_index(self, labels: Sequence[str | None]) -> NDArray[np.int64]:
        """Index of each label text, (n,); -1 where the text is no label of this labelling (or finer)."""
        return np.array([self._index(label) for label in labels], dtype=np.int64)

    def _index(self, label: str | None) -> int:
        wanted = set(leaves_of(label)) if label else set()
        if not wanted:
            return -1
        return next((i for i, leaves in enumerate(self.leaves) if wanted <= set(leaves)), -1)


THIRTEEN = Labelling("13 classes", CLASSES, tuple((leaf,) for leaf in CLASSES))
FOUR = Labelling("4 groups", tuple(GROUPS), tuple(GROUPS.values()))


def coarse_labelling(source: str, labels: Sequence[str | None]) -> Labelling | None:
    """Return the labelling that a source uses, if it is coarser than the 13 classes.

    Labels that stand for the same leaves are merged under the shortest name that is known for them
    (spiral_clockwise and spiral_anticlockwise become spiral); labels without leaves are left out.
    Returns None if every label is a single class, or if two labels overlap.
    """
    by_leaves: dict[tuple[str, ...], set[str]] = {}
    for label in labels:
        leaves = leaves_of(label) if label else ()
        if label and leaves:
            by_leaves.setdefault(leaves, set()).add(label)
    if all(len(leaves) == 1 for leaves in by_leaves):
        return None
    ordered = sorted(by_leaves, key=lambda leaves: CLASSES.index(leaves[0]))
    flat = [leaf for leaves in ordered for leaf in leaves]
    if len(flat) != len(set(flat)):
        return None
    names = tuple(_common_name(leaves, by_leaves[leaves]) for leaves in ordered)
    return Labelling(f"{source}: {len(ordered)} labels", names, tuple(ordered))


def _common_name(leaves: tuple[str, ...], labels: set[str]) -> str:
    if len(labels) == 1:
        return next(iter(labels))
    known = [name for name, stands_for in COARSE_LABELS.items() if stands_for == leaves]
    return min([*known, *sorted(labels)], key=len)
