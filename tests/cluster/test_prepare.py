"""Preparing on a cluster: the folder of one machine, byte for byte, from a folder, a zip and a tar."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from galclass.cluster.connect import LOCAL
from galclass.cluster.stages import prepare_stage
from galclass.config import Config, load_config
from galclass.prepare.stage import prepare

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def configured(workspace: Path, images: Path, catalog: Path, address: str = LOCAL) -> Config:
    values = {"prepare.images": str(images), "prepare.catalog": str(catalog), "prepare.size_px": 32}
    return load_config(None, {**values, "workspace": str(workspace), "cluster.address": address})


def contents(workspace: Path) -> dict[str, bytes]:
    folder = workspace / "prepared"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("container", ["folder", "zip", "tar"])
def test_the_prepared_folder_is_that_of_one_machine(tmp_path, folder, cluster, galaxies, container) -> None:
    catalog = tmp_path / "labels.csv"
    keys = [*sorted(galaxies), "page"]
    catalog.write_text("object_id,label,file\n" + "".join(f"{key},Er,{key}.jpg\n" for key in keys))
    images = packed(folder, container)
    alone = configured(tmp_path / "alone", images, catalog)
    prepare(alone, progress=False)
    shared = configured(tmp_path / "shared", images, catalog, cluster.address)
    summary = prepare_stage(shared, progress=False)
    assert (summary.objects, summary.rejects, summary.cut) == (300, 1, 301)
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")
    assert prepare_stage(shared, progress=False).cut == 0


def test_a_file_that_kills_its_process_is_a_reject_and_the_rest_is_prepared(
    tmp_path, folder, cluster, galaxies, faults
) -> None:
    bad = sorted(galaxies)[5]
    (folder / f"{bad}.jpg").write_bytes(galaxies[bad] + b"POISON")
    catalog = tmp_path / "labels.csv"
    catalog.write_text("object_id,label,file\n" + "".join(f"{key},Er,{key}.jpg\n" for key in galaxies))
    prepare_stage(configured(tmp_path / "w", folder, catalog, cluster.address), progress=False)
    facts = json.loads((tmp_path / "w/prepared/prepared.json").read_text())
    assert (facts["objects"], facts["rejects"]) == (299, 1)
    (folder / f"{bad}.jpg").unlink()
    prepare(configured(tmp_path / "alone", folder, catalog), progress=False)
    side = facts["bytes_per_cutout"]
    place = sorted(galaxies).index(bad)
    pixels = (tmp_path / "w/prepared/store.u8").read_bytes()
    assert pixels[: place * side] + pixels[(place + 1) * side :] == (tmp_path / "alone/prepared/store.u8").read_bytes()


def packed(folder: Path, container: str) -> Path:
    if container == "folder":
        return folder
    names = sorted(path.name for path in folder.iterdir())
    if container == "zip":
        with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
            for name in names:
                archive.write(folder / name, name)
        return folder.with_suffix(".zip")
    with tarfile.open(folder.with_suffix(".tar"), "w") as tar:
        for name in names:
            tar.add(folder / name, name)
    return folder.with_suffix(".tar")
