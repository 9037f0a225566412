"""Fixtures of the training tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from train.drawn_galaxies import write_prepared
from train.drawn_votes import write_votes

from galclass.train.dataset import TrainingData, open_training_data


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with 72 drawn galaxies, half Er, half Se."""
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 36)
    return tmp_path


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    """Galaxies with votes, clean ones and ones of a survey."""
    write_votes(tmp_path)
    return open_training_data(tmp_path / "prepared")
