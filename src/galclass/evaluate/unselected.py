"""How well raw votes are predicted for galaxies that were not selected: shares, intervals, calibration.

Takes predicted mean fractions and concentrations and the volunteers' shares, galaxy by galaxy, with weights
that make the sample a random draw; returns figures with bootstrap intervals. Shares are of all voters, as the Galaxy
Challenge publishes them: fractions multiplied down the tree, but "odd" as asked of everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from galclass.clean_samples import CLEAN_LABELS, CLEAN_SHARES
from galclass.errors import EvaluationError
from galclass.evaluate.metrics import Interval
from galclass.morphology import QUESTIONS

FloatArray = NDArray[np.float64]

PARENTS: Mapping[str, str | None] = {
    "t01_smooth_or_features": None,
    "t02_edgeon": "t01_smooth_or_features_a02_features_or_disk",
    "t06_odd": None,
    "t07_rounded": "t01_smooth_or_features_a01_smooth",
    "t08_odd_feature": "t06_odd_a14_yes",
}
"""The questions of the 17 columns, and the answer whose share those of each question sum to (None: 1)."""

COLUMNS: tuple[str, ...] = tuple(stem for name in PARENTS for stem in QUESTIONS[name].columns)
"""The 17 columns of `kaggle_votes`, by gz2_hart16's stems."""

EIGHT: tuple[str, ...] = tuple(
    stem for name in ("t01_smooth_or_features", "t02_edgeon", "t07_rounded") for stem in QUESTIONS[name].columns
)
"""Class1.1-1.3, 2.1, 2.2 and 7.1-7.3 of the Galaxy Challenge."""

_SMOOTH, _FEATURES, _ = QUESTIONS["t01_smooth_or_features"].columns
_BINS = 10
PROMISED = 0.9
"""Nominal coverage of an interval."""


@dataclass(frozen=True)
class Figures:
    """Figures for unselected galaxies.

    Attributes
    ----------
    galaxies : int
        How many.
    smooth_or_featured : Interval
        How often the leading answer to the first question is the volunteers'.
    smooth_or_featured_constant : float
        The same for the most common answer.
    rmse_eight, rmse_all : Interval
        Root mean square error of the shares over `EIGHT` and over `COLUMNS`.
    rmse_eight_constant, rmse_all_constant : float
        The same for the weighted mean as a constant prediction.
    calibration_error : Interval
        Mean difference between predicted and observed share of "smooth" over ten bins of equal count.
    coverage : Interval or None
        Share of observed fractions in their predictive 90 % intervals, randomised where counts are discrete.
    coverage_by_question : dict
        The same by question.
    """

    galaxies: int
    smooth_or_featured: Interval
    smooth_or_featured_constant: float
    rmse_eight: Interval
    rmse_eight_constant: float
    rmse_all: Interval
    rmse_all_constant: float
    calibration_error: Interval
    coverage: Interval | None
    coverage_by_question: dict[str, float]


def shares_of(means: Mapping[str, FloatArray]) -> FloatArray:
    """Multiply fractions among those asked down the tree to the 17 shares, (n, 17)."""
    share: dict[str, FloatArray] = {}
    for name, parent in PARENTS.items():
        for stem in QUESTIONS[name].columns:
            share[stem] = means[stem] * (share[parent] if parent else 1.0)
    return np.stack([share[stem] for stem in COLUMNS], axis=1)


def clean_stratum(shares: FloatArray) -> NDArray[np.int64]:
    """Return each galaxy's stratum by its observed shares: an index into `CLEAN_LABELS`, or that of "spiral" otherwise.

    The 17 columns do not distinguish spirals from the rest.
    """
    share = dict(zip(COLUMNS, shares.T, strict=True))
    rounded = [share[stem] >= CLEAN_SHARES["shape"] for stem in QUESTIONS["t07_rounded"].columns]
    met = [(share[_SMOOTH] >= CLEAN_SHARES["smooth"]) & one for one in rounded]
    edge_on = share["t02_edgeon_a04_yes"] >= CLEAN_SHARES["edge_on"]
    met.append((share[_FEATURES] >= CLEAN_SHARES["features"]) & edge_on)
    found = np.stack(met, axis=1)
    return np.where(found.any(axis=1), found.argmax(axis=1), len(CLEAN_LABELS) - 1)


def draw_weights(stratum: NDArray[np.int64], natural: Mapping[str, float], total: float) -> FloatArray:
    """Return weights that make the strata occur as in a random draw; their mean is 1.

    Parameters
    ----------
    stratum : int64, (n,)
        From `clean_stratum`.
    natural : mapping
        Number of galaxies of each clean kind.
    total : float
        Number of all galaxies.
    """
    shares = np.array([natural[name] for name in CLEAN_LABELS[:-1]]) / total
    wanted = np.append(shares, 1 - shares.sum())
    seen = np.bincount(stratum, minlength=len(wanted)) / len(stratum)
    if (seen == 0).any():
        raise EvaluationError("a clean kind is missing from the sample", expected=", ".join(CLEAN_LABELS))
    return np.asarray((wanted / seen)[stratum], dtype=np.float64)


