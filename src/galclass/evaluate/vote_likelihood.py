"""Which distribution of raw votes fits held-out galaxies best: the mean log-likelihood of several, in nats per galaxy.

Takes predicted means and concentrations and the volunteers' shares; the figures are comparable because all are
probabilities of the same counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from galclass.evaluate.unselected import COLUMNS, PARENTS
from galclass.morphology import QUESTIONS

FloatArray = NDArray[np.float64]
_LEAST_SHARE = 1e-4
"""A mean below this would make one stray vote impossible."""
_RANGE = (np.log(0.5), np.log(5000.0))


@dataclass(frozen=True)
class Likelihoods:
    """Mean log P of the votes on the questions of the 17 columns, in nats per galaxy.

    Attributes
    ----------
    own : float
        Dirichlet-multinomial with the predicted concentration of each galaxy.
    one_a_question : float
        The same with one concentration per question, the best for these very galaxies.
    multinomial : float
        With counting noise only.
    constant : float
        The mean of these galaxies for all of them, with the best concentration per question.
    """

    own: float
    one_a_question: float
    multinomial: float
    constant: float


def log_dirichlet_multinomial(counts: FloatArray, alpha: FloatArray) -> FloatArray:
    """Return log P of counts, which need not be whole, (n, k) -> (n,)."""
    total, concentration = counts.sum(1), alpha.sum(1)
    orders = gammaln(total + 1) - gammaln(counts + 1).sum(1)
    answers = (gammaln(counts + alpha) - gammaln(alpha)).sum(1)
    found: FloatArray = orders + gammaln(concentration) - gammaln(concentration + total) + answers
    return found


def vote_likelihoods(
    given: FloatArray,
    means: Mapping[str, FloatArray],
    concentration: Mapping[str, FloatArray],
    weights: FloatArray,
    *,
    voters: int = 45,
) -> Likelihoods:
    """Compare distributions of the votes of the same galaxies, as in `measure_unselected`."""
    share = dict(zip(COLUMNS, given.T, strict=True))
    totals = dict.fromkeys(Likelihoods.__annotations__, 0.0)
    for name in PARENTS:
        stems = QUESTIONS[name].columns
        counts = np.stack([share[stem] for stem in stems], axis=1) * voters
        mean = np.maximum(np.stack([means[stem] for stem in stems], axis=1), _LEAST_SHARE)
        average = np.maximum(np.average(counts, axis=0, weights=weights), _LEAST_SHARE)
        constant = np.broadcast_to(average / average.sum(), counts.shape)
        multinomial = gammaln(counts.sum(1) + 1) - gammaln(counts + 1).sum(1) + (counts * np.log(mean)).sum(1)
        own = log_dirichlet_multinomial(counts, mean * concentration[name][:, None])
        totals["own"] += float(np.average(own, weights=weights))
        totals["one_a_question"] += _best(counts, mean, weights)
        totals["multinomial"] += float(np.average(multinomial, weights=weights))
        totals["constant"] += _best(counts, constant, weights)
    return Likelihoods(**totals)


def _best(counts: FloatArray, mean: FloatArray, weights: FloatArray) -> float:
    """Return the mean log P at the concentration that makes it largest."""

    def negative(log_concentration: float) -> float:
        log_p = log_dirichlet_multinomial(counts, mean * np.exp(log_concentration))
        return -float(np.average(log_p, weights=weights))

    return -float(minimize_scalar(negative, bounds=_RANGE, method="bounded").fun)
