"""What is wrong in a source, of files and of labels: rejects with reasons, or an error that names it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from prepare.made_sources import configured

from galclass.errors import CatalogError, ConfigError, StoreError
from galclass.prepare.stage import prepare
from galclass.prepare.store import Store


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
