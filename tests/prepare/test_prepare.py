"""The prepare stage on real files: rejects, resuming, rebuilding exactly what must be, several sources."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from galclass.catalog import read_table
from galclass.config import load_config
from galclass.cutouts import CutoutParameters, cutout
from galclass.errors import CatalogError, ConfigError, StoreError
from galclass.prepare import filling, stage
from galclass.prepare.stage import prepare
from galclass.prepare.store import Store
from galclass.prepare.tables import join_sources

LABELS = ["Er", "Ei", "Sb", "SBc"]


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


def configured(folder: Path, workspace: Path, **changes: Any):
    base = {
        "workspace": str(workspace),
        "prepare.images": str(folder / "images"),
        "prepare.catalog": str(folder / "labels.csv"),
        "prepare.size_px": 50,
        "prepare.processes": 2,
    }
    return load_config(None, base | {key.replace("__", "."): value for key, value in changes.items()})


def add_bad_files(folder: Path) -> dict[str, str]:
    """Spoil six of the images; give the code that each must have."""
    images = folder / "images"
    whole = (images / "g0.jpg").read_bytes()
    bad = {
        "g1": (b"", "empty"),
        "g2": (whole[: len(whole) // 3], "truncated"),
        "g3": (b"<html><body>Internal error</body></html>", "not_an_image"),
        "g4": (bytes(3000), "not_an_image"),
        "g5": (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\x01\0\0" * 2 + bytes(9), "too_large"),
    }
    for name, (data, _) in bad.items():
        (images / f"{name}.jpg").write_bytes(data)
    return {name: code for name, (_, code) in bad.items()}


def test_bad_files_are_rejected_with_reasons_and_the_rest_go_on(make, tmp_path) -> None:
    folder = make("source", 30)
    expected = add_bad_files(folder)
    summary = prepare(configured(folder, tmp_path / "ws", prepare__max_rejects=0.5), progress=False)
    assert (summary.objects, summary.rejects, summary.cut) == (25, 5, 30)
    rejects = pq.read_table(tmp_path / "ws/prepared/rejects.parquet").to_pylist()
    assert {row["asset_id"]: row["code"] for row in rejects} == expected
    assert all(row["reason"] and row["object_id"] and row["source"] == "local" for row in rejects)
    store = Store.open(tmp_path / "ws/prepared")
    assert len(store) == 25
    assert set(store.index["split"].to_pylist()) == {"train", "validation", "test"}
    assert "5 rejects" in str(summary)


def test_too_many_rejects_fail_with_counts_and_examples_and_the_next_run_cuts_nothing_again(make, tmp_path) -> None:
    folder = make("source", 30)
    add_bad_files(folder)
    with pytest.raises(StoreError, match=r"too many rejects: .*2 not_an_image.*at most 5\.0%.*5 of 30"):
        prepare(configured(folder, tmp_path / "ws"), progress=False)
    with pytest.raises(StoreError, match="no finished store"):
        Store.open(tmp_path / "ws/prepared")
    summary = prepare(configured(folder, tmp_path / "ws", prepare__max_rejects=0.5), progress=False)
    assert (summary.objects, summary.rejects, summary.cut) == (25, 5, 0)


def test_an_unknown_label_names_its_row_or_is_a_counted_reject(make, tmp_path) -> None:
    folder = make("source", 8, labels=["Er", "Ei", "Sb", "Xyz"])
    with pytest.raises(CatalogError, match="row 4: unknown label 'Xyz'"):
        prepare(configured(folder, tmp_path / "ws", prepare__max_rejects=0), progress=False)
    summary = prepare(configured(folder, tmp_path / "ws", prepare__max_rejects=0.3), progress=False)
    assert (summary.objects, summary.rejects) == (6, 2)
    rejects = pq.read_table(tmp_path / "ws/prepared/rejects.parquet").to_pylist()
    assert [row["code"] for row in rejects] == ["unknown_label"] * 2
    assert "row 4" in rejects[0]["reason"]


def test_labels_are_as_deep_as_the_votes_and_the_summary_counts_them(make, tmp_path) -> None:
    folder = make("source", 8)
    names = [f"{stem}_debiased" for stem in ("t01_smooth_or_features_a01_smooth", "t02_edgeon_a04_yes")]
    rows = [f"58773{k:013d},{0.9 if k % 2 else ''},," for k in range(8)]
    (folder / "labels.csv").write_text(f"#Table1\nID,{','.join(names)},\n" + "\n".join(rows) + "\n")
    for k in range(8):
        (folder / "images" / f"g{k}.jpg").rename(folder / "images" / f"58773{k:013d}.jpg")
    summary = prepare(configured(folder, tmp_path / "ws", prepare__id_column="id"), progress=False)
    assert Store.open(tmp_path / "ws/prepared").index["label"].to_pylist() == [None, "smooth"] * 4
    assert (summary.objects, summary.labelled) == (8, 4)
    said = "local: labels from votes stopped early: 4 at t01_smooth_or_features, 4 at t07_rounded"
    assert said in str(summary).splitlines()
    assert said in str(prepare(configured(folder, tmp_path / "ws", prepare__id_column="id"), progress=False))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"prepare__catalog": None}, "images and catalog go together"),
        ({"prepare__images": "/no/such/folder"}, "no such file or folder"),
        ({"prepare__images": "${GALCLASS_NOWHERE}/images"}, "environment variable is not set"),
    ],
)
def test_wrong_sources_are_refused(make, tmp_path, changes, error) -> None:
    with pytest.raises(ConfigError, match=error):
        prepare(configured(make("source", 2), tmp_path / "ws", **changes), progress=False)


def test_images_that_match_no_row_are_an_error(make, tmp_path) -> None:
    folder = make("source", 3)
    for path in (folder / "images").iterdir():
        path.rename(path.with_name("x" + path.name))
    with pytest.raises(StoreError, match="no image matches a catalog row"):
        prepare(configured(folder, tmp_path / "ws"), progress=False)


def test_labels_that_training_does_not_know_name_what_fits_them_and_every_row(make, tmp_path) -> None:
    folder = make("source", 3)
    catalog = next(path for path in folder.iterdir() if path.is_file())
    catalog.write_text("object_id,label\n" + "".join(f"g{n},{'ring' if n else 'no_ring'}\n" for n in range(3)))
    with pytest.raises(StoreError, match="galclass finetune"):
        prepare(configured(folder, tmp_path / "ws"), progress=False)
    rejects = pq.read_table(tmp_path / "ws/prepared/too_many_rejects.parquet").to_pylist()
    assert [row["code"] for row in rejects] == ["unknown_label"] * 3


def test_two_files_of_one_key_are_one_picture_or_rejects_that_name_each_other(make, tmp_path) -> None:
    folder = make("source", 8)
    for place, source in (("more/g1.jpg", "g1.jpg"), ("more/g2.jpg", "g3.jpg")):
        (folder / "images" / place).parent.mkdir(exist_ok=True)
        shutil.copy(folder / "images" / source, folder / "images" / place)
    summary = prepare(configured(folder, tmp_path / "ws", prepare__max_rejects=0.6), progress=False)
    rejects = pq.read_table(tmp_path / "ws/prepared/rejects.parquet").to_pylist()
    assert {(row["file"], row["code"]) for row in rejects} == {
        ("g2.jpg", "same_id_other_image"),
        ("more/g2.jpg", "duplicate_image"),
        ("g3.jpg", "duplicate_image"),
    }
    assert (summary.objects, summary.repeated) == (6, 1)
    assert "files: 10 seen = 6 prepared + 3 rejected + 1 repeated + 0 skipped" in str(summary)
    reason = next(row["reason"] for row in rejects if row["file"] == "g2.jpg")
    assert "58773" + "0" * 12 + "2 has other images: more/g2.jpg" in reason


def test_a_disk_that_is_too_small_is_found_before_cutting(make, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(filling.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(StoreError, match="disk is too small"):
        prepare(configured(make("source", 3), tmp_path / "ws"), progress=False)


def test_a_row_without_an_image_is_counted_and_is_no_reject(make, tmp_path) -> None:
    folder = make("source", 6)
    (folder / "images" / "g3.jpg").unlink()
    summary = prepare(configured(folder, tmp_path / "ws"), progress=False)
    assert (summary.objects, summary.rejects, summary.without_image) == (5, 0, 1)
    assert "1 catalog rows without an image" in str(summary)


def test_a_second_run_does_nothing(make, tmp_path, monkeypatch) -> None:
    config = configured(make("source", 6), tmp_path / "ws")
    prepare(config, progress=False)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "ws/prepared").iterdir()}
    monkeypatch.setattr(stage, "read_catalog", lambda *a, **k: pytest.fail("the catalog was read again"))
    assert prepare(config, progress=False).cut == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "ws/prepared").iterdir()} == stamps


@pytest.mark.parametrize(
    ("changes", "cut"),
    [
        ({"seed": 7}, 0),
        ({"prepare__train": 0.5, "prepare__validation": 0.25, "prepare__test": 0.25}, 0),
        ({"prepare__size_px": 64}, 6),
        ({"prepare__crop_fraction": 0.6}, 6),
        ({"prepare__frame_px": 500}, 6),
    ],
)
def test_a_change_makes_again_what_it_must_and_no_more(make, tmp_path, changes, cut) -> None:
    folder = make("source", 6)
    prepare(configured(folder, tmp_path / "ws"), progress=False)
    before = Store.open(tmp_path / "ws/prepared")
    assert prepare(configured(folder, tmp_path / "ws", **changes), progress=False).cut == cut
    after = Store.open(tmp_path / "ws/prepared")
    assert after.index["object_id"].to_pylist() == before.index["object_id"].to_pylist()
    if not cut:
        assert (after.index["split"] != before.index["split"]) or changes


def test_a_frame_smaller_than_the_files_rejects_them(make, tmp_path) -> None:
    config = configured(make("source", 6), tmp_path / "ws", prepare__frame_px=100)
    with pytest.raises(StoreError, match="frame_too_small"):
        prepare(config, progress=False)


def test_other_labels_rewrite_the_index_alone_and_other_bytes_the_pixels(make, tmp_path, galaxy) -> None:
    folder = make("source", 6)
    config = configured(folder, tmp_path / "ws")
    prepare(config, progress=False)
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace(",Er,", ",Se,"))
    assert prepare(config, progress=False).cut == 0
    assert "Se" in Store.open(tmp_path / "ws/prepared").index["label"].to_pylist()
    (folder / "images" / "g0.jpg").write_bytes(galaxy("gz2_103169_423.jpg"))
    assert prepare(config, progress=False).cut == 6


def test_the_store_holds_what_scoring_sees_whatever_the_container(make, tmp_path) -> None:
    folder = make("source", 300)
    zipped, tarred = tmp_path / "images.zip", tmp_path / "images.tar.gz"
    names = sorted(path.name for path in (folder / "images").iterdir())
    with zipfile.ZipFile(zipped, "w") as archive:
        for name in names:
            archive.write(folder / "images" / name, f"images/{name}")
    with tarfile.open(tarred, "w:gz") as archive:
        for name in reversed(names):
            data = (folder / "images" / name).read_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    found = []
    for kind, images in (("folder", folder / "images"), ("zip", zipped), ("tar", tarred)):
        prepare(configured(folder, tmp_path / kind, prepare__images=str(images)), progress=False)
        store = Store.open(tmp_path / kind / "prepared")
        order = np.argsort(store.index["object_id"].to_pylist())
        found.append((store.central(order), [store.index["sha256"].to_pylist()[k] for k in order]))
    expected = cutout((folder / "images" / "g0.jpg").read_bytes(), CutoutParameters(50))
    np.testing.assert_array_equal(found[0][0][0], expected)
    for pixels, sha256s in found[1:]:
        np.testing.assert_array_equal(pixels, found[0][0])
        assert sha256s == found[0][1]


def test_several_sources_with_their_own_frames_go_into_one_store(make, tmp_path) -> None:
    whole, part = make("whole", 10), make("part", 10, "_295of423")
    sources = [
        {"name": "whole", "images": str(whole / "images"), "catalog": str(whole / "labels.csv")},
        {"name": "part", "images": str(part / "images"), "catalog": str(part / "labels.csv")}
        | {"id_prefix": "p:", "frame_px": 423, "stored_px": 295, "labels": {"Sb": ""}},
    ]
    config = load_config(None, {"workspace": str(tmp_path / "ws"), "prepare.sources": sources, "prepare.size_px": 50})
    assert prepare(config, progress=False).objects == 20
    store = Store.open(tmp_path / "ws/prepared")
    index = store.index.to_pylist()
    assert [row["source"] for row in index] == ["whole"] * 10 + ["part"] * 10
    assert all(row["object_id"].startswith("p:") == (row["source"] == "part") for row in index)
    assert {row["label"] for row in index if row["source"] == "part"} == {"Er", "Ei", "SBc", None}
    at = next(k for k, row in enumerate(index) if row["source"] == "part")
    data = (part / "images" / f"{index[at]['asset_id']}.jpg").read_bytes()
    np.testing.assert_array_equal(store.central([at])[0], cutout(data, CutoutParameters(50), frame_px=423))


def test_columns_of_two_catalogs_that_cannot_be_one_become_text(make, tmp_path) -> None:
    folders = make("first", 10), make("second", 10, start=10)
    sources = []
    for folder, values in zip(folders, ((2**60 + 1, 5), (0.5, "n/k")), strict=True):
        table = read_table(folder / "labels.csv")
        for name, value in zip(("size", "remark"), values, strict=True):
            table = table.append_column(name, pa.array([value] * len(table)))
        pq.write_table(table.append_column("z", pa.array([1] * len(table))), folder / "labels.parquet")
        sources.append({"name": folder.name, "images": str(folder), "catalog": str(folder / "labels.parquet")})
    config = load_config(None, {"workspace": str(tmp_path / "ws"), "prepare.sources": sources, "prepare.size_px": 32})
    for _ in range(2):
        summary = prepare(config, progress=False)
        assert summary.objects == 20
        assert "of different kinds in the catalogs, now text: size, remark" in str(summary)
    index = Store.open(tmp_path / "ws/prepared").index
    assert set(index["size"].to_pylist()) == {"1152921504606846977", "0.5"}
    assert set(index["remark"].to_pylist()) == {"5", "n/k"}
    assert index["z"].type == pa.int64()


@pytest.mark.parametrize("values", [pa.array([[0.5, 1.0]]), pa.array([{"a": 1}])])
def test_columns_that_cannot_be_text_are_refused(values) -> None:
    with pytest.raises(StoreError, match=r"prepare.sources: the catalogs have columns 'profile' of kinds"):
        join_sources([pa.table({"profile": values}), pa.table({"profile": ["n/k"]})])


def test_named_objects_stay_in_their_splits(make, tmp_path) -> None:
    folder, ids = make("one", 40), tmp_path / "ids"

    def splits(**options: str) -> dict[str, str]:
        source = {"name": "one", "images": str(folder), "catalog": str(folder / "labels.csv")}
        given = {"workspace": str(tmp_path / "ws"), "prepare.sources": [source]}
        prepare(load_config(None, given | {f"prepare.{key}": value for key, value in options.items()}), progress=False)
        index = Store.open(tmp_path / "ws/prepared").index
        return dict(zip(index["object_id"].to_pylist(), index["split"].to_pylist(), strict=True))

    before = splits()
    moved = [key for key, split in before.items() if split == "train"][:3]
    ids.mkdir()
    (ids / "test.txt").write_text("\n".join([*moved, "of another catalog"]) + "\n")
    after = splits(split_ids=str(ids))
    assert {key for key in before if before[key] != after[key]} == set(moved)
    assert {after[key] for key in moved} == {"test"}
    (ids / "train.txt").write_text(moved[0] + "\n")
    with pytest.raises(CatalogError, match="in two splits"):
        splits(split_ids=str(ids))
    with pytest.raises(CatalogError, match="no lists of object ids"):
        splits(split_ids=str(tmp_path))


def test_a_source_may_validate_on_fewer_objects_and_keeps_its_test_split(make, tmp_path) -> None:
    folders = {"first": make("first", 40), "second": make("second", 40, start=40)}

    def splits(**second: Any) -> dict[str, dict[str, str]]:
        sources = [
            {"name": name, "images": str(folder), "catalog": str(folder / "labels.csv")} | (second if i else {})
            for i, (name, folder) in enumerate(folders.items())
        ]
        prepare(load_config(None, {"workspace": str(tmp_path / "ws"), "prepare.sources": sources}), progress=False)
        index = Store.open(tmp_path / "ws/prepared").index.to_pydict()
        found: dict[str, dict[str, str]] = {name: {} for name in folders}
        for source, object_id, split in zip(index["source"], index["object_id"], index["split"], strict=True):
            found[source][object_id] = split
        return found

    before, after = splits(), splits(validation=0.05)
    assert before["first"] == after["first"]
    moved = {key for key, split in after["second"].items() if split != before["second"][key]}
    assert moved
    assert {(before["second"][key], after["second"][key]) for key in moved} == {("validation", "train")}
    with pytest.raises(ConfigError, match=r"0 to 0.85 \(train and validation together\)"):
        splits(validation=0.9)


def test_two_sources_of_one_name_are_refused(make, tmp_path) -> None:
    folder = make("whole", 2)
    source = {"name": "a", "images": str(folder / "images"), "catalog": str(folder / "labels.csv")}
    with pytest.raises(ConfigError, match="same name"):
        prepare(load_config(None, {"workspace": str(tmp_path), "prepare.sources": [source, source]}), progress=False)


def test_a_limit_takes_the_same_objects_each_time(make, tmp_path) -> None:
    folder = make("source", 20)
    kept = []
    for workspace in ("a", "b"):
        assert prepare(configured(folder, tmp_path / workspace, prepare__limit=7), progress=False).objects == 7
        kept.append(Store.open(tmp_path / workspace / "prepared").index["object_id"].to_pylist())
    assert kept[0] == kept[1]


def test_the_bundled_sample_comes_from_the_download_stage(tmp_path, sample_folder) -> None:
    from galclass.download import download

    config = load_config(None, {"workspace": str(tmp_path), "prepare.limit": 40, "prepare.size_px": 50})
    download(config, progress=False)
    assert prepare(config, progress=False).objects == 40
    index = Store.open(tmp_path / "prepared").index
    assert index.column_names[:7] == ["object_id", "asset_id", "label", "split", "source", "sha256", "row"]
    assert any(name.startswith("t01_smooth_or_features") for name in index.column_names)


@pytest.mark.slow
def test_a_killed_run_goes_on_after_its_last_whole_chunk(make, tmp_path) -> None:
    folder = make("source", 1000)
    (tmp_path / "c.toml").write_text(
        f'workspace = "{tmp_path / "ws"}"\n[prepare]\nimages = "{folder / "images"}"\n'
        f'catalog = "{folder / "labels.csv"}"\nsize_px = 50\nprocesses = 1\n'
    )
    journal = tmp_path / "ws/prepared/journal.jsonl"
    command = [
        sys.executable,
        "-c",
        "from galclass.cli import main; main()",
        "prepare",
        "--no-progress",
        "--config",
        str(tmp_path / "c.toml"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (journal.exists() and len(journal.read_text().splitlines()) > 3):
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = len(journal.read_text().splitlines()) - 1
    assert done >= 3
    summary = prepare(load_config(tmp_path / "c.toml"), progress=False)
    assert summary.objects == 1000
    assert 0 < summary.cut <= 1000 - 128 * (done - 1)
    store = Store.open(tmp_path / "ws/prepared")
    whole = configured(folder, tmp_path / "again")
    prepare(whole, progress=False)
    np.testing.assert_array_equal(
        store.cutouts(slice(None)), Store.open(tmp_path / "again/prepared").cutouts(slice(None))
    )


def test_the_facts_say_how_the_folder_was_made(make, tmp_path) -> None:
    prepare(configured(make("source", 6), tmp_path / "ws"), progress=False)
    facts = json.loads((tmp_path / "ws/prepared/prepared.json").read_text())
    assert facts["preprocessing_sha256"] == CutoutParameters(50).sha256
    assert (facts["objects"], facts["rejects"], facts["seed"], facts["sources"]) == (6, 0, 12345, ["local"])
    assert facts["bytes_per_cutout"] == 72 * 72 * 3
