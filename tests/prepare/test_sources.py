"""Several sources in one store: their frames, columns, names and splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prepare.made_sources import configured

from galclass.catalog import read_table
from galclass.config import load_config
from galclass.cutouts import CutoutParameters, cutout
from galclass.errors import CatalogError, ConfigError, StoreError
from galclass.prepare.stage import prepare
from galclass.prepare.store import Store
from galclass.prepare.tables import join_sources


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
        assert "of different types in the catalogs, now text: size, remark" in str(summary)
    index = Store.open(tmp_path / "ws/prepared").index
    assert set(index["size"].to_pylist()) == {"1152921504606846977", "0.5"}
    assert set(index["remark"].to_pylist()) == {"5", "n/k"}
    assert index["z"].type == pa.int64()


@pytest.mark.parametrize("values", [pa.array([[0.5, 1.0]]), pa.array([{"a": 1}])])
def test_columns_that_cannot_be_text_are_refused(values) -> None:
    with pytest.raises(StoreError, match=r"prepare.sources: the catalogs have columns 'profile' of incompatible types"):
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


def test_images_are_found_by_the_column_of_files_that_is_named(make, tmp_path) -> None:
    folder = make("named", 4)
    lines = (folder / "labels.csv").read_text().replace("object_id,label,file", "object_id,label,drawing")
    (folder / "labels.csv").write_text(lines)
    with pytest.raises(StoreError, match="no image matches a catalog row"):
        prepare(configured(folder, tmp_path / "without"), progress=False)
    prepare(configured(folder, tmp_path / "with", prepare__file_column="drawing"), progress=False)
    assert sorted(Store.open(tmp_path / "with/prepared").index["asset_id"].to_pylist()) == ["g0", "g1", "g2", "g3"]
