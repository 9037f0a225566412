"""Scoring on a cluster: the rows of one machine, once each, in HATS layout, from every kind of input."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cluster.results import rows_of, rows_of_one_machine

from galclass.cluster.score import score_on_cluster
from galclass.errors import ClusterError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Ray's own warnings are not ours to mend


def test_a_folder_gives_the_rows_of_one_machine_and_a_second_run_does_nothing(
    tmp_path, folder, scorer, settings
) -> None:
    output = tmp_path / "scored"
    summary = score_on_cluster(str(folder), str(output), scorer, settings, progress=False)
    assert rows_of(output) == rows_of_one_machine(folder, scorer)
    assert (summary.scored, summary.rejected, dict(summary.rejects)) == (301, 1, {"not_an_image": 1})
    manifest = json.loads((output / "manifest.json").read_text())
    for one in manifest["partitions"]:
        data = (output / one["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (one["bytes"], one["sha256"])
    assert sum(one["rows"] for one in manifest["partitions"]) == 301
    assert manifest["model"] == {"name": "galaxy", "version": 3, "sha256": scorer.sha256}
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    again = score_on_cluster(str(folder), str(output), scorer, settings, progress=False)
    assert (again.scored, again.new) == (301, 0)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
    extra = folder / "added_later.jpg"
    extra.write_bytes(next(folder.glob("*.jpg")).read_bytes())
    with pytest.raises(ClusterError, match="complete, but images were added, removed or changed since"):
        score_on_cluster(str(folder), str(output), scorer, settings, progress=False)
    extra.unlink()
    assert score_on_cluster(str(folder), str(output), scorer, settings, progress=False).new == 0
    with pytest.raises(ClusterError, match="another run"):
        score_on_cluster(str(folder), str(output), scorer, replace(settings, chunk=128), progress=False)


def test_positions_give_a_hats_catalog(tmp_path, folder, scorer, settings, galaxies) -> None:
    keys = sorted(galaxies)
    objects = {key: (f"obj{key}", 150 + n * 0.05, -2 + n * 0.013) for n, key in enumerate(keys[:-3])}
    output = tmp_path / "scored"
    score_on_cluster(str(folder), str(output), scorer, settings, objects=objects, progress=False)
    with (output / "partition_info.csv").open() as file:
        partitions = [(int(row["Norder"]), int(row["Npix"])) for row in csv.DictReader(file)]
    paths = {path.relative_to(output).as_posix() for path in output.glob("dataset/**/*.parquet")}
    assert paths == {f"dataset/Norder={k}/Dir={n // 10_000 * 10_000}/Npix={n}.parquet" for k, n in partitions}
    assert len(partitions) > 2
    for order, pixel in partitions:
        path = output / f"dataset/Norder={order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}.parquet"
        index = pq.read_table(path, partitioning=None)["_healpix_29"].to_pylist()
        assert index == sorted(index)
        assert {one >> 2 * (29 - order) for one in index} == {pixel}
        assert len(index) <= settings.partition_rows
    facts = dict(line.split("=") for line in (output / "hats.properties").read_text().splitlines()[1:])
    assert facts["hats_nrows"] == "297"
    assert (facts["dataproduct_type"], facts["hats_col_ra"], facts["hats_col_dec"]) == ("object", "ra", "dec")
    metadata = pq.read_metadata(output / "dataset/_metadata")
    assert metadata.num_rows == 297
    assert {f"dataset/{metadata.row_group(k).column(0).file_path}" for k in range(metadata.num_row_groups)} == paths
    assert pq.read_schema(output / "dataset/_common_metadata").names[-3:] == ["ra", "dec", "_healpix_29"]
    unplaced = pq.read_table(output / "unplaced")
    assert sorted(unplaced["object_id"].to_pylist()) == sorted([*keys[-3:], "page"])
    alone = {row["file"]: row for row in rows_of_one_machine(folder, scorer)}
    for row in rows_of(output):
        assert {**row, "object_id": Path(row["file"]).stem} == alone[row["file"]]


def test_archives_shards_and_tables_in_one_folder_are_scored_once_each(tmp_path, scorer, settings, galaxies) -> None:
    survey, names = tmp_path / "survey", sorted(galaxies)
    survey.mkdir()
    with zipfile.ZipFile(survey / "a.zip", "w") as archive:
        for name in names[:70]:
            archive.writestr(f"deep/{name}.jpg", galaxies[name])
    with tarfile.open(survey / "b-000.tar", "w") as shard:
        for name in names[70:140]:
            add(shard, f"{name}.jpg", galaxies[name])
            add(shard, f"{name}.json", json.dumps({"object_id": f"b{name}", "ra": 10.5, "dec": -3.25}).encode())
    rows = {"objid": names[140:210], "image": [galaxies[name] for name in names[140:210]]}
    pq.write_table(pa.table({**rows, "ra": [359.5] * 70, "dec": [89.0] * 70}), survey / "c.parquet", row_group_size=40)
    (survey / "d.zip").write_bytes(b"PK no archive")
    (survey / "e.tar").write_bytes((survey / "b-000.tar").read_bytes()[:2000])
    (survey / "f.parquet").write_bytes(b"PAR1 no table")
    output = tmp_path / "scored"
    summary = score_on_cluster(str(survey), str(output), scorer, settings, progress=False)
    found = {row["object_id"]: row for row in rows_of(output)}
    alone = dict(zip(names, scorer.score([galaxies[name] for name in names]), strict=True))
    ids = {**{n: n for n in names[:70]}, **{f"b{n}": n for n in names[70:140]}, **{n: n for n in names[140:210]}}
    assert set(found) == {*ids, "d.zip", "e.tar", "f.parquet"}
    for own, name in ids.items():
        assert found[own]["predicted_class"] == alone[name].predicted_class
        assert found[own]["predicted_Sb"] == pytest.approx(alone[name].by_class["Sb"], abs=1e-6)
    assert found[names[0]]["file"] == f"{survey}/a.zip/deep/{names[0]}.jpg"
    assert found[names[140]]["file"] == f"{survey}/c.parquet#0"
    assert (summary.scored, dict(summary.rejects)) == (213, {"unreadable": 3})
    assert sum(len(pq.read_table(path, partitioning=None)) for path in output.glob("dataset/**/*.parquet")) == 140


def add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    shard.addfile(info, io.BytesIO(data))
