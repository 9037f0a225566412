"""From raw votes, or else from class probabilities, to one class: a walk down the Galaxy Zoo tree.

At each question the branch with the larger probability wins, so the group follows from the class and the two can
never contradict each other. The most probable class may lie on another branch: four spirals of 0.15 each outweigh one
elliptical of 0.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from galclass.morphology import CLASSES, GROUPS, QUESTIONS

DECIMALS = 7
"""Decimal places of a probability in every output and in the walk's comparisons."""

WALK_BRANCHES: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "t01_smooth_or_features": (
            GROUPS["Elliptical"],
            (*GROUPS["Spiral"], *GROUPS["BarredSpiral"]),
            GROUPS["Artifact"],
        ),
        "t07_rounded": tuple((leaf,) for leaf in GROUPS["Elliptical"]),
        "t02_edgeon": (("Se",), (*GROUPS["Spiral"][1:], *GROUPS["BarredSpiral"])),
        "t03_bar": (GROUPS["BarredSpiral"], GROUPS["Spiral"][1:]),
        "t05_bulge_prominence": tuple(zip(GROUPS["Spiral"][1:], GROUPS["BarredSpiral"], strict=True)),
    }
)
"""Questions of the walk, from the first on, and the classes under each of their answers."""

_SMOOTH = [CLASSES.index(leaf) for leaf in GROUPS["Elliptical"]]
_EDGE_ON = CLASSES.index("Se")
_UNBARRED = [CLASSES.index(leaf) for leaf in GROUPS["Spiral"] if leaf != "Se"]
_BARRED = [CLASSES.index(leaf) for leaf in GROUPS["BarredSpiral"]]
_ARTIFACT = CLASSES.index("A")
GROUP_OF = np.array([next(i for i, leaves in enumerate(GROUPS.values()) if leaf in leaves) for leaf in CLASSES])
"""Index into `GROUPS` of each class's group, (13,)."""


def walk(probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the class at which the walk down the tree ends.

    Smooth, features or artifact; if smooth, the roundness; if features, edge-on or not, then barred or not, then the
    bulge. The first of equal branches wins, in the order of Galaxy Zoo's questions (bar before no bar).

    Parameters
    ----------
    probabilities : float, (n, 13), in [0, 1]
        In the order of `CLASSES`. They are compared as integers at `DECIMALS` digits, so that stored probabilities
        yield the same class as the original ones.

    Returns
    -------
    int64, (n,)
        Indices into `CLASSES`.
    """
    units = _units(probabilities)
    smooth, barred, unbarred = units[:, _SMOOTH], units[:, _BARRED], units[:, _UNBARRED]
    edge_on, face_on = units[:, _EDGE_ON], barred.sum(axis=1) + unbarred.sum(axis=1)
    first = np.stack([smooth.sum(axis=1), edge_on + face_on, units[:, _ARTIFACT]], axis=1).argmax(axis=1)
    spiral = np.where(
        barred.sum(axis=1) >= unbarred.sum(axis=1),
        np.take(_BARRED, barred.argmax(axis=1)),
        np.take(_UNBARRED, unbarred.argmax(axis=1)),
    )
    features = np.where(edge_on >= face_on, _EDGE_ON, spiral)
    classes = np.choose(first, [np.take(_SMOOTH, smooth.argmax(axis=1)), features, np.full(len(units), _ARTIFACT)])
    found: NDArray[np.int64] = classes.astype(np.int64)
    return found


class VoteWalk:
    """The same walk on the votes themselves: the answer with the largest fraction wins, the first of equal ones.

    Parameters
    ----------
    columns : sequence of str
        Answer stems of the votes, in their order.

    Raises
    ------
    ValueError
        If a question of the walk is missing.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._questions = [
            ([columns.index(column) for column in QUESTIONS[name].columns], _under(branches))
            for name, branches in WALK_BRANCHES.items()
        ]

    @staticmethod
    def possible(columns: Sequence[str]) -> bool:
        """Return whether the votes have all questions of the walk."""
        return all(column in columns for name in WALK_BRANCHES for column in QUESTIONS[name].columns)

    def classes(self, votes: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the class at which the walk ends.

        Parameters
        ----------
        votes : float, (n, answers), in [0, 1]
            Fractions among those asked, compared at `DECIMALS` digits as probabilities are.

        Returns
        -------
        int64, (n,)
            Indices into `CLASSES`.
        """
        units = _units(votes)
        found: NDArray[np.int64] = self._walk(units, [np.ones(len(units), dtype=bool)] * len(self._questions)).argmax(1)
        return found

    def open_classes(self, counts: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return the classes that the walk leaves open if some questions were not asked.

        Parameters
        ----------
        counts : float, (n, answers), 0 or above
            Votes, compared without rounding; a question without any was not asked.

        Returns
        -------
        bool, (n, 13)
            One class if the walk ends at one; all classes under a branch if nobody was asked further; none
            without votes on the first question.
        """
        counts = np.asarray(counts, dtype=np.float64)
        asked = [counts[:, columns].sum(axis=1) > 0 for columns, _ in self._questions]
        found: NDArray[np.bool_] = self._walk(counts, asked) & asked[0][:, None]
        return found

    def _walk(
        self, votes: NDArray[np.floating] | NDArray[np.int64], asked: Sequence[NDArray[np.bool_]]
    ) -> NDArray[np.bool_]:
        """Return the classes under the largest answer of each question that was asked, (n, 13)."""
        found = np.ones((len(votes), len(CLASSES)), dtype=bool)
        for (columns, under), was_asked in zip(self._questions, asked, strict=True):
            kept = under[votes[:, columns].argmax(axis=1)] | ~under.any(axis=0)
            found &= kept | ~was_asked[:, None]
        return found


def _under(branches: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
    """Return which classes are under each answer, (answers, 13)."""
    return np.array([[leaf in branch for leaf in CLASSES] for branch in branches])


def _units(fractions: NDArray[np.floating]) -> NDArray[np.int64]:
    units: NDArray[np.int64] = np.rint(np.asarray(fractions, dtype=np.float64) * 10**DECIMALS).astype(np.int64)
    return units
