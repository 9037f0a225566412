"""Figures on unselected galaxies, on votes that were drawn from known distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import dirichlet_multinomial

from galclass.clean_samples import CLEAN_LABELS
from galclass.errors import EvaluationError
from galclass.evaluate.unselected import (
    COLUMNS,
    EIGHT,
    PARENTS,
    calibration_error,
    clean_stratum,
    draw_weights,
    measure_unselected,
    randomised_ranks,
    shares_of,
)
from galclass.evaluate.vote_likelihood import log_dirichlet_multinomial, vote_likelihoods
from galclass.morphology import QUESTIONS

COUNT, VOTERS = 1500, 45
CONCENTRATION = 12.0


def drawn(seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Draw true means, and votes down the tree with their scatter; give shares, means and concentrations."""
    rng = np.random.default_rng(seed)
    means: dict[str, np.ndarray] = {}
    counts: dict[str, np.ndarray] = {}
    for name, parent in PARENTS.items():
        stems = QUESTIONS[name].columns
        mean = rng.dirichlet(np.ones(len(stems)), COUNT)
        asked = counts[parent] if parent else np.full(COUNT, VOTERS)
        fraction = np.array([rng.dirichlet(one * CONCENTRATION + 1e-9) for one in mean])
        votes = rng.multinomial(asked, fraction)
        means |= dict(zip(stems, mean.T, strict=True))
        counts |= dict(zip(stems, votes.T, strict=True))
    given = np.stack([counts[stem] for stem in COLUMNS], axis=1) / VOTERS
    return given, means, {name: np.full(COUNT, CONCENTRATION) for name in PARENTS}


def test_right_distribution_is_covered_and_calibrated() -> None:
    given, means, concentration = drawn()
    found = measure_unselected(given, means, concentration, np.ones(COUNT), resamples=200)
    assert found.coverage is not None
    assert found.coverage.low < 0.9 < found.coverage.high
    assert all(abs(share - 0.9) < 0.025 for share in found.coverage_by_question.values())
    assert found.calibration_error.value < 0.03
    assert found.rmse_eight.value < found.rmse_eight_constant
    assert found.smooth_or_featured.value > found.smooth_or_featured_constant


@pytest.mark.parametrize(("factor", "low", "high"), [(8.0, 0.0, 0.86), (0.1, 0.94, 1.0)])
def test_wrong_concentration_is_found_out(factor: float, low: float, high: float) -> None:
    given, means, concentration = drawn()
    other = {name: values * factor for name, values in concentration.items()}
    found = measure_unselected(given, means, other, np.ones(COUNT), resamples=20)
    assert found.coverage is not None
    assert low <= found.coverage.value <= high


def test_perfect_answers_have_no_error() -> None:
    given, _, _ = drawn()
    share = dict(zip(COLUMNS, given.T, strict=True))
    asked = {name: share[parent] if parent else np.ones(COUNT) for name, parent in PARENTS.items()}
    means = {
        stem: np.divide(share[stem], asked[name], out=np.zeros(COUNT), where=asked[name] > 0)
        for name in PARENTS
        for stem in QUESTIONS[name].columns
    }
    found = measure_unselected(given, means, None, np.ones(COUNT), resamples=20)
    assert found.smooth_or_featured.value == 1
    assert found.rmse_all.value == pytest.approx(0, abs=1e-12)
    assert found.coverage is None


def test_mean_is_the_constant_answer() -> None:
    given, _, _ = drawn()
    columns = [COLUMNS.index(stem) for stem in EIGHT]
    found = measure_unselected(given, drawn(1)[1], None, np.ones(COUNT), resamples=2)
    assert found.rmse_eight_constant == pytest.approx(np.sqrt(given[:, columns].var(axis=0).mean()))


def test_shares_sum_to_those_of_the_answer_before() -> None:
    share = dict(zip(COLUMNS, shares_of(drawn()[1]).T, strict=True))
    for name, parent in PARENTS.items():
        together = sum(share[stem] for stem in QUESTIONS[name].columns)
        assert np.allclose(together, share[parent] if parent else 1)


