"""True fractions from observed ones, on votes drawn from fractions that are known."""

from __future__ import annotations

import numpy as np
import pytest

from galclass.errors import EvaluationError
from galclass.evaluate.ceiling import VOTE_COLUMNS
from galclass.evaluate.deconvolve import (
    deconvolved_rows,
    first_answer,
    fitted_dirichlet,
    sampling_noise,
    true_fractions,
)

ALPHA = np.array([1.2, 1.0, 0.1])
COUNT, VOTERS = 3000, 30


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """True fractions and the counts of panels, (3000, 3) each."""
    random = np.random.default_rng(0)
    true = random.dirichlet(ALPHA, COUNT)
    return true, random.multinomial(VOTERS, true).astype(np.float64)


def test_the_distribution_of_true_fractions_is_found_again() -> None:
    true, counts = drawn()
    np.testing.assert_allclose(fitted_dirichlet(counts), ALPHA, rtol=0.12)
    found = true_fractions(counts, seed=1)
    assert found.sum(axis=1) == pytest.approx(np.ones(COUNT))
    observed = counts / VOTERS
    assert found[:, 0].var() == pytest.approx(true[:, 0].var(), rel=0.03)
    assert observed[:, 0].var() > 1.02 * true[:, 0].var()


def test_a_second_panel_agrees_as_often_as_it_truly_does() -> None:
    true, counts = drawn()
    second = np.random.default_rng(5).multinomial(VOTERS, true)
    truly = (second.argmax(axis=1) == counts.argmax(axis=1)).mean()
    found = first_answer(counts, np.ones(COUNT), voters=VOTERS, panels=20)
    assert found.deconvolved == pytest.approx(truly, abs=0.008)
    assert found.naive > found.deconvolved + 0.005
    assert found.best == pytest.approx((true.argmax(axis=1) == counts.argmax(axis=1)).mean(), abs=0.01)


def test_sampling_noise_is_that_of_the_draws() -> None:
    true, counts = drawn()
    truly = np.sqrt(((counts / VOTERS - true) ** 2).mean())
    assert sampling_noise(counts / VOTERS, np.ones(COUNT), voters=VOTERS) == pytest.approx(truly, rel=0.02)


def test_questions_that_nobody_was_asked_keep_their_fractions() -> None:
    random = np.random.default_rng(3)
    rows = []
    for smooth in random.random(40):
        row = dict.fromkeys(VOTE_COLUMNS, 0.0) | {"total_classifications": 40.0}
        row["t01_smooth_or_features_a01_smooth_weighted_fraction"] = smooth
        row["t01_smooth_or_features_a02_features_or_disk_weighted_fraction"] = 1 - smooth
        rows.append(row)
    found = deconvolved_rows(rows, seed=0)
    assert [one["t03_bar_a06_bar_weighted_fraction"] for one in found] == [0.0] * 40
    changed = [one["t01_smooth_or_features_a01_smooth_weighted_fraction"] for one in found]
    assert np.std(changed) > 0.2
    assert changed != [row["t01_smooth_or_features_a01_smooth_weighted_fraction"] for row in rows]


def test_too_few_galaxies_are_refused() -> None:
    with pytest.raises(EvaluationError, match="too few galaxies"):
        fitted_dirichlet(np.ones((5, 3)))
