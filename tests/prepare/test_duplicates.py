"""One picture, one object, one split: shared files, equal bytes, equal pixels; what is rejected or kept."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from galclass.catalog import read_catalog, split_by_object_id
from galclass.config import load_config
from galclass.errors import StoreError
from galclass.prepare.duplicates import sort_out
from galclass.prepare.near import close_pairs
from galclass.prepare.stage import prepare
from galclass.prepare.store import FACTS, Store
from galclass.prepare.summary import PrepareSummary

LABELS = ["Er", "Ei", "Sb", "SBc"]


@pytest.fixture
def make(tmp_path: Path, galaxy, unlike) -> Callable[..., Path]:
    """Write images p0.jpg, p1.jpg, ... and a catalog that gives each to object o0, o1, ..."""

    def write(name: str = "source", count: int = 40, start: int = 0) -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        for k in range(start, start + count):
            (folder / "images" / f"p{k}.jpg").write_bytes(unlike(galaxy("gz2_103169.jpg"), k))
        give(folder, {f"o{k}": f"p{k}" for k in range(start, start + count)})
        return folder

    return write


def give(folder: Path, file_of: dict[str, str]) -> None:
    """Write the catalog: the file of each object."""
    rows = (f"{key},{LABELS[n % 4]},{file}.jpg\n" for n, (key, file) in enumerate(file_of.items()))
    (folder / "labels.csv").write_text("object_id,label,file\n" + "".join(rows))


def run(folder: Path, workspace: Path, **changes: Any) -> PrepareSummary:
    base = {
        "workspace": str(workspace),
        "prepare.images": str(folder / "images"),
        "prepare.catalog": str(folder / "labels.csv"),
        "prepare.size_px": 50,
        "prepare.processes": 1,
        "prepare.max_rejects": 0.5,
    }
    return prepare(load_config(None, base | {k.replace("__", "."): v for k, v in changes.items()}), progress=False)


def rejects_of(workspace: Path) -> dict[str, tuple[str, str]]:
    rows = pq.read_table(workspace / "prepared/rejects.parquet").to_pylist()
    return {row["object_id"]: (row["code"], row["reason"]) for row in rows}


def splits_of(workspace: Path) -> dict[str, str]:
    index = Store.open(workspace / "prepared").index.to_pydict()
    return dict(zip(index["object_id"], index["split"], strict=True))


def with_comment(data: bytes) -> bytes:
    """Other bytes of the same pixels: a JPEG with a comment."""
    return data[:2] + b"\xff\xfe\0\x06note" + data[2:]


def test_a_file_of_two_objects_rejects_both_and_they_name_each_other(make, tmp_path: Path) -> None:
    folder = make()
    give(folder, {f"o{k}": f"p{k % 38}" for k in range(40)})
    summary = run(folder, tmp_path / "ws")
    assert (summary.objects, summary.rejects) == (36, 4)
    assert rejects_of(tmp_path / "ws") == {
        "o0": ("shared_file", "the file is also that of o38"),
        "o38": ("shared_file", "the file is also that of o0"),
        "o1": ("shared_file", "the file is also that of o39"),
        "o39": ("shared_file", "the file is also that of o1"),
    }
    assert "files: 40 seen = 36 prepared + 2 rejected + 2 without a catalog row + 0 skipped" in str(summary)


@pytest.mark.parametrize("change", [bytes, with_comment], ids=["equal bytes", "equal pixels"])
def test_one_picture_under_two_names_rejects_all_of_them(make, tmp_path: Path, change) -> None:
    folder = make()
    for k in (7, 8):
        (folder / "images" / f"p{k}.jpg").write_bytes(change((folder / "images" / "p3.jpg").read_bytes()) + b"")
    assert run(folder, tmp_path / "ws").rejects == 3
    found = rejects_of(tmp_path / "ws")
    assert {code for code, _ in found.values()} == {"duplicate_image"}
    assert found["o3"][1] == "the same image as o7 (p7.jpg), o8 (p8.jpg)"
    assert found["o8"][1] == "the same image as o3 (p3.jpg), o7 (p7.jpg)"


def test_too_many_duplicates_fail_and_a_file_has_them_all(make, tmp_path: Path) -> None:
    folder = make()
    give(folder, {f"o{k}": f"p{k % 20}" for k in range(40)})
    with pytest.raises(StoreError, match="40 shared_file") as caught:
        run(folder, tmp_path / "ws")
    rejects = pq.read_table(caught.value.where)
    assert sorted(rejects["object_id"].to_pylist()) == sorted(f"o{k}" for k in range(40))
    assert run(folder, tmp_path / "ws", prepare__duplicates="keep").rejects == 0
    assert not Path(caught.value.where).exists()


def test_kept_duplicates_take_the_split_of_the_smallest_id_and_cut_nothing_again(make, tmp_path: Path) -> None:
    folder = make()
    alone = splits_like(folder)
    for k in (7, 38):  # o3, o7 and o38 show one picture; o38 shares another with o5 by the pixels alone
        (folder / "images" / f"p{k}.jpg").write_bytes((folder / "images" / "p3.jpg").read_bytes())
    (folder / "images" / "p5.jpg").write_bytes(with_comment((folder / "images" / "p3.jpg").read_bytes()))
    assert run(folder, tmp_path / "ws").objects == 36
    summary = run(folder, tmp_path / "ws", prepare__duplicates="keep")
    assert (summary.objects, summary.cut, summary.kept_groups) == (40, 0, 1)
    found = splits_of(tmp_path / "ws")
    assert {found[key] for key in ("o3", "o5", "o7", "o38")} == {alone["o3"]}
    others = found.keys() - {"o3", "o5", "o7", "o38"}
    assert {key: found[key] for key in others} == {key: alone[key] for key in others}
    assert "1 images shared by several objects" in str(summary)
    assert run(folder, tmp_path / "ws").objects == 36


def splits_like(folder: Path) -> dict[str, str]:
    fractions = {"train": 0.70, "validation": 0.15, "test": 0.15}
    table = split_by_object_id(read_catalog(folder / "labels.csv"), fractions, 12345)
    return dict(zip(table["object_id"].to_pylist(), table["split"].to_pylist(), strict=True))


def sources(*folders: Path, **changes: Any) -> dict[str, Any]:
    """Settings for several sources in place of one folder."""
    named = [
        {"name": folder.name, "images": str(folder / "images"), "catalog": str(folder / "labels.csv")}
        for folder in folders
    ]
    return {"prepare__images": None, "prepare__catalog": None, "prepare__sources": named, **changes}


def test_pictures_are_compared_across_sources(make, tmp_path: Path) -> None:
    first, second = make("first"), make("second", start=100)
    shutil.copy(first / "images" / "p4.jpg", second / "images" / "p104.jpg")
    run(first, tmp_path / "ws", **sources(first, second))
    assert rejects_of(tmp_path / "ws") == {
        "o4": ("duplicate_image", "the same image as o104 (p104.jpg)"),
        "o104": ("duplicate_image", "the same image as o4 (p4.jpg)"),
    }
    run(first, tmp_path / "ws", **sources(first, second, prepare__duplicates="keep"))
    found = splits_of(tmp_path / "ws")
    assert found["o104"] == found["o4"] == splits_like(second)["o104"]  # "o104" sorts before "o4"


def test_the_same_object_and_picture_in_two_sources_is_counted_once_unless_it_brings_votes(make, tmp_path) -> None:
    first = make("first")
    shutil.copytree(first, tmp_path / "second")
    second = tmp_path / "second"
    (second / "labels.csv").write_text(
        "object_id,label,file\n" + "".join(f"o{k},{'SBc' if k == 9 else LABELS[k % 4]},p{k}.jpg\n" for k in range(10))
    )
    summary = run(first, tmp_path / "ws", **sources(first, second))
    assert (summary.objects, summary.repeated, summary.rejects) == (41, 9, 0)  # o9 has another label there
    assert "9 repeated rows of the same image and object" in str(summary)
    assert "files: 80 seen = 41 prepared + 0 rejected + 9 repeated + 30 without a catalog row + 0 skipped" in str(
        summary
    )


def test_an_older_store_is_searched_without_cutting_again(make, tmp_path: Path) -> None:
    folder = make()
    shutil.copy(folder / "images" / "p4.jpg", folder / "images" / "p5.jpg")
    run(folder, tmp_path / "ws", prepare__duplicates="keep")
    prepared = tmp_path / "ws/prepared"
    places = pq.read_table(prepared / "places.parquet").drop_columns(["pixels_sha256"])
    pq.write_table(places, prepared / "places.parquet")  # as before there was such a column
    facts = json.loads((prepared / FACTS).read_text())
    (prepared / FACTS).write_text(json.dumps({k: v for k, v in facts.items() if k not in ("files", "repeated")}))
    summary = run(folder, tmp_path / "ws")
    assert (summary.objects, summary.rejects, summary.cut) == (38, 2, 0)


def test_an_interrupted_run_finds_the_same(make, tmp_path: Path, monkeypatch) -> None:
    from galclass.prepare import plan as inputs
    from galclass.prepare.store import StoreWriter

    monkeypatch.setattr(inputs, "FILES_PER_CHUNK", 8)
    folder = make()
    (folder / "images" / "p30.jpg").write_bytes(with_comment((folder / "images" / "p3.jpg").read_bytes()))
    run(folder, tmp_path / "whole")
    record, done = StoreWriter.record, []

    def stopped(self: StoreWriter, *words: Any) -> None:
        record(self, *words)
        done.append(words)
        if len(done) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "record", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(folder, tmp_path / "ws")
    summary = run(folder, tmp_path / "ws")
    assert summary.cut == 40 - 16
    assert rejects_of(tmp_path / "ws") == rejects_of(tmp_path / "whole")
    assert len(rejects_of(tmp_path / "ws")) == 2
    for name in ("index.parquet", "places.parquet"):
        assert pq.read_table(tmp_path / "ws/prepared" / name) == pq.read_table(tmp_path / "whole/prepared" / name)


def test_images_that_differ_by_one_grey_level_are_two_pictures(make, tmp_path: Path) -> None:
    folder = make(count=2)
    with Image.open(io.BytesIO((folder / "images" / "p0.jpg").read_bytes())) as image:
        pixels = image.convert("RGB")
    for k, name in enumerate(("p0", "p1")):
        pixels.putpixel((212, 212), (100 + 40 * k, 90, 80))
        pixels.save(folder / "images" / f"{name}.bmp")
        (folder / "images" / f"{name}.jpg").unlink()
    assert run(folder, tmp_path / "ws").objects == 2


def test_the_splits_of_the_sample_are_those_of_its_catalog(tmp_path: Path, sample_folder: Path) -> None:
    catalog, mapping = sample_folder / "gz2_hart16.csv", sample_folder / "gz2_filename_mapping.csv"
    changes = {"images": str(sample_folder / "images_gz2.zip"), "catalog": str(catalog), "mapping": str(mapping)}
    summary = run(tmp_path, tmp_path / "ws", **{f"prepare__{key}": value for key, value in changes.items()})
    fractions = {"train": 0.70, "validation": 0.15, "test": 0.15}
    table = split_by_object_id(read_catalog(catalog, mapping=mapping), fractions, 12345)
    expected = dict(zip(table["object_id"].to_pylist(), table["split"].to_pylist(), strict=True))
    assert splits_of(tmp_path / "ws") == expected
    assert (summary.objects, summary.rejects, summary.repeated) == (703, 0, 0)


def test_no_picture_of_the_sample_is_there_twice(sample_folder: Path) -> None:
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        images = [info.CRC for info in archive.infolist() if info.filename.endswith(".jpg")]
    assert len(set(images)) == len(images) == 703


def test_a_file_that_two_objects_and_two_names_share_is_out_for_all(unlike) -> None:
    """Object b has file 2 beside file 1 of a: the group goes by content, and b's other file is no way back in."""
    rows = pa.table(
        {
            "object_id": ["a", "b", "b", "c"],
            "source": ["s"] * 4,
            "file": ["1", "1", "2", "3"],
            "sha256": ["x", "x", "y", "z"],
            "pixels_sha256": pa.nulls(4, pa.string()),
            "split": ["train", "test", "test", "train"],
        }
    )
    found = sort_out(rows, keep=False)
    assert {at: code for at, (code, _) in found.rejects.items()} == {
        0: "shared_file",
        1: "shared_file",
        2: "same_id_other_image",
    }