def test_weights_give_the_strata_of_a_random_draw() -> None:
    stratum = np.repeat(np.arange(5), [40, 30, 10, 10, 10])
    natural = dict(zip(CLEAN_LABELS, (10, 20, 5, 15, 99), strict=True))
    weights = draw_weights(stratum, natural, 100)
    assert weights.mean() == pytest.approx(1)
    assert np.bincount(stratum, weights=weights) / weights.sum() == pytest.approx([0.1, 0.2, 0.05, 0.15, 0.5])


def test_sample_without_a_kind_cannot_be_weighted() -> None:
    with pytest.raises(EvaluationError, match="a clean kind is missing"):
        draw_weights(np.zeros(5, dtype=np.int64), dict.fromkeys(CLEAN_LABELS, 1.0), 10)


def test_strata_follow_the_thresholds_of_the_clean_samples() -> None:
    given = np.zeros((4, len(COLUMNS)))
    column = {stem: COLUMNS.index(stem) for stem in COLUMNS}
    given[0, [column["t01_smooth_or_features_a01_smooth"], column["t07_rounded_a16_completely_round"]]] = 0.8, 0.5
    given[1, [column["t01_smooth_or_features_a01_smooth"], column["t07_rounded_a16_completely_round"]]] = 0.8, 0.49
    given[2, [column["t01_smooth_or_features_a02_features_or_disk"], column["t02_edgeon_a04_yes"]]] = 0.7, 0.61
    given[3, [column["t01_smooth_or_features_a02_features_or_disk"], column["t02_edgeon_a04_yes"]]] = 0.7, 0.60
    assert clean_stratum(given).tolist() == [0, 4, 3, 4]


def test_calibration_error_is_the_gap() -> None:
    predicted = np.linspace(0.1, 0.9, 1000)
    assert calibration_error(predicted, predicted, np.ones(1000)) == pytest.approx(0)
    assert calibration_error(predicted, predicted - 0.05, np.ones(1000)) == pytest.approx(0.05)


def test_nobody_asked_has_no_rank() -> None:
    ranks = randomised_ranks(np.array([0.0, 3.0]), np.array([0.2, 5.0]), np.ones(2), np.ones(2), seed=0)
    assert np.isnan(ranks[0])
    assert 0 <= ranks[1] <= 1


def test_no_galaxies_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="no galaxy with raw votes"):
        measure_unselected(np.zeros((0, 17)), {}, None, np.zeros(0))


def test_log_likelihood_is_that_of_the_dirichlet_multinomial() -> None:
    counts, alpha = np.array([[3.0, 2.0, 0.0], [0.0, 0.0, 0.0]]), np.array([[2.0, 1.0, 0.5], [1.0, 1.0, 1.0]])
    expected = [dirichlet_multinomial.logpmf([3, 2, 0], alpha[0], 5), 0.0]
    assert log_dirichlet_multinomial(counts, alpha) == pytest.approx(expected)


def test_right_distribution_has_the_largest_likelihood() -> None:
    given, means, concentration = drawn()
    found = vote_likelihoods(given, means, concentration, np.ones(COUNT))
    assert found.own == pytest.approx(found.one_a_question, abs=0.05)  # all have the same concentration
    assert found.own > found.multinomial + 1
    assert found.own > found.constant + 1


def test_concentration_of_each_galaxy_may_fit_better_than_one_for_all() -> None:
    given, means, concentration = drawn()
    rng = np.random.default_rng(5)
    spread = np.where(np.arange(COUNT) % 2, 3.0, 300.0)
    alpha = np.stack([means[stem] for stem in COLUMNS[:3]], 1) * spread[:, None]
    given[:, :3] = [rng.multinomial(VOTERS, rng.dirichlet(one + 1e-9)) / VOTERS for one in alpha]
    found = vote_likelihoods(given, means, concentration | {"t01_smooth_or_features": spread}, np.ones(COUNT))
    assert found.own > found.one_a_question + 0.2
