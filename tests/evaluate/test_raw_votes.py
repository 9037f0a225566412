"""Trust in a model of raw votes: intervals, sets and first answers, on votes drawn from known distributions."""

from __future__ import annotations

import numpy as np
import pytest

from galclass.catalog.votes import STEMS
from galclass.evaluate.raw_votes import covered_answers, set_coverage
from galclass.morphology import CLASSES, QUESTIONS
from galclass.scoring.signature import Signature
from galclass.scoring.signature_parts import Conformal

COUNT, VOTERS, CONCENTRATION = 400, 40, 12.0
SMOOTH, ROUND = STEMS.index("t01_smooth_or_features_a01_smooth"), STEMS.index("t07_rounded_a16_completely_round")


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw means, and the votes of `VOTERS` volunteers on every question; give counts and means, (n, 37) each."""
    rng = np.random.default_rng(seed)
    counts, means = [], []
    for question in QUESTIONS.values():
        mean = rng.dirichlet(np.ones(len(question.answers)), COUNT)
        fraction = np.array([rng.dirichlet(one * CONCENTRATION + 1e-9) for one in mean])
        counts.append(rng.multinomial(VOTERS, fraction))
        means.append(mean)
    return np.concatenate(counts, axis=1).astype(np.float64), np.concatenate(means, axis=1)


def test_right_distributions_cover_what_they_promise() -> None:
    counts, means = drawn()
    covered = covered_answers(counts, means, np.full((COUNT, len(QUESTIONS)), CONCENTRATION), seed=0)
    assert covered.shape == (COUNT, len(STEMS))
    assert np.nanmean(covered) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(("factor", "low", "high"), [(8.0, 0.0, 0.86), (0.1, 0.94, 1.0)])
def test_wrong_concentrations_are_found_out(factor: float, low: float, high: float) -> None:
    counts, means = drawn()
    spread = np.full((COUNT, len(QUESTIONS)), CONCENTRATION * factor)
    assert low < np.nanmean(covered_answers(counts, means, spread, seed=0)) < high


def test_questions_that_nobody_was_asked_are_not_counted() -> None:
    counts, means = drawn()
    rounded = [STEMS.index(stem) for stem in QUESTIONS["t07_rounded"].columns]
    counts[:, rounded] = 0
    covered = covered_answers(counts, means, np.full((COUNT, len(QUESTIONS)), CONCENTRATION), seed=0)
    assert np.isnan(covered[:, rounded]).all()
    assert not np.isnan(np.delete(covered, rounded, axis=1)).any()


def test_sets_are_judged_by_the_classes_that_votes_leave_open() -> None:
    counts = np.zeros((3, len(STEMS)))
    counts[:, SMOOTH] = 30
    counts[0, ROUND] = 30  # the other two were not asked further: any smooth class is open
    signature = Signature(
        64, 0.5, "0" * 64, 8, calibration={"set_objects": 200}, conformal=Conformal("aps", 0.9, coverage=0.9)
    )
    found = set_coverage(counts, [("Ei", "Ec"), ("Ec",), ("Se", "Sc", "Sb")], CLASSES, signature)
    assert found is not None
    assert (found.count, found.covered, found.promised) == (3, 1, 0.9)
    assert found.mean_size == 2.0
    assert set_coverage(counts, [()] * 3, CLASSES, Signature(64, 0.5, "0" * 64, 8)) is None
