"""Fits to held-out predictions after training that go into the graph: temperature and vote intervals.

Takes logits and votes of the validation rows; returns plain numbers. `confidence` fits what goes into the signature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galclass.morphology import QUESTIONS

_LOWEST, _HIGHEST, _STEPS = 0.25, 4.0, 60

_CONCENTRATIONS = (1.0, 1000.0)
"""Bounds of a vote concentration; 1000 means that the fractions are right to about 0.015."""


def fit_temperature(logits: NDArray[np.float32], leaves: NDArray[np.bool_]) -> float:
    """Find the temperature in [0.25, 4] with the least mean -log P(label), by golden-section search.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599.

    Parameters
    ----------
    logits : float32, (n, 13)
        Before calibration.
    leaves : bool, (n, 13)
        Classes each label stands for; rows without any are left out.
    """
    says = leaves.any(1)
    if not says.any():
        return 1.0
    scores, leaves = logits[says].astype(np.float64), leaves[says]
    ratio = (np.sqrt(5) - 1) / 2
    low, high = np.log(_LOWEST), np.log(_HIGHEST)
    for _ in range(_STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if mean_loss(scores / np.exp(left), leaves) < mean_loss(scores / np.exp(right), leaves):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def mean_loss(logits: NDArray[np.float64], leaves: NDArray[np.bool_]) -> float:
    """Return the mean of -log of the summed probability of each row's classes, in nats."""
    shifted = logits - logits.max(1, keepdims=True)
    every = np.log(np.exp(shifted).sum(1))
    own = np.log(np.where(leaves, np.exp(shifted), 0).sum(1) + 1e-300)
    return float((every - own).mean())


def fit_observation(
    probabilities: NDArray[np.float32], column: NDArray[np.int64], *, passes: int = 200
) -> NDArray[np.float64]:
    """Fit P(catalog's class | class) to class probabilities and a catalog's classes, by expectation maximisation.

    Pseudo-counts (1 for the class itself, 0.02 for each other) are the prior.

    Parameters
    ----------
    probabilities : float32, (n, 13)
        The model's, for each object.
    column : int64, (n,)
        Index into `CLASSES` of the catalog's class.

    Returns
    -------
    float64, (13, 13)
        Rows sum to 1.
    """
    classes = probabilities.shape[1]
    before = np.full((classes, classes), 0.02) + np.eye(classes)
    matrix: NDArray[np.float64] = before / before.sum(1, keepdims=True)
    said = np.eye(classes)[column]
    for _ in range(passes):
        share = probabilities * matrix[:, column].T
        share /= share.sum(1, keepdims=True) + 1e-300
        counts = before + share.T @ said
        matrix = counts / counts.sum(1, keepdims=True)
    return matrix


@dataclass(frozen=True)
class VoteAnswers:
    """Held-out vote fractions: predicted and observed, (n, 37), and the share of voters at each question, (n, 11)."""

    predicted: NDArray[np.float32]
    given: NDArray[np.float32]
    reach: NDArray[np.float32]


def vote_concentrations(votes: VoteAnswers) -> tuple[float, ...]:
    """Fit one Dirichlet concentration per question to the scatter of observed about predicted fractions (moments).

    A Dirichlet distribution with mean f and concentration c has variance f (1 - f) / (c + 1); the scatter includes both
    the model's error and the finite number of voters, so the intervals cover the votes of a new set of voters.
    """
    found, start = [], 0
    for number, question in enumerate(QUESTIONS.values()):
        columns = slice(start, start + len(question.answers))
        start = columns.stop
        weight = votes.reach[:, number, None]
        expected = (weight * votes.predicted[:, columns] * (1 - votes.predicted[:, columns])).sum()
        scatter = (weight * (votes.given[:, columns] - votes.predicted[:, columns]) ** 2).sum()
        found.append(float(np.clip(expected / max(float(scatter), 1e-9) - 1, *_CONCENTRATIONS)))
    return tuple(found)
