"""scripts/learning_curve.py on vectors whose answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import learning_curve
import numpy as np
import pytest
from learning_curve import carried_on, curve
from train.drawn_galaxies import write_prepared


def test_errors_fall_with_labels_and_do_not_see_what_is_held_out() -> None:
    rng = np.random.default_rng(1)
    true = rng.integers(0, 2, 200) * 3  # Er and Se, which are in two groups
    vectors = rng.normal(0, 1, (200, 20))
    vectors[:, 0] += 3 * true / 3
    smooth = np.where(true == 0, 0.9, 0.1)
    found = curve(vectors, true, smooth, [12, 120], draws=2, seed=0)
    assert found[12].shape == (2, 3)
    assert (found[120].mean(axis=0) < found[12].mean(axis=0)).all()
    chance = curve(rng.normal(0, 1, (200, 20)), true, smooth, [120], draws=1, seed=0)[120].mean(axis=0)
    assert chance[0] == pytest.approx(0.5, abs=0.12)
    assert chance[2] == pytest.approx(0.4, abs=0.08)


def test_a_known_law_is_carried_on() -> None:
    sizes = [35, 70, 140, 280, 560]
    values = np.array([0.3 + 2.0 * n**-0.5 for n in sizes])
    text = carried_on(sizes, values, [10_000])
    assert text.startswith("0.320 at 10,000")
    assert text.endswith("never below 0.300")


def test_a_source_without_votes_is_named(tmp_path: Path, monkeypatch, capsys) -> None:
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 36)
    arguments = ["learning_curve.py", "model.onnx", str(tmp_path / "prepared"), "--source", "drawn"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match="2"):
        learning_curve.main()
    assert "no object of drawn has one class and debiased votes" in capsys.readouterr().err
