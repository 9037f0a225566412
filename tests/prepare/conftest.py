"""Real galaxies, and image files made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from picture_fixtures import encode, galaxy, sky, unlike
from prepare.made_sources import LABELS

__all__ = ["encode", "galaxy", "sky", "unlike"]


@pytest.fixture
def make(tmp_path, galaxy, unlike) -> Callable[..., Path]:
    """Write `count` images under new ids and their catalog into a folder."""

    def write(name: str, count: int, variant: str = "", start: int = 0, labels: list[str] = LABELS) -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        lines = ["object_id,label,file"]
        for k in range(start, start + count):
            asset = "103169" if k % 2 else "247923"
            (folder / "images" / f"g{k}.jpg").write_bytes(unlike(galaxy(f"gz2_{asset}{variant}.jpg"), k))
            lines.append(f"58773{k:013d},{labels[k % len(labels)]},images/g{k}.jpg")
        (folder / "labels.csv").write_text("\n".join(lines) + "\n")
        return folder

    return write
