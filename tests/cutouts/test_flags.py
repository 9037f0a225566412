"""What prepare says of files that were cut off, that show nothing, and that cost too much."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from image_builders import empty_scans
from PIL import Image

from galclass.config import load_config
from galclass.prepare.stage import prepare
from galclass.prepare.store import Store


@pytest.fixture
def folder(tmp_path: Path, galaxy: Callable[[str], bytes], encode) -> Path:
    """Five images: two whole ones, one that was cut off, one of one colour, one of thousands of scans."""
    whole, other = galaxy("gz2_103169.jpg"), galaxy("gz2_247923.jpg")
    cut = encode(Image.open(BytesIO(whole)), "JPEG", progressive=True)
    third_scan = [match.start() for match in re.finditer(b"\xff\xda", cut)][3]
    files = {
        "whole": whole,
        "other": other,
        "cut": cut[: third_scan + 40],
        "blank": encode(np.full((424, 424, 3), 12, np.uint8), "JPEG"),
        "scans": empty_scans(1000, 1000, 6000),
    }
    (tmp_path / "images").mkdir()
    for name, data in files.items():
        (tmp_path / "images" / f"{name}.jpg").write_bytes(data)
    (tmp_path / "labels.csv").write_text("object_id,label\n" + "".join(f"{name},Er\n" for name in files))
    return tmp_path


def prepared(folder: Path, **changes):
    settings = {
        "workspace": str(folder / "workspace"), "prepare.images": str(folder / "images"), "prepare.size_px": 50,
        "prepare.catalog": str(folder / "labels.csv"), "prepare.processes": 1, "prepare.max_rejects": 1.0,
    }  # fmt: skip
    return prepare(load_config(None, settings | changes), progress=False)


def test_a_cut_file_is_kept_flagged_and_counted(folder: Path) -> None:
    summary = prepared(folder)
    assert (summary.objects, summary.rejects, summary.truncated) == (3, 2, 1)
    assert "1 from files that were cut off (flag truncated)" in str(summary)
    index = Store.open(folder / "workspace/prepared").index
    assert dict(zip(index["object_id"].to_pylist(), index["flags"].to_pylist(), strict=True)) == {
        "whole": None, "other": None, "cut": "truncated",
    }  # fmt: skip
    rejects = pq.read_table(folder / "workspace/prepared/rejects.parquet")
    codes = dict(zip(rejects["object_id"].to_pylist(), rejects["code"].to_pylist(), strict=True))
    assert codes == {"blank": "no_content", "scans": "too_costly"}
    again = prepared(folder)
    assert (again.cut, again.truncated) == (0, 1)


def test_another_decode_limit_makes_the_cutouts_again(folder: Path) -> None:
    prepared(folder)
    strict = prepared(folder, **{"images.max_decode_s": 0.001})
    assert (strict.cut, strict.objects) == (5, 0)
    rejects = pq.read_table(folder / "workspace/prepared/rejects.parquet")
    assert any("raise images.max_decode_s" in reason for reason in rejects["reason"].to_pylist())


def test_a_prepared_folder_without_flags_is_still_read(folder: Path) -> None:
    prepared(folder)
    places = folder / "workspace/prepared/places.parquet"
    pq.write_table(pq.read_table(places).drop_columns(["flags"]), places)
    (folder / "labels.csv").write_text((folder / "labels.csv").read_text().replace("Er", "Sb"))
    assert prepared(folder).objects == 3