def test_pictures_compressed_again_are_counted_and_others_are_not(tmp_path: Path, sample_folder: Path) -> None:
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:30]
        for k, name in enumerate(names):
            (folder / "images" / f"p{k}.jpg").write_bytes(archive.read(name))
    give(folder, {f"o{k}": f"p{k}" for k in range(30)})
    assert "nearly the same" not in str(run(folder, tmp_path / "none"))
    for k, quality in ((30, 60), (31, 90)):
        Image.open(folder / "images" / f"p{k - 30}.jpg").save(folder / "images" / f"p{k}.jpg", quality=quality)
    give(folder, {f"o{k}": f"p{k}" for k in range(32)})
    done = run(folder, tmp_path / "two")
    assert (done.objects, done.rejects) == (32, 0)
    assert "2 pairs of objects with nearly the same image (o1 and o31, o0 and o30)" in str(done)
    assert "2 pairs" in str(run(folder, tmp_path / "two"))
    pairs = pq.read_table(tmp_path / "two/prepared/near_duplicates.parquet").to_pylist()
    assert [0 < pair["rms"] < 2.5 for pair in pairs] == [True, True]


@pytest.mark.parametrize(("spread", "count"), [(0.5, 400), (4.0, 1500), (30.0, 1500)])
def test_close_pairs_are_those_that_plain_arithmetic_finds(spread: float, count: int) -> None:
    """In one cell and in many, in clumps and with a component that is wide."""
    chance = np.random.default_rng(1)
    points = chance.normal(0, spread, (count, 64)) / np.arange(1, 65) ** 0.5
    points[:60] = points[60:120] + chance.normal(0, 0.5, (60, 64))
    points = points.astype(np.float32)
    apart = np.concatenate([((points[at] - points[at + 1 :]) ** 2).sum(axis=1) for at in range(count)])
    one, other = np.triu_indices(count, 1)
    near = apart <= 36
    assert 50 <= near.sum() <= 100_000
    found, whole = close_pairs(points)
    assert whole
    np.testing.assert_array_equal(found, np.stack([one[near], other[near]], axis=1))


def test_pictures_that_are_all_alike_end_the_search_and_that_is_told() -> None:
    pairs, whole = close_pairs(np.zeros((20_000, 64), np.float32))
    assert not whole
    assert 100_000 < len(pairs) < 200_000
