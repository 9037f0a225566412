"""What a graph gives for cutouts, and which of its rows are no predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-5
"""How far a float32 probability may lie outside [0, 1] by rounding."""


@dataclass(frozen=True)
class ModelOutputs:
    """What the graph gives for n cutouts.

    Attributes
    ----------
    probabilities : float32, (n, 13), in [0, 1]
    embedding : float32, (n, d)
    vote_fractions : float32, (n, k, 3), in [0, 1], or None
        Fraction, low and high bound (90 %).
    """

    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]
    vote_fractions: NDArray[np.float32] | None

    def faulty_rows(self) -> NDArray[np.bool_] | None:
        """Find rows with a value that is not finite or a probability outside [0, 1].

        Returns
        -------
        bool, (n,), or None
            None where every row is sound, the usual case, which costs a few microseconds.
        """
        bounded = [self.probabilities] if self.vote_fractions is None else [self.probabilities, self.vote_fractions]
        if all(map(_within, bounded)) and np.isfinite(self.embedding).all():
            return None
        faulty: NDArray[np.bool_] = np.asarray(~np.isfinite(self.embedding).all(axis=1))
        for values in bounded:
            rows = values.reshape(len(values), -1)
            faulty |= np.asarray(~((rows >= -TOLERANCE) & (rows <= 1 + TOLERANCE)).all(axis=1))
        return faulty


def _within(values: NDArray[np.float32]) -> bool:
    """Say whether all lie in [0, 1]; a NaN is the minimum of its array and compares as false."""
    return values.size == 0 or bool(values.min() >= -TOLERANCE and values.max() <= 1 + TOLERANCE)
