"""Uncertainty of a prediction: its conformal set, and whether the image is out-of-distribution.

Takes probabilities and embeddings with the entries of the signature that `galclass.scoring.fit_confidence` fitted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from galclass.morphology import CLASSES
from galclass.scoring.signature_parts import Conformal, Unlike


def prediction_set(
    probabilities: NDArray[np.float32],
    conformal: Conformal | None,
    predicted_class: str | None = None,
    classes: Sequence[str] = CLASSES,
) -> tuple[str, ...]:
    """Return the classes of the conformal set, most probable first; never empty if `conformal` is given.

    Parameters
    ----------
    probabilities : float32, (k,)
    conformal : Conformal or None
        None: an empty set.
    predicted_class : str, optional
        Always in the set: if the walk down the tree ended at a class that is less probable than those of the set, it
        comes last. That makes the set larger and never lowers its coverage.
    classes : sequence of str, (k,)
    """
    if conformal is None:
        return ()
    order = np.argsort(-probabilities, kind="stable")
    falling = probabilities[order]
    if conformal.method == "lac":
        count = int((falling >= 1.0 - conformal.threshold).sum())
    else:
        count = int(np.searchsorted(np.cumsum(falling), conformal.threshold)) + 1
    chosen = tuple(classes[index] for index in order[: max(count, 1)])
    return chosen if predicted_class is None or predicted_class in chosen else (*chosen, predicted_class)


class Distance:
    """Whitened distance of embeddings from the training data."""

    def __init__(self, unlike: Unlike) -> None:
        self._mean = np.array(unlike.mean, dtype=np.float32)
        self._whitening = np.array(unlike.whitening, dtype=np.float32).T
        self._threshold, self._rest = unlike.threshold, unlike.rest
        self._lengths = np.linalg.norm(np.array(unlike.whitening, dtype=np.float64), axis=1)

    def above(self, embedding: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which rows are beyond the threshold, (n, d) -> (n,)."""
        away = embedding - self._mean
        inside = away @ self._whitening
        scores = np.linalg.norm(inside, axis=1)
        if self._rest is not None:
            outside = (away.astype(np.float64) ** 2).sum(axis=1) - ((inside / self._lengths) ** 2).sum(axis=1)
            scores = np.hypot(scores, np.sqrt(np.maximum(outside, 0)) / self._rest)
        flagged: NDArray[np.bool_] = scores > self._threshold
        return flagged
