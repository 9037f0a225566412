"""Calibration against chance, coverage of sets and artifacts found, on made outcomes whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from galclass.errors import EvaluationError
from galclass.evaluate import classification, coarse_labelling
from galclass.evaluate.metrics import natural_accuracy
from galclass.evaluate.reliability_checks import artifacts_found, calibration, coverage
from galclass.evaluate.tables import Sampling, natural_figures, observed_matrix
from galclass.morphology import CLASSES


def draws(count: int, sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three classes, and labels drawn from them after sharpening by a power."""
    random = np.random.default_rng(seed)
    truth = random.dirichlet((1, 1, 1), count)
    labels = (random.random((count, 1)) > truth.cumsum(axis=1)).sum(axis=1)
    said = truth**sharpness
    return said / said.sum(axis=1, keepdims=True), labels


def test_a_boastful_model_is_told_from_chance() -> None:
    probabilities, labels = draws(2000, 2.5, seed=1)
    found = calibration(probabilities, labels, seed=0, simulations=200)
    assert found.expected_calibration_error > 0.1
    assert found.p_value < 0.01


def test_an_honest_model_is_not() -> None:
    p_values = [calibration(*draws(400, 1.0, seed), seed=0, simulations=100).p_value for seed in range(10)]
    assert np.mean(np.array(p_values) > 0.05) >= 0.8


def test_coverage_has_the_room_that_both_samples_leave() -> None:
    covered = np.arange(200) >= 20
    found = coverage(covered, np.full(200, 3), 0.9, calibrated_on=100)
    assert (found.count, found.covered, found.mean_size) == (200, 180, 3.0)
    assert found.low < 0.85 < 0.9 < 0.95 < found.high
    wider = coverage(covered, np.full(200, 3), 0.9, calibrated_on=30)
    assert wider.low < found.low


def test_artifacts_are_counted_above_the_galaxies_quantile() -> None:
    probabilities = np.zeros((110, 13))
    probabilities[:100, CLASSES.index("A")] = np.linspace(0, 0.99, 100)
    probabilities[100:, CLASSES.index("A")] = [0.5, 0.6, 0.98, 0.985, 0.99, 0.99, 1, 1, 1, 1]
    is_artifact = np.arange(110) >= 100
    found = artifacts_found(probabilities, is_artifact)
    assert found is not None
    assert found.false_alarms <= 0.02
    assert found.found == pytest.approx(0.7, abs=0.11)
    assert artifacts_found(probabilities[:100], is_artifact[:100]) is None


def test_natural_shares_weight_each_labels_own_rate() -> None:
    matrix = np.array([[90, 10], [50, 50]])
    figure = natural_accuracy(matrix, np.array([3.0, 1.0]), resamples=500, seed=0)
    assert figure.value == pytest.approx(0.75 * 0.9 + 0.25 * 0.5)
    assert figure.low < figure.value < figure.high


def test_shares_of_other_labels_are_refused() -> None:
    table = classification(np.array([0, 1]), np.array([0, 1]), ("round", "spiral"), resamples=10, seed=0)
    with pytest.raises(EvaluationError, match="other labels"):
        natural_figures({"gz1: 2 labels": table}, {"gz1": {"round": 1.0}}, Sampling(10, 0))
    assert natural_figures({"gz1: 2 labels": table}, {"clean5": {"round": 1.0}}, Sampling(10, 0)) == {}


def test_the_observation_matrix_is_put_into_the_labels_order() -> None:
    labelling = coarse_labelling("gz1", ["elliptical", "edge_on", "spiral"])
    assert labelling is not None
    spirals = "|".join(leaf for leaf in CLASSES if leaf.startswith("S") and leaf != "Se")
    observation = {"labels": [spirals, "Se", "Er|Ei|Ec"], "matrix": np.arange(39).reshape(13, 3).tolist()}
    matrix = observed_matrix(observation, labelling)
    assert [labelling.names[k] for k in range(3)] == ["elliptical", "edge_on", "spiral"]
    np.testing.assert_array_equal(matrix[0], [2, 1, 0])
    with pytest.raises(EvaluationError, match="other labels"):
        observed_matrix({"labels": ["Er"], "matrix": [[1]] * 13}, labelling)
