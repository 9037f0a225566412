"""A graph's output for cutouts, and which of its rows are not predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-5
"""How far outside [0, 1] rounding may put a float32 probability."""


@dataclass(frozen=True)
class ModelOutputs:
    """The graph's output for n cutouts.

    Attributes
    ----------
    probabilities : float32, (n, k), in [0, 1]
    embedding : float32, (n, d)
    vote_fractions : float32, (n, k, 3), in [0, 1], or None
        Debiased fraction, low and high bound (90 %).
    raw_votes : float32, (n, k), in [0, 1], or None
        Mean fraction of each answer among those asked.
    raw_concentrations : float32, (n, questions), above 0, or None
        Of each question's Dirichlet distribution.
    """

    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]
    vote_fractions: NDArray[np.float32] | None
    raw_votes: NDArray[np.float32] | None = None
    raw_concentrations: NDArray[np.float32] | None = None

    def rows(self, chosen: NDArray[np.bool_]) -> ModelOutputs:
        """Return the outputs of some rows."""
        given = {name: part for name, part in vars(self).items() if part is not None}
        return replace(self, **{name: part[chosen] for name, part in given.items()})

    def faulty_rows(self) -> NDArray[np.bool_] | None:
        """Find rows with a value that is not finite, a fraction outside [0, 1] or a concentration that is not above 0.

        Returns
        -------
        bool, (n,), or None
            None if every row is valid, the usual case, which costs a few microseconds.
        """
        bounded = [part for part in (self.probabilities, self.vote_fractions, self.raw_votes) if part is not None]
        spread = self.raw_concentrations
        sound = spread is None or _positive(spread)
        if sound and all(map(_within, bounded)) and np.isfinite(self.embedding).all():
            return None
        faulty: NDArray[np.bool_] = np.asarray(~np.isfinite(self.embedding).all(axis=1))
        for values in bounded:
            rows = values.reshape(len(values), -1)
            faulty |= np.asarray(~((rows >= -TOLERANCE) & (rows <= 1 + TOLERANCE)).all(axis=1))
        if spread is not None:
            faulty |= np.asarray(~(np.isfinite(spread) & (spread > 0)).all(axis=1))
        return faulty


def _positive(values: NDArray[np.float32]) -> bool:
    return values.size == 0 or bool(values.min() > 0 and np.isfinite(values).all())


def _within(values: NDArray[np.float32]) -> bool:
    """Return whether all lie in [0, 1]; a NaN is the minimum of its array and compares as false."""
    return values.size == 0 or bool(values.min() >= -TOLERANCE and values.max() <= 1 + TOLERANCE)
