"""The prepare stage on real files: rejects, resuming, rebuilding exactly what must be, several sources."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from prepare.made_sources import configured

from galclass.config import load_config
from galclass.cutouts import CutoutParameters, cutout
from galclass.errors import StoreError
from galclass.prepare import filling, rows
from galclass.prepare.stage import prepare
from galclass.prepare.store import Store


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
    monkeypatch.setattr(rows, "read_catalog", lambda *a, **k: pytest.fail("the catalog was read again"))
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


def test_tables_that_were_half_rewritten_are_written_again_alone(make, tmp_path) -> None:
    config = configured(make("source", 6), tmp_path / "ws")
    prepare(config, progress=False)
    folder = tmp_path / "ws/prepared"
    facts = json.loads((folder / "prepared.json").read_text())
    index = pq.read_table(folder / "index.parquet")
    (folder / "prepared.json").write_text(json.dumps(facts | {"inputs_sha256": ""}))
    pq.write_table(index.slice(1), folder / "index.parquet")
    summary = prepare(config, progress=False)
    assert (summary.cut, summary.objects) == (0, 6)
    assert pq.read_table(folder / "index.parquet").equals(index)


@pytest.mark.parametrize("name", ["store.u8", "index.parquet", "rejects.parquet", "places.parquet"])
@pytest.mark.parametrize("bytes_left", [None, 100])
def test_a_file_that_was_deleted_or_cut_off_is_made_again(make, tmp_path, name: str, bytes_left: int | None) -> None:
    config = configured(make("source", 6), tmp_path / "ws")
    prepare(config, progress=False)
    path = tmp_path / "ws/prepared" / name
    whole = path.read_bytes()
    path.unlink() if bytes_left is None else path.write_bytes(whole[:bytes_left])
    assert prepare(config, progress=False).cut == 6
    assert path.read_bytes() == whole


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


KILLED_AT_ITS_FOURTH_CHUNK = """
import os, signal
from galclass.cli import main
from galclass.prepare.journal import Journal

add, chunks = Journal.add, 0

def add_or_die(journal, line):
    global chunks
    chunks += 1
    if chunks > 3:  # its pixels are in the file
        journal.close()
        os.kill(os.getpid(), signal.SIGKILL)
    add(journal, line)

Journal.add = add_or_die
main()
"""


def test_a_killed_run_goes_on_after_its_last_whole_chunk(make, tmp_path) -> None:
    folder = make("source", 4 * 128)
    (tmp_path / "c.toml").write_text(
        f'workspace = "{tmp_path / "ws"}"\n[prepare]\nimages = "{folder / "images"}"\n'
        f'catalog = "{folder / "labels.csv"}"\nsize_px = 50\nprocesses = 1\n'
    )
    command = [sys.executable, "-c", KILLED_AT_ITS_FOURTH_CHUNK, "prepare", "--no-progress", "--config"]
    assert subprocess.run([*command, str(tmp_path / "c.toml")], timeout=120).returncode == -signal.SIGKILL
    assert len((tmp_path / "ws/prepared/journal.jsonl").read_text().splitlines()) == 1 + 3
    summary = prepare(load_config(tmp_path / "c.toml"), progress=False)
    assert (summary.objects, summary.cut) == (4 * 128, 128)
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
