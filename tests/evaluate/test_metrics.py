"""Metrics, intervals and labellings against hand-worked values and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from galclass.errors import EvaluationError
from galclass.evaluate import FOUR, THIRTEEN, classification, coarse_labelling, reliability
from galclass.evaluate.text import tables_as_text

NAMES = ("a", "b", "c")


def test_nothing_to_measure_is_an_error() -> None:
    empty = np.array([], dtype=np.int64)
    with pytest.raises(EvaluationError, match="no labelled object"):
        classification(empty, empty, NAMES, resamples=10, seed=0)


def test_figures_equal_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    true = generator.integers(0, 3, 200)
    predicted = np.where(generator.random(200) < 0.6, true, generator.integers(0, 3, 200))
    table = classification(true, predicted, NAMES, resamples=200, seed=0)
    assert table.accuracy.value == pytest.approx((true == predicted).mean())
    assert table.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(true, predicted))
    assert table.macro_f1.value == pytest.approx(f1_score(true, predicted, average="macro"))
    assert table.accuracy.low < table.accuracy.value < table.accuracy.high


def test_a_label_that_never_occurs_has_no_error_rate_and_no_weight() -> None:
    table = classification(np.array([0, 0, 1]), np.array([0, 1, 1]), NAMES, resamples=50, seed=0)
    assert np.isnan(table.class_error[2])
    assert table.balanced_accuracy.value == pytest.approx(0.75)
    assert table.as_dict()["class_error"] == {"a": 0.5, "b": 0.0, "c": None}
    assert table.majority_rate == pytest.approx(2 / 3)


def test_the_interval_covers_the_binomial_one() -> None:
    true = np.zeros(400, dtype=np.int64)
    predicted = (np.arange(400) % 5 == 0).astype(np.int64)
    table = classification(true, predicted, NAMES, resamples=4000, seed=3)
    half = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert table.accuracy.low == pytest.approx(0.8 - half, abs=0.006)
    assert table.accuracy.high == pytest.approx(0.8 + half, abs=0.006)


def test_a_calibrated_forecast_has_a_small_calibration_error_and_a_boastful_one_a_large() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 20000)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    honest = (generator.random(20000) > confidence).astype(np.int64)
    assert reliability(probabilities, honest).expected_calibration_error < 0.02
    assert reliability(probabilities, 1 - honest).expected_calibration_error > 0.3


def test_coarse_labels_are_predicted_by_the_sum_of_their_leaves() -> None:
    labelling = coarse_labelling("gz1", ["elliptical", "edge_on", "spiral_clockwise", "spiral_anticlockwise", "merger"])
    assert labelling is not None
    assert labelling.names == ("elliptical", "edge_on", "spiral")
    probabilities = np.full((1, 13), 0.02)
    probabilities[0, THIRTEEN.names.index("Ec")] = 0.76
    assert labelling.sum_probabilities(probabilities)[0] == pytest.approx([0.8, 0.02, 0.16])
    assert labelling.true_index(["spiral_anticlockwise", "merger", None, "Sb"]).tolist() == [2, -1, -1, 2]


def test_single_classes_are_no_coarse_labelling() -> None:
    assert coarse_labelling("gz2", ["Er", "Sb2m", "A"]) is None


def test_group_probabilities_keep_the_order_of_the_contract() -> None:
    assert FOUR.names == ("Elliptical", "Spiral", "BarredSpiral", "Artifact")
    assert FOUR.matrix.sum() == 13


def test_the_printed_matrix_has_the_error_of_each_class() -> None:
    table = classification(np.array([0, 0, 1]), np.array([0, 1, 1]), NAMES, resamples=0, seed=0)
    text = tables_as_text({"letters": table})
    assert "a          1     1     0   0.500" in text
    assert "overall error 0.333 of 3 objects" in text


def test_reliability_as_plain_values_leaves_empty_bins_out() -> None:
    bins = reliability(np.array([[0.9, 0.1], [0.2, 0.8], [0.55, 0.45]]), np.array([0, 0, 0]), bins=10).as_dict()
    assert bins["count"] == [1, 1, 1]
    assert bins["accuracy"] == [1.0, 0.0, 1.0]
    assert bins["confidence"] == [0.55, 0.8, 0.9]
