"""scripts/learning_curve.py on vectors whose answer is known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_galaxies import write_prepared

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
from learning_curve import carried_on, curve  # noqa: E402  # after the path is set


def test_errors_fall_with_labels_and_do_not_see_what_is_held_out() -> None:
    rng = np.random.default_rng(1)
    true = rng.integers(0, 2, 200) * 3  # Er and Se, which are in two groups
    vectors = rng.normal(0, 1, (200, 20))
    vectors[:, 0] += 3 * true / 3
    smooth = np.where(true == 0, 0.9, 0.1)
    found = curve(vectors, true, smooth, [12, 120], draws=3, seed=0)
    assert found[12].shape == (3, 3)
    assert (found[120].mean(axis=0) < found[12].mean(axis=0)).all()
    chance = curve(rng.normal(0, 1, (200, 20)), true, smooth, [120], draws=3, seed=0)[120].mean(axis=0)
    assert chance[0] == pytest.approx(0.5, abs=0.12)
    assert chance[2] == pytest.approx(0.4, abs=0.08)


def test_a_known_law_is_carried_on() -> None:
    sizes = [35, 70, 140, 280, 560]
    values = np.array([0.3 + 2.0 * n**-0.5 for n in sizes])
    text = carried_on(sizes, values, [10_000])
    assert text.startswith("0.320 at 10,000")
    assert text.endswith("never below 0.300")


def test_a_source_without_votes_is_named(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 36)
    command = [sys.executable, str(SCRIPTS / "learning_curve.py"), "model.onnx", str(tmp_path / "prepared")]
    done = subprocess.run([*command, "--source", "drawn"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no object of drawn has one class and debiased votes" in done.stderr
