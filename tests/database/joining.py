"""Images and a table of one's own, joined by the command; for the tests of what comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Column, MaskedColumn, Table
from click.testing import CliRunner, Result
from tiny_model import tiny_model

from galclass.cli import cli

IDS = [587722981742084144, 587722981746540704, 3, 3, 9007199254740993]


def images_of_rows(tmp_path: Path, galaxies: dict[str, bytes]) -> Path:
    """Write images of the first three rows, one that no row is about, and a model beside their folder."""
    images = tmp_path / "images"
    images.mkdir()
    for name, data in zip([*map(str, dict.fromkeys(IDS[:3])), "stray"], galaxies.values(), strict=False):
        (images / f"{name}.jpg").write_bytes(data)
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    return images


def mine(rows: int = 5) -> Table:
    table = Table(meta={"SURVEY": "mine", "EXTNAME": "GALAXIES"})
    table["objid"] = Column(np.array(IDS[:rows], np.int64))
    table["flux"] = Column(np.array([1.5, np.nan, 3, 4, 5][:rows], np.float32), unit="Jy", description="r band flux")
    table["count"] = MaskedColumn(np.arange(rows, dtype=np.int32), mask=[True, *[False] * 4][:rows])
    table["name"] = np.array(["a", "b  ", "", "d", "e"][:rows], dtype="U3")
    table["spectrum"] = np.arange(rows * 6, dtype=np.float64).reshape(rows, 2, 3)
    table["Error"] = np.array(["own"] * rows, dtype="U3")
    return table


def join(folder: Path, catalog: Path, output: Path, *more: str) -> Result:
    words = ["predict", str(folder), "--catalog", str(catalog), "--output", str(output)]
    return CliRunner().invoke(cli, [*words, "--model", str(folder.parent / "tiny.onnx"), *more])
