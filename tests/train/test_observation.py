"""The fitted observation matrix finds how a catalog's words differ from the classes."""

from __future__ import annotations

import numpy as np

from galclass.train.calibrate import fit_observation


def test_a_catalog_that_calls_a_third_of_one_class_another_is_found_out() -> None:
    random = np.random.default_rng(0)
    true = random.integers(0, 3, 3000)
    probabilities = np.full((3000, 13), 0.02 / 10, dtype=np.float32)
    probabilities[:, :3] = 0.02
    probabilities[np.arange(3000), true] = 0.94
    says = np.where((true == 0) & (random.random(3000) < 1 / 3), 5, true)
    matrix = fit_observation(probabilities, says)
    np.testing.assert_allclose(matrix.sum(1), 1)
    assert abs(matrix[0, 5] - 1 / 3) < 0.05
    assert matrix[1, 1] > 0.95


def test_without_objects_a_class_is_taken_at_its_word() -> None:
    matrix = fit_observation(np.empty((0, 13), dtype=np.float32), np.empty(0, dtype=np.int64))
    assert (matrix.argmax(1) == np.arange(13)).all()
    assert matrix[3, 3] > 0.75
