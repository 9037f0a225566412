"""Fit conformal sets and the out-of-distribution flag.

Takes outputs of the exported model on objects it was not trained on, returns the entries of the signature.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from galclass.errors import TrainingError
from galclass.scoring.signature_parts import Conformal, Unlike

_ROUNDING = 1e-6
"""Above the rounding of float32 sums: "at most the quantile" becomes "below the threshold"."""

_LEAST_SPREAD = 1e-6
"""Smallest spread of an embedding relative to its size, about that of float32 rounding, to avoid division by zero."""

FEWEST_OF_SETS = 20
"""Fewest objects for a meaningful quantile near 90 %."""

FEWEST_OF_FLAG = 50
"""Fewest objects for `fit_unlike_by_folds`."""


def fit_conformal(
    probabilities: NDArray[np.floating], true: NDArray[np.int64] | NDArray[np.bool_], *, coverage: float = 0.9
) -> Conformal:
    """Fit adaptive prediction sets (Romano, Sesia and Candes 2020, without randomisation).

    A set takes classes in falling order of probability until their sum reaches the threshold, so a class is in it
    when the sum before it is below the threshold. The threshold is the finite-sample quantile ceil((n+1) coverage) / n
    of the sums before the true classes. For objects drawn like the n calibration objects, the sets contain the true
    class at least with the nominal coverage, whatever the model.

    Parameters
    ----------
    probabilities : float, (n, 13)
        Class probabilities of objects held out from training.
    true : int64, (n,), or bool, (n, 13)
        True classes; or those consistent with what is known of each object: the coverage is then that of sets with
        one of these.
    coverage : float
        In (0, 1).

    Raises
    ------
    TrainingError
        If there are fewer than 20 objects.
    """
    if len(true) < FEWEST_OF_SETS:
        raise TrainingError("too few objects to calibrate prediction sets", expected=f"{FEWEST_OF_SETS}", got=len(true))
    order = np.argsort(-probabilities, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(probabilities, order, axis=1), axis=1)
    before = np.concatenate([np.zeros((len(true), 1)), sums[:, :-1]], axis=1)
    agrees = np.arange(probabilities.shape[1]) == true[:, None] if true.ndim == 1 else true
    index = np.take_along_axis(agrees, order, axis=1).argmax(axis=1)
    scores = np.sort(before[np.arange(len(true)), index])
    rank = min(math.ceil((len(true) + 1) * coverage), len(true))
    return Conformal("aps", float(min(scores[rank - 1] + _ROUNDING, 1.0)), coverage)


def fit_unlike(
    training: NDArray[np.floating],
    held_out: NDArray[np.floating],
    *,
    false_alarm: float = 0.01,
    components: int = 24,
    compact: bool = False,
) -> Unlike:
    """Fit the distance beyond which an image is flagged as out-of-distribution.

    The distance is Mahalanobis' in the leading principal components of the training embeddings plus the
    part outside them, each scaled to unit variance; the threshold is the (1 - false_alarm) quantile of
    galaxies that were not trained on.

    Parameters
    ----------
    training, held_out : float, (n, d), (m, d)
        Embeddings of galaxies, without artifacts.
    false_alarm : float
        Share of ordinary galaxies that may be flagged.
    components : int
        Leading components with separate scales; the other directions share one.
    compact : bool
        Keep only the leading components and the scale of the rest (format 2 of the signature): with a large embedding
        the other directions would fill the file.

    Raises
    ------
    TrainingError
        If there are too few galaxies for the quantile.
    """
    if len(held_out) * false_alarm < 1 or len(training) <= components:
        raise TrainingError(
            "too few galaxies to fit the out-of-distribution flag",
            expected=f"{math.ceil(1 / false_alarm)} held out and more than {components} to train",
            got=f"{len(held_out)} and {len(training)}",
        )
    space = _Space(training, components)
    distance = space.distances(held_out, compact=compact)
    return space.unlike(float(np.quantile(distance, 1 - false_alarm)), distance, compact=compact)


def fit_unlike_by_folds(
    embeddings: NDArray[np.floating], folds: NDArray[np.int64], *, false_alarm: float = 0.01, components: int = 24
) -> Unlike:
    """Fit the same distance, in its compact form, if every object is needed for the fit.

    The threshold is the quantile of the distances of each fold's objects from the other folds; of fewer than 100
    objects one is a false alarm.

    Parameters
    ----------
    embeddings : float, (n, d)
    folds : int64, (n,)
        The fold of each object.
    false_alarm, components
        As in `fit_unlike`; at most a quarter as many components as objects are kept.

    Raises
    ------
    TrainingError
        If there are fewer than `FEWEST_OF_FLAG` objects.
    """
    apart = [(embeddings[folds != fold], embeddings[folds == fold]) for fold in np.unique(folds)]
    return fit_unlike_by_networks(embeddings, apart, false_alarm=false_alarm, components=components)


def fit_unlike_by_networks(
    embeddings: NDArray[np.floating],
    apart: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]],
    *,
    false_alarm: float = 0.01,
    components: int = 24,
) -> Unlike:
    """Fit the same distance, if the network itself was fitted to the objects and to each fold's others.

    Parameters
    ----------
    embeddings : float, (n, d)
        Of all objects by the final network.
    apart : sequence of (float, (m, d), and float, (n - m, d))
        For each fold, embeddings of the others and of the fold by the network that was fitted to the others.
    false_alarm, components
        As in `fit_unlike_by_folds`.

    Raises
    ------
    TrainingError
        If there are fewer than `FEWEST_OF_FLAG` objects.
    """
    count = len(embeddings)
    if count < FEWEST_OF_FLAG:
        raise TrainingError(
            "too few galaxies to fit the out-of-distribution flag", expected=f"{FEWEST_OF_FLAG}", got=count
        )
    components = min(components, count // 4, embeddings.shape[1])
    spaces = [(_Space(others, components), held) for others, held in apart]
    distance = np.concatenate([space.distances(held, compact=True) for space, held in spaces])
    # between the two largest of few objects, so that the largest is the one that is flagged
    threshold = float(np.quantile(distance, 1 - max(false_alarm, 0.5 / (count - 1))))
    return _Space(embeddings, components).unlike(threshold, distance, compact=True)


class _Space:
    """Leading principal components of embeddings, and one scale for the rest."""

    def __init__(self, training: NDArray[np.floating], components: int) -> None:
        self._mean = training.mean(axis=0)
        _, singular, self._directions = np.linalg.svd(training - self._mean, full_matrices=False)
        spread = singular / math.sqrt(len(training) - 1)
        others = float(np.sqrt((spread[components:] ** 2).mean())) if len(spread) > components else 0.0
        # if all units of a layer died, every galaxy has the same embedding: then rounding is the only spread
        least = _LEAST_SPREAD * max(1.0, float(np.abs(self._mean).max()))
        self._rest = max(others, 1e-3 * float(spread[0]), least)
        leading = np.arange(len(spread)) < components
        self._whitening = self._directions / np.where(leading, np.maximum(spread, self._rest), self._rest)[:, None]
        self._components = components

    def distances(self, held_out: NDArray[np.floating], *, compact: bool) -> NDArray[np.floating]:
        """Return the distance of each embedding, (n, d) -> (n,)."""
        away, kept = held_out - self._mean, self._components
        if not compact:
            return np.asarray(np.linalg.norm(away @ self._whitening.T, axis=1))
        # directions without training galaxies
        inside = away @ self._directions[:kept].T
        outside = np.maximum((away**2).sum(axis=1) - (inside**2).sum(axis=1), 0)
        within = np.linalg.norm(away @ self._whitening[:kept].T, axis=1)
        return np.asarray(np.hypot(within, np.sqrt(outside) / self._rest))

    def unlike(self, threshold: float, distance: NDArray[np.floating], *, compact: bool) -> Unlike:
        """Return the entry of the signature; the false alarm is the share of the distances above the threshold."""
        kept = self._whitening[: self._components] if compact else self._whitening
        rounded = tuple(tuple(float(f"{value:.6g}") for value in row) for row in kept)
        center = tuple(float(f"{value:.6g}") for value in self._mean)
        rest = float(f"{self._rest:.6g}") if compact else None
        return Unlike(center, rounded, threshold, float((distance > threshold).mean()), rest)
