"""Reliability of a raw-vote model: intervals, prediction sets and the first answer against the volunteers' votes.

Takes the raw outputs of a split and the counts of its index, returns figures for each source that has raw votes. The
truth for a galaxy is the walk down its raw votes, which leaves several classes open where nobody was asked further.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from galclass.catalog.raw_counts import raw_counts
from galclass.catalog.votes import STEMS
from galclass.evaluate.metrics import Interval
from galclass.evaluate.reliability_checks import Coverage, coverage
from galclass.evaluate.tables import Evaluated, Sampling
from galclass.evaluate.unselected import PROMISED, calibration_error, randomised_ranks
from galclass.morphology import CLASSES, QUESTIONS
from galclass.prepare.store import Store
from galclass.scoring import Scorer
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA
from galclass.scoring.signature import Signature
from galclass.scoring.walk import VoteWalk

FloatArray = NDArray[np.float64]

FEWEST = 20
"""Fewest galaxies with raw votes for which a source is reported."""

_CHUNK = 256


@dataclass(frozen=True)
class RawVotes:
    """Figures for the galaxies of one source; not weighted, so a selected source stays selected.

    Attributes
    ----------
    galaxies : int
        With raw votes.
    first_answer : Interval
        How often the leading answer to the first question is the volunteers'.
    smooth_calibration_error : Interval
        Mean difference between predicted and observed fraction of "smooth", over ten bins of equal count.
    covered : Interval
        Share of observed fractions in their predictive 90 % interval, over all answers of all questions that somebody
        was asked, randomised where counts are discrete: 0.9 if the predicted distributions are right.
    covered_by_question : dict
        The same by question.
    sets : Coverage or None
        Of prediction sets: those that contain a class consistent with the volunteers' votes.
    flagged : float
        Share with the out-of-distribution flag.
    """

    galaxies: int
    first_answer: Interval
    smooth_calibration_error: Interval
    covered: Interval
    covered_by_question: dict[str, float]
    sets: Coverage | None
    flagged: float

    def as_dict(self) -> dict[str, object]:
        """Return plain values for metrics.json."""
        return asdict(self)


def measure_raw_votes(store: Store, scorer: Scorer, evaluated: Evaluated, sampling: Sampling) -> dict[str, RawVotes]:
    """Measure a model of Galaxy Zoo's raw votes on every source of the split that has some; empty for other models.

    Parameters
    ----------
    store : Store
        The prepared folder whose rows were evaluated.
    scorer : Scorer
        The model.
    evaluated : Evaluated
        The split and its predictions.
    sampling : Sampling
        Resamples and seed of the intervals.
    """
    if scorer.signature.raw_columns != STEMS:
        return {}
    counts = raw_counts(store.index.take(evaluated.rows)).astype(np.float64)
    voted = counts[:, : len(_FIRST)].sum(axis=1) > 0
    found = {}
    for source in sorted(set(evaluated.sources)):
        own = np.flatnonzero(voted & np.array([name == source for name in evaluated.sources]))
        if len(own) >= FEWEST:
            means, spread = _outputs(store, scorer, evaluated.rows[own])
            found[source] = _measured(counts[own], means, spread, evaluated, own, scorer.signature, sampling)
    return found


def covered_answers(counts: FloatArray, means: FloatArray, spread: FloatArray, *, seed: int) -> FloatArray:
    """Return which observed fractions lie in their predictive 90 % interval: 1, 0, or NaN where nobody was asked.

    Parameters
    ----------
    counts : float64, (n, 37)
        Raw votes.
    means : float64, (n, 37)
        Predicted mean fraction of each answer among those asked.
    spread : float64, (n, 11)
        Predicted concentration of each question.
    seed : int
        Seed of the random position of a count within its own probability.

    Returns
    -------
    float64, (n, 37)
    """
    asked = np.concatenate([np.repeat(counts[:, c].sum(1, keepdims=True), _width(c), 1) for c in _COLUMNS], axis=1)
    wide = np.concatenate([np.repeat(spread[:, [q]], _width(c), 1) for q, c in enumerate(_COLUMNS)], axis=1)
    alpha = means * wide
    rank = randomised_ranks(counts, asked, alpha, wide - alpha, seed=seed)
    covered: FloatArray = np.where(np.isnan(rank), np.nan, np.abs(rank - 0.5) <= PROMISED / 2)
    return covered


def set_coverage(
    counts: FloatArray, sets: list[tuple[str, ...]], classes: tuple[str, ...], signature: Signature
) -> Coverage | None:
    """Judge prediction sets by the classes that raw votes leave open; None where the model has no sets."""
    objects = (signature.calibration or {}).get("set_objects")
    if signature.conformal is None or objects is None:
        return None
    is_open = VoteWalk(STEMS).open_classes(counts)
    held = np.array([[name in answer for name in classes] for answer in sets])
    sizes = np.array([len(answer) for answer in sets], dtype=np.int64)
    covered: NDArray[np.bool_] = np.asarray((held & is_open).any(axis=1))
    return coverage(covered, sizes, signature.conformal.coverage, int(objects))


def _measured(
    counts: FloatArray,
    means: FloatArray,
    spread: FloatArray,
    evaluated: Evaluated,
    own: NDArray[np.int64],
    signature: Signature,
    sampling: Sampling,
) -> RawVotes:
    predictions = [evaluated.predictions[i] for i in own]
    covered = covered_answers(counts, means, spread, seed=sampling.seed)
    first = counts[:, : len(_FIRST)]
    given = first[:, 0] / first.sum(axis=1)
    right = (first.argmax(axis=1) == means[:, : len(_FIRST)].argmax(axis=1)).astype(np.float64)
    even = np.ones(len(own))
    draws = np.random.default_rng(sampling.seed).integers(0, len(own), (sampling.resamples, len(own)))

    def interval(value: float, drawn: list[float]) -> Interval:
        low, high = np.quantile(drawn, (0.025, 0.975)) if drawn else (value, value)
        return Interval(value, float(low), float(high))

    def error(rows: NDArray[np.int64]) -> float:
        return calibration_error(means[rows, 0], given[rows], even[rows])

    return RawVotes(
        galaxies=len(own),
        first_answer=interval(float(right.mean()), right[draws].mean(axis=1).tolist()),
        smooth_calibration_error=interval(error(np.arange(len(own))), [error(rows) for rows in draws]),
        covered=interval(float(np.nanmean(covered)), [float(np.nanmean(covered[rows])) for rows in draws]),
        covered_by_question=_by_question(covered),
        sets=set_coverage(counts, [one.prediction_set for one in predictions], CLASSES, signature),
        flagged=float(np.mean([UNLIKE_TRAINING_DATA in one.flags for one in predictions])),
    )


def _by_question(covered: FloatArray) -> dict[str, float]:
    known: Mapping[str, FloatArray] = {
        name: covered[:, columns] for name, columns in zip(QUESTIONS, _COLUMNS, strict=True)
    }
    return {name: float(np.nanmean(part)) for name, part in known.items() if not np.isnan(part).all()}


def _outputs(store: Store, scorer: Scorer, rows: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Return raw votes and concentrations, (n, 37) and (n, 11)."""
    means, spread = [], []
    for start in range(0, len(rows), _CHUNK):
        outputs = scorer.score_cutouts(store.central(rows[start : start + _CHUNK]))
        means.append(outputs.raw_votes)
        spread.append(outputs.raw_concentrations)
    return _joined(means), _joined(spread)


def _joined(parts: list[NDArray[np.float32] | None]) -> FloatArray:
    return np.concatenate([part for part in parts if part is not None]).astype(np.float64)


def _columns() -> list[slice]:
    ends = np.cumsum([len(question.answers) for question in QUESTIONS.values()]).tolist()
    return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _width(columns: slice) -> int:
    return int(columns.stop) - int(columns.start)


_COLUMNS = _columns()
_FIRST = QUESTIONS["t01_smooth_or_features"].columns
