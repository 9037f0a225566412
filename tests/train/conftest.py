"""Fixtures of the training tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests are imported by path: this makes `drawn_galaxies` importable

from drawn_galaxies import write_prepared  # noqa: E402  # after the path is set


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with 72 drawn galaxies, half Er, half Se."""
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 36)
    return tmp_path
