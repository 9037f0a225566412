"""Embeddings on a plane: a linear projection that separates classes and can be applied to later points.

Linear discriminants of the classes (equally weighted) if there are enough classes, else principal components; plain
numpy, milliseconds. Each axis is then spread out, so that dense parts have room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST = 3
"""Fewest objects of a class for it to shape the projection."""

_SHRINK = 0.1
"""Share of the mean variance that is added to every direction within the classes."""
_KNOTS = 33
_SPREAD = 0.6
"""How far a position follows the rank of an object along the axis rather than its value, in 0..1."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Projection:
    """From embeddings to positions.

    Attributes
    ----------
    weights : float64, (d, 2)
    offset : float64, (2,)
        Added to the products of embeddings and weights.
    values, positions : float64, (2, k)
        For each axis, values in rising order and the position of each, in 0..1; linear in between, constant beyond.
    """

    weights: NDArray[np.float64]
    offset: NDArray[np.float64]
    values: NDArray[np.float64]
    positions: NDArray[np.float64]

    def place(self, vectors: Vectors) -> NDArray[np.float64]:
        """Return the positions of embeddings (n, d), in 0..1, (n, 2)."""
        flat = vectors.astype(np.float64) @ self.weights + self.offset
        columns = [np.interp(flat[:, axis], self.values[axis], self.positions[axis]) for axis in range(2)]
        return np.stack(columns, axis=1)


def fit_projection(vectors: Vectors, classes: Sequence[str]) -> Projection:
    """Fit the projection of embeddings (n, d) with their classes (n); equal arguments yield an equal projection.

    Raises
    ------
    ValueError
        If there is no embedding.
    """
    if not len(vectors):
        raise ValueError("no embedding to project")
    values = vectors.astype(np.float64)
    mean, scale = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)
    standard = (values - mean) / scale
    axes = _discriminants(standard, classes)
    if axes is None:
        axes = _components(standard)
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), range(2)] < 0, -1, 1)  # else the sign depends on the library
    weights = axes / scale[:, np.newaxis]
    offset = -mean @ weights
    flat = values @ weights + offset
    knots = [_spread(flat[:, axis]) for axis in range(2)]
    return Projection(weights, offset, np.stack([at for at, _ in knots]), np.stack([place for _, place in knots]))


def _discriminants(standard: NDArray[np.float64], classes: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the two directions (d, 2) that separate the classes best; None if fewer than three have enough objects."""
    names = np.array(classes, dtype=object)
    used = sorted(name for name, count in Counter(classes).items() if count >= FEWEST)
    if len(used) < 3 or standard.shape[1] < 2:
        return None
    means, within = [], np.zeros((standard.shape[1],) * 2)
    for name in used:
        members = standard[names == name]
        centre = members.mean(axis=0)
        means.append(centre)
        within += (members - centre).T @ (members - centre) / len(members) / len(used)
    within += _SHRINK * np.trace(within) / len(within) * np.eye(len(within)) + 1e-9 * np.eye(len(within))
    sizes, directions = np.linalg.eigh(within)
    whitening = directions / np.sqrt(sizes)
    between = np.stack(means)
    between = (between - between.mean(axis=0)) @ whitening
    _, _, found = np.linalg.svd(between, full_matrices=False)
    axes: NDArray[np.float64] = whitening @ found[:2].T
    return axes


def _components(standard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the two directions (d, 2) of the largest variance; zero if there is only one."""
    _, directions = np.linalg.eigh(standard.T @ standard)
    axes = np.zeros((standard.shape[1], 2))
    top = directions[:, ::-1][:, :2]
    axes[:, : top.shape[1]] = top
    return axes


def _spread(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return knots of a monotonic map from values to 0..1, between their own scale and their rank."""
    ranks = np.linspace(0, 1, _KNOTS)
    at = np.quantile(values, ranks)
    width = at[-1] - at[0]
    if width < 1e-12:
        return np.linspace(at[0] - 1, at[0] + 1, _KNOTS), ranks
    return at, (1 - _SPREAD) * (at - at[0]) / width + _SPREAD * ranks
