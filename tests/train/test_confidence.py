"""Conformal sets cover as promised; strangers are flagged and galaxies are not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from galclass.errors import TrainingError
from galclass.scoring.checks import Checker
from galclass.scoring.confidence import Distance, prediction_set
from galclass.scoring.fit_confidence import fit_conformal, fit_unlike
from galclass.scoring.signature_parts import plain_part, read_unlike


def draw(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Over-confident probabilities over 13 classes and labels that follow flatter ones."""
    logits = generator.normal(size=(count, 13)) * 2
    flat, sharp = np.exp(logits), np.exp(2 * logits)
    flat, sharp = flat / flat.sum(axis=1, keepdims=True), sharp / sharp.sum(axis=1, keepdims=True)
    return sharp, np.array([generator.choice(13, p=row) for row in flat])


def test_too_few_objects_are_refused() -> None:
    with pytest.raises(TrainingError, match="too few objects to calibrate prediction sets"):
        fit_conformal(np.full((5, 13), 1 / 13), np.zeros(5, dtype=np.int64))
    with pytest.raises(TrainingError, match="too few galaxies"):
        fit_unlike(np.zeros((50, 8)), np.zeros((50, 8)))


def test_sets_hold_the_true_class_as_often_as_promised_even_if_the_model_boasts() -> None:
    generator = np.random.default_rng(0)
    probabilities, true = draw(generator, 2000)
    conformal = fit_conformal(probabilities, true)
    fresh, fresh_true = draw(generator, 4000)
    sets = [prediction_set(row.astype(np.float32), conformal) for row in fresh]
    from galclass.morphology import CLASSES

    covered = np.mean([CLASSES[label] in members for members, label in zip(sets, fresh_true, strict=True)])
    assert 0.88 < covered < 0.93
    assert np.mean([len(members) for members in sets]) < 9


def test_strangers_are_flagged_and_galaxies_rarely() -> None:
    generator = np.random.default_rng(1)
    mixing = generator.normal(size=(6, 64))

    def galaxies(count: int) -> np.ndarray:
        return generator.normal(size=(count, 6)) @ mixing + 0.05 * generator.normal(size=(count, 64))

    unlike = fit_unlike(galaxies(1000), galaxies(1000), components=6)
    mean, whitening = np.array(unlike.mean), np.array(unlike.whitening)

    def flagged(embeddings: np.ndarray) -> float:
        return float((np.linalg.norm((embeddings - mean) @ whitening.T, axis=1) > unlike.threshold).mean())

    assert unlike.false_alarm == pytest.approx(0.01, abs=0.002)
    assert flagged(galaxies(2000)) < 0.03
    assert flagged(generator.normal(size=(500, 64)) * 3) > 0.95


def test_a_set_for_a_truth_that_ends_early_holds_one_class_under_it() -> None:
    probabilities, true = draw(np.random.default_rng(2), 500)
    exact = np.eye(13, dtype=bool)[true]
    assert fit_conformal(probabilities, exact) == fit_conformal(probabilities, true)
    everything = np.ones((500, 13), dtype=bool)
    assert fit_conformal(probabilities, everything).threshold == pytest.approx(1e-6)
    half = exact | (np.arange(13) < 7)
    assert fit_conformal(probabilities, half).threshold <= fit_conformal(probabilities, true).threshold


def test_the_compact_flag_is_the_full_one_in_a_tenth_of_the_numbers() -> None:
    generator = np.random.default_rng(4)
    mixing = generator.normal(size=(6, 64))
    galaxies = generator.normal(size=(3000, 6)) @ mixing + 0.05 * generator.normal(size=(3000, 64))
    full = fit_unlike(galaxies[:1000], galaxies[1000:2000], components=6)
    compact = fit_unlike(galaxies[:1000], galaxies[1000:2000], components=6, compact=True)
    assert (len(compact.whitening), full.rest) == (6, None)
    assert compact.threshold == pytest.approx(full.threshold, rel=1e-4)
    new = np.concatenate([galaxies[2000:], generator.normal(size=(500, 64)) * 3]).astype(np.float32)
    flags = [Distance(unlike).above(new) for unlike in (full, compact)]
    assert (flags[0] != flags[1]).sum() <= 2
    assert flags[1][1000:].mean() > 0.95
    assert flags[1][:1000].mean() < 0.05


def test_a_compact_flag_has_a_distance_beyond_few_training_galaxies() -> None:
    generator = np.random.default_rng(5)
    few = generator.normal(size=(120, 300)).astype(np.float32)
    unlike = fit_unlike(few, generator.normal(size=(200, 300)).astype(np.float32), compact=True)
    fresh = generator.normal(size=(500, 300)).astype(np.float32)
    assert Distance(unlike).above(fresh).mean() < 0.06
    assert Distance(unlike).above(fresh * 3).all()


@pytest.mark.parametrize(("count", "size"), [(300, 8), (120, 300), (400, 512)])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1e4])
def test_a_signature_may_hold_every_compact_flag(count: int, size: int, scale: float) -> None:
    generator = np.random.default_rng(6)
    drawn = generator.normal(size=(count, size)) * np.geomspace(1, 1e-6, size) * scale + scale
    unlike = fit_unlike(drawn.astype(np.float32), drawn.astype(np.float32), compact=True)
    check = Checker()
    values = json.loads(json.dumps(plain_part(unlike)))
    assert read_unlike(values, size, 2, check) == unlike
    assert not check.faults


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([[1.0, 0.0, 0.0], [1.0, 0.001, 0.0]], "orthogonal"),
        ([[1e-200, 0.0, 0.0], [1e-200, 1e-203, 0.0]], "orthogonal"),
        ([[1.0, 0.0, 0.0], [2e-4, 1.0, 0.0]], "orthogonal"),
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]], "orthogonal"),
        ([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], "row of zeros"),
        ([[1.0, 0.0, 0.0]] * 257, "more than 256 rows"),
    ],
)
def test_rows_that_hide_what_is_outside_of_them_are_refused(rows: list[list[float]], told: str) -> None:
    values = {"mean": [0.0] * 3, "whitening": rows, "threshold": 5.0, "false_alarm": 0.01}
    check = Checker()
    read_unlike(values | {"rest": 0.001}, 3, 2, check)
    assert [told in fault for fault in check.faults] == [True]
    check = Checker()
    read_unlike(values | {"rest": None}, 3, 2, check)  # the score is then the norm in these rows alone
    assert not check.faults


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("value", [0.0, 3e4])
def test_a_layer_whose_units_all_died_leaves_finite_numbers(compact: bool, value: float) -> None:
    same = np.full((300, 8), value, dtype=np.float32)
    unlike = fit_unlike(same, same, components=6, compact=compact)
    assert np.isfinite([*unlike.mean, *np.ravel(unlike.whitening), unlike.threshold, unlike.rest or 0]).all()
    assert not Distance(unlike).above(same).any()
    assert Distance(unlike).above(same + 1 + value).all()
