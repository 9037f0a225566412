"""From class probabilities to one class: a walk down the Galaxy Zoo tree.

At each question the branch with the larger probability wins, so the group follows from the class and the two can
never contradict each other. The most probable class may lie on another branch: four spirals of 0.15 each outweigh one
elliptical of 0.4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from galclass.morphology import CLASSES, GROUPS

DECIMALS = 7
"""Digits after the point that a probability keeps in every output, and with which the walk compares."""

_SMOOTH = [CLASSES.index(leaf) for leaf in GROUPS["Elliptical"]]
_EDGE_ON = CLASSES.index("Se")
_UNBARRED = [CLASSES.index(leaf) for leaf in GROUPS["Spiral"] if leaf != "Se"]
_BARRED = [CLASSES.index(leaf) for leaf in GROUPS["BarredSpiral"]]
_ARTIFACT = CLASSES.index("A")
_GROUP_NAMES: tuple[str, ...] = tuple(GROUPS)
GROUP_OF = np.array([next(i for i, leaves in enumerate(GROUPS.values()) if leaf in leaves) for leaf in CLASSES])
"""Position in `GROUPS` of each class's group, (13,)."""


def walk(probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the class at which the walk down the tree ends.

    Smooth, features or artifact; if smooth, the roundness; if features, edge-on or not, then barred or not, then the
    bulge. The first of equal branches wins, in the order of Galaxy Zoo's questions (bar before no bar).

    Parameters
    ----------
    probabilities : float, (n, 13), in [0, 1]
        In the order of `CLASSES`. They are compared at `DECIMALS` digits in whole numbers, so that stored
        probabilities give the same class as those they were stored from.

    Returns
    -------
    int64, (n,)
        Positions in `CLASSES`.
    """
    units = np.rint(np.asarray(probabilities, dtype=np.float64) * 10**DECIMALS).astype(np.int64)
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


def group_name(position: int | np.integer[Any]) -> str:
    """Return the group of a class by its position in `CLASSES`."""
    return _GROUP_NAMES[int(GROUP_OF[position])]