def randomised_ranks(
    counts: FloatArray, asked: FloatArray, alpha: FloatArray, others: FloatArray, *, seed: int
) -> FloatArray:
    """Return where each count falls in its beta-binomial distribution, in [0, 1]; uniform if the distribution is right.

    Counts and numbers asked are rounded; the position within a count's own probability is random. Nobody asked: NaN.
    """
    n = np.round(asked)
    k = np.minimum(np.round(counts), n)
    below, own = betabinom.cdf(k - 1, n, alpha, others), betabinom.pmf(k, n, alpha, others)
    ranks: FloatArray = np.where(n > 0, below + np.random.default_rng(seed).random(k.shape) * own, np.nan)
    return ranks


def coverage_of(
    given: FloatArray, means: Mapping[str, FloatArray], concentration: Mapping[str, FloatArray], voters: int, seed: int
) -> dict[str, FloatArray]:
    """Return which observed fractions are in their 90 % interval: by question (n, answers), NaN if nobody was asked."""
    share = dict(zip(COLUMNS, given.T, strict=True))
    covered = {}
    for number, (name, parent) in enumerate(PARENTS.items()):
        asked = (share[parent] if parent else np.ones(len(given))) * voters
        columns = []
        for answer, stem in enumerate(QUESTIONS[name].columns):
            alpha = means[stem] * concentration[name]
            rank = randomised_ranks(
                share[stem] * voters, asked, alpha, concentration[name] - alpha, seed=seed + 100 * number + answer
            )
            inside = np.abs(rank - 0.5) <= PROMISED / 2
            columns.append(np.where(np.isnan(rank), np.nan, inside))
        covered[name] = np.stack(columns, axis=1)
    return covered


def calibration_error(predicted: FloatArray, given: FloatArray, weights: FloatArray) -> float:
    """Return the mean of |mean predicted - mean observed| over ten bins of equal count."""
    order = np.argsort(predicted, kind="stable")
    gaps = [
        abs(np.average(predicted[part], weights=weights[part]) - np.average(given[part], weights=weights[part]))
        for part in np.array_split(order, _BINS)
    ]
    return float(np.mean(gaps))


def measure_unselected(
    given: FloatArray,
    means: Mapping[str, FloatArray],
    concentration: Mapping[str, FloatArray] | None,
    weights: FloatArray,
    *,
    voters: int = 45,
    resamples: int = 2000,
    seed: int = 0,
) -> Figures:
    """Measure predictions of raw votes.

    Parameters
    ----------
    given : float64, (n, 17)
        The volunteers' shares.
    means : mapping of float64 (n,)
        Predicted mean fraction among those asked, by stem; at least those of the 17 columns.
    concentration : mapping of float64 (n,), or None
        Predicted concentration by question; None: the model has no predictive intervals.
    weights : float64, (n,)
        From `draw_weights`.
    voters : int
        Volunteers per galaxy.
    """
    if len(given) == 0:
        raise EvaluationError("no galaxy with raw votes to evaluate")
    predicted = shares_of(means)
    first, eight = slice(0, 3), [COLUMNS.index(stem) for stem in EIGHT]
    right = (predicted[:, first].argmax(1) == given[:, first].argmax(1)).astype(np.float64)
    squares = (predicted - given) ** 2
    draws = np.random.default_rng(seed).integers(0, len(given), (resamples, len(given)))

    def figure(function: Callable[[NDArray[np.int64]], float]) -> Interval:
        low, high = np.nanquantile([function(rows) for rows in draws], (0.025, 0.975))
        return Interval(function(np.arange(len(given))), float(low), float(high))

    def mean(values: FloatArray) -> Callable[[NDArray[np.int64]], float]:
        return lambda rows: float(np.average(values[rows], weights=weights[rows]))

    def root(values: FloatArray) -> Callable[[NDArray[np.int64]], float]:
        return lambda rows: float(np.sqrt(np.average(values[rows], weights=weights[rows])))

    constant = (given - np.average(given, axis=0, weights=weights)) ** 2
    lead = np.bincount(given[:, first].argmax(1), weights=weights, minlength=3)
    covered = None if concentration is None else coverage_of(given, means, concentration, voters, seed)
    return Figures(
        galaxies=len(given),
        smooth_or_featured=figure(mean(right)),
        smooth_or_featured_constant=float(lead.max() / lead.sum()),
        rmse_eight=figure(root(squares[:, eight].mean(1))),
        rmse_eight_constant=root(constant[:, eight].mean(1))(np.arange(len(given))),
        rmse_all=figure(root(squares.mean(1))),
        rmse_all_constant=root(constant.mean(1))(np.arange(len(given))),
        calibration_error=figure(
            lambda rows: calibration_error(predicted[rows, 0], given[rows, 0], weights[rows]),
        ),
        coverage=None if covered is None else figure(_pooled(np.concatenate(list(covered.values()), 1), weights)),
        coverage_by_question={
            name: _pooled(part, weights)(np.arange(len(given))) for name, part in (covered or {}).items()
        },
    )


def _pooled(inside: FloatArray, weights: FloatArray) -> Callable[[NDArray[np.int64]], float]:
    """Return the weighted share of what is covered, over answers that were asked."""
    known = ~np.isnan(inside) * weights[:, None]
    hits = np.nan_to_num(inside) * weights[:, None]

    def share(rows: NDArray[np.int64]) -> float:
        return float(hits[rows].sum() / known[rows].sum())

    return share
