"""True vote fractions from those of a few dozen volunteers: observed fractions without their sampling noise.

Takes counts of a question over many galaxies, fits the Dirichlet distribution of true fractions by maximum likelihood,
and draws true fractions of each galaxy given its counts. Observed fractions, if treated as true ones, scatter too
widely, and a second panel drawn from them agrees with the first too often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from galclass.errors import EvaluationError
from galclass.evaluate.ceiling import voters_by_question
from galclass.evaluate.vote_likelihood import log_dirichlet_multinomial
from galclass.morphology import QUESTIONS

FloatArray = NDArray[np.float64]

_FEWEST = 20
"""Fewest galaxies with votes on a question for which its distribution can be fitted."""
_LEAST, _MOST = 1e-3, 1e3


def fitted_dirichlet(counts: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Fit the Dirichlet distribution of true fractions to counts, by maximum likelihood.

    Parameters
    ----------
    counts : float64, (n, k)
        Votes of each galaxy; rows without any contribute nothing.
    weights : float64, (n,), optional
        Of the galaxies.

    Returns
    -------
    float64, (k,), above 0

    Raises
    ------
    EvaluationError
        If fewer than 20 galaxies have votes.
    """
    asked = counts.sum(axis=1) > 0
    if asked.sum() < _FEWEST:
        raise EvaluationError("too few galaxies with votes on a question", expected=_FEWEST, got=int(asked.sum()))
    kept, heavy = counts[asked], None if weights is None else weights[asked]
    mean = kept.sum(axis=0) / kept.sum()

    def negative(logs: FloatArray) -> float:
        alpha = np.broadcast_to(np.exp(logs), kept.shape)
        return -float(np.average(log_dirichlet_multinomial(kept, alpha), weights=heavy))

    start = np.log(np.clip(2 * mean, 2 * _LEAST, None))
    bounds = [(np.log(_LEAST), np.log(_MOST))] * counts.shape[1]
    found: FloatArray = np.exp(minimize(negative, start, method="L-BFGS-B", bounds=bounds).x)
    return found


def true_fractions(counts: FloatArray, weights: FloatArray | None = None, *, seed: int) -> FloatArray:
    """Draw the true fractions of each galaxy given its counts, (n, k); rows sum to 1."""
    alpha = fitted_dirichlet(counts, weights) + counts
    drawn = np.random.default_rng(seed).standard_gamma(alpha)
    found: FloatArray = drawn / drawn.sum(axis=1, keepdims=True)
    return found


def deconvolved_rows(rows: Sequence[Mapping[str, float]], *, seed: int) -> list[dict[str, float]]:
    """Replace observed weighted fractions by drawn true ones, question by question; see `ceiling.clean_ceiling`.

    A question with votes on too few galaxies keeps its fractions.
    """
    found = [dict(row) for row in rows]
    asked = [voters_by_question(row) for row in rows]
    for number, (name, question) in enumerate(QUESTIONS.items()):
        columns = [f"{stem}_weighted_fraction" for stem in question.columns]
        shares = np.nan_to_num([[row[column] for column in columns] for row in rows])
        sums = shares.sum(axis=1, keepdims=True)
        shares = np.divide(shares, sums, out=np.zeros_like(shares), where=sums > 0)
        counts = shares * np.array([voters[name] for voters in asked])[:, None]
        if (counts.sum(axis=1) > 0).sum() < _FEWEST:
            continue
        for row, values in zip(found, true_fractions(counts, seed=seed + number).tolist(), strict=True):
            row |= dict(zip(columns, values, strict=True))
    return found


@dataclass(frozen=True)
class FirstAnswer:
    """How often a second panel agrees on the first question.

    Attributes
    ----------
    naive : float
        Share of galaxies, in [0, 1], on which it chooses the same answer, if observed fractions are taken as true.
    deconvolved : float
        The same from true fractions drawn given the counts.
    best : float
        Share for which a model that knows the true fractions is right.
    """

    naive: float
    deconvolved: float
    best: float


def first_answer(
    counts: FloatArray, weights: FloatArray, *, voters: int = 45, panels: int = 100, seed: int = 0
) -> FirstAnswer:
    """Draw second panels for the first question, (n, 3) counts; ties go to the first answer."""
    random = np.random.default_rng(seed)
    observed = counts / counts.sum(axis=1, keepdims=True)
    first = counts.argmax(axis=1)

    def agreement(fractions: FloatArray) -> float:
        same = [random.multinomial(voters, fractions).argmax(axis=1) == first for _ in range(panels)]
        return float(np.average(np.mean(same, axis=0), weights=weights))

    drawn = [true_fractions(counts, weights, seed=seed + one) for one in range(5)]
    best = np.mean([fractions.argmax(axis=1) == first for fractions in drawn], axis=0)
    return FirstAnswer(
        naive=agreement(observed),
        deconvolved=float(np.mean([agreement(fractions) for fractions in drawn])),
        best=float(np.average(best, weights=weights)),
    )


def sampling_noise(shares: FloatArray, weights: FloatArray, *, voters: int = 45) -> float:
    """Return the root mean square error of observed shares due to sampling alone.

    `share (1 - share) / (voters - 1)` is an unbiased estimate of the variance; share (1 - share) / voters, which takes
    observed shares as true, is too small.
    """
    variance = shares * (1 - shares) / (voters - 1)
    return float(np.sqrt(np.average(variance.mean(axis=1), weights=weights)))
