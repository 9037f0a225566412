"""What a model may say about its own answers: conformal sets and the flag "unlike the training data".

Takes outputs of the exported model on objects it was not trained on, gives the entries of the signature.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from galclass.errors import TrainingError
from galclass.scoring.signature_parts import Conformal, Unlike

_ROUNDING = 1e-6
"""Above the rounding of float32 sums: "at most the quantile" becomes "below the threshold"."""

_LEAST_SPREAD = 1e-6
"""Least spread of an embedding beside its size, about that of float32 rounding: nothing is divided by zero."""

_FEWEST = 20
"""Objects below which a quantile near 90 % means nothing."""


def fit_conformal(
    probabilities: NDArray[np.floating], true: NDArray[np.int64] | NDArray[np.bool_], *, coverage: float = 0.9
) -> Conformal:
    """Fit adaptive prediction sets (Romano, Sesia and Candes 2020, without randomisation).

    A set takes classes in falling order of probability until their sum reaches the threshold, so a class is in it
    when the sum before it is below the threshold. The threshold is the finite-sample quantile ceil((n+1) coverage) / n
    of the sums before the true classes. For objects drawn like the n calibration objects, the sets hold the true
    class at least with the promised coverage, whatever the model.

    Parameters
    ----------
    probabilities : float, (n, 13)
        Class probabilities of objects held out from training.
    true : int64, (n,), or bool, (n, 13)
        True classes; or those that agree with what is known of each object, and the promise is then that a set holds
        one of these.
    coverage : float
        In (0, 1).

    Raises
    ------
    TrainingError
        If there are fewer than 20 objects.
    """
    if len(true) < _FEWEST:
        raise TrainingError("too few objects to calibrate prediction sets", expected=f"{_FEWEST}", got=len(true))
    order = np.argsort(-probabilities, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(probabilities, order, axis=1), axis=1)
    before = np.concatenate([np.zeros((len(true), 1)), sums[:, :-1]], axis=1)
    agrees = np.arange(probabilities.shape[1]) == true[:, None] if true.ndim == 1 else true
    place = np.take_along_axis(agrees, order, axis=1).argmax(axis=1)
    scores = np.sort(before[np.arange(len(true)), place])
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
    """Fit the distance beyond which an image is called unlike the training data.

    The distance is Mahalanobis' in the leading principal components of the training embeddings plus the
    part outside them, each scaled to unit variance; the threshold is the (1 - false_alarm) quantile of
    galaxies that were not trained on.

    Parameters
    ----------
    training, held_out : float, (n, d), (m, d)
        Embeddings of galaxies; artifacts left out of both.
    false_alarm : float
        Share of ordinary galaxies that may be flagged.
    components : int
        Leading components kept apart; the other directions share one scale.
    compact : bool
        Keep only the leading components and the scale of the rest, as format 2 of the signature can: a large embedding
        would fill the file with the other directions.

    Raises
    ------
    TrainingError
        If there are too few galaxies for the quantile.
    """
    if len(held_out) * false_alarm < 1 or len(training) <= components:
        raise TrainingError(
            "too few galaxies to say what is unlike them",
            expected=f"{math.ceil(1 / false_alarm)} held out and more than {components} to train",
            got=f"{len(held_out)} and {len(training)}",
        )
    mean = training.mean(axis=0)
    _, singular, directions = np.linalg.svd(training - mean, full_matrices=False)
    spread = singular / math.sqrt(len(training) - 1)
    others = float(np.sqrt((spread[components:] ** 2).mean())) if len(spread) > components else 0.0
    # a layer whose units all died gives every galaxy the same embedding: then rounding is the only spread
    rest = max(others, 1e-3 * float(spread[0]), _LEAST_SPREAD * max(1.0, float(np.abs(mean).max())))
    scale = np.where(np.arange(len(spread)) < components, np.maximum(spread, rest), rest)
    whitening = directions / scale[:, None]
    away = held_out - mean
    distance = np.linalg.norm(away @ whitening.T, axis=1)
    if compact:  # what no training galaxy has is outside of all directions
        inside = away @ directions[:components].T
        outside = np.maximum((away**2).sum(axis=1) - (inside**2).sum(axis=1), 0)
        distance = np.hypot(np.linalg.norm(away @ whitening[:components].T, axis=1), np.sqrt(outside) / rest)
    threshold = float(np.quantile(distance, 1 - false_alarm))
    kept = whitening[:components] if compact else whitening
    rounded = tuple(tuple(float(f"{value:.6g}") for value in row) for row in kept)
    measured = float((distance > threshold).mean())
    center = tuple(float(f"{value:.6g}") for value in mean)
    return Unlike(center, rounded, threshold, measured, float(f"{rest:.6g}") if compact else None)
