"""A tiny model and a few real galaxies."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tiny_model import tiny_model

from galclass.scoring import Scorer


@pytest.fixture(scope="session")
def galaxies(sample_folder: Path) -> dict[str, bytes]:
    """Seventy real galaxies by asset id: more than one chunk."""
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:70]
        return {Path(name).stem: archive.read(name) for name in names}


@pytest.fixture(scope="session")
def scorer() -> Scorer:
    return Scorer(tiny_model(), version=3)
