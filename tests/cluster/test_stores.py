"""An object store as input and output, and one that fails for a while."""

from __future__ import annotations

import errno
import io
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import obstore
import pyarrow.parquet as pq
import pytest
from azurite import create_container, run_azurite
from cluster.nodes import wait_for
from cluster.results import ADDED, rows_of_one_machine
from cluster.runs import Run, spoil, waiting
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

from galclass import __version__
from galclass.cluster.connect import _answered
from galclass.cluster.folder import Folder
from galclass.cluster.inputs import work_chunks
from galclass.cluster.reading import read_items
from galclass.cluster.retry import patiently
from galclass.errors import ClusterError
from galclass.image_files import find_images

pytestmark = [pytest.mark.filterwarnings("default")]


def test_what_does_not_pass_is_raised_at_once() -> None:
    def missing() -> bytes:
        raise FileNotFoundError(errno.ENOENT, "gone")

    started = time.monotonic()
    with pytest.raises(FileNotFoundError):
        patiently(missing, where="a.jpg", patience_s=60)
    assert time.monotonic() - started < 30


def test_a_fault_that_passes_is_waited_for_and_one_that_stays_is_named() -> None:
    answers: list[Exception | bytes] = [OSError(errno.ESTALE, "stale"), TimeoutError("silent"), b"data"]

    def answer() -> bytes:
        one = answers.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    assert patiently(answer, where="a.jpg", patience_s=60) == b"data"

    def stale() -> bytes:
        raise OSError(errno.ESTALE, "stale file handle")

    with pytest.raises(ClusterError, match=r"nfs/a.jpg: the store kept failing for more than 0.1 s.*stale"):
        patiently(stale, where="nfs/a.jpg", patience_s=0.1)


def test_a_disk_that_is_not_mounted_gives_no_rejects(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/a.jpg").write_bytes(b"x")
    (chunk,) = work_chunks(str(tmp_path / "disk"), 64)
    (tmp_path / "disk/a.jpg").unlink()
    (item,) = read_items(chunk, 0.1)
    assert item.fault is not None
    assert item.fault.code == "unreadable"
    (tmp_path / "disk").rmdir()
    with pytest.raises(ClusterError, match="not mounted"):
        list(read_items(chunk, 0.1))


def test_an_archive_on_a_disk_that_is_not_mounted_gives_no_rejects(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with zipfile.ZipFile(tmp_path / "disk/a.zip", "w") as archive:
        archive.writestr("1.jpg", b"x")
    (chunk,) = work_chunks(str(tmp_path / "disk"), 64)
    (tmp_path / "disk/a.zip").unlink()
    (tmp_path / "disk").rmdir()
    with pytest.raises(ClusterError, match="not mounted"):
        list(read_items(chunk, 0.1))


def test_a_folder_that_cannot_be_listed_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "1.jpg").write_bytes(b"x")
    scandir = os.scandir

    def failing(path: str) -> object:
        if str(path).endswith("/a"):
            raise OSError(errno.EIO, "Input/output error", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(ClusterError, match=r"/a: a folder cannot be listed.*Input/output error"):
        list(work_chunks(str(tmp_path), 64))
    found = {image.name: image.fault for image in find_images([tmp_path])}  # on one machine it is a reject by name
    assert set(found) == {"1.jpg", "a"}
    assert found["1.jpg"] is None
    assert found["a"] is not None
    assert "Input/output error" in found["a"].reason


def test_a_changed_file_makes_another_chunk(tmp_path: Path) -> None:
    path = tmp_path / "survey.zip"
    stamps = []
    for count in (1, 2):
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(count):
                archive.writestr(f"{number}.jpg", b"x")
        stamps.append(next(iter(work_chunks(str(path), 1))).stamp)
    assert stamps[0] != stamps[1]


def test_after_a_fault_the_rest_of_a_take_does_not_wait_for_the_same_store() -> None:
    calls = []

    def waits(work: dict[str, object], job: object) -> dict[str, object]:
        calls.append(work["n"])
        raise ClusterError("the store kept failing for more than 300 s", where="s3://away")

    answers = [_answered({"n": n}, waits, "job 1", __version__) for n in range(8)]
    assert calls == [0]
    assert all("s3://away" in answer["_error"] for answer in answers)
    assert _answered({"n": 9}, lambda work, job: {"rows": 1}, "job 2", __version__) == {"rows": 1, "_error": ""}


@pytest.fixture
def store(
    object_store: dict[str, str], object_store_port: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ThreadedMotoServer]:
    for name, value in object_store.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=object_store_port, verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.mark.slow
def test_a_store_that_fails_for_a_while_costs_nothing(
    folder, galaxies, scorer, settings, store, object_store, gate
) -> None:
    import boto3

    boto3.client("s3", endpoint_url=object_store["AWS_ENDPOINT"], region_name="us-east-1").create_bucket(Bucket="sky")
    spoil(folder, sorted(galaxies)[10:11], b"GATE")
    expected = rows_of_one_machine(folder, scorer)
    bucket = S3Store("sky", config={}, client_options={"allow_http": True})
    for path in folder.iterdir():
        obstore.put(bucket, f"survey/{path.name}", path.read_bytes())
    run = Run("s3://sky/survey", "s3://sky/scored", scorer, settings)
    wait_for(lambda: bool(waiting(gate)), "work on the gated image")
    store.stop()
    (gate / "open").touch()
    time.sleep(1.5)  # some requests fail
    again = ThreadedMotoServer(ip_address="127.0.0.1", port=store._port, verbose=False)
    again.start()
    try:
        assert run.result().scored == 301
        scored = rows_in("s3://sky/scored")
    finally:
        again.stop()
    assert scored == as_in_store(expected, folder, "s3://sky/survey")


def rows_in(url: str) -> list[dict[str, object]]:
    """All rows of a finished folder in a store, by file, as on one machine; its parts are gone."""
    output = Folder(url)
    names = [name for name in output.names() if name.endswith(".parquet")]
    assert not [name for name in names if name.startswith("parts/")]
    tables = [pq.read_table(io.BytesIO(output.read(name) or b"")) for name in names]
    rows = [{k: v for k, v in row.items() if k not in ADDED} for table in tables for row in table.to_pylist()]
    return sorted(rows, key=lambda row: str(row["file"]))


def as_in_store(rows: list[dict[str, object]], folder: Path, url: str) -> list[dict[str, object]]:
    return [{**row, "file": str(row["file"]).replace(str(folder), url)} for row in rows]


@pytest.mark.slow
def test_azure_holds_images_and_predictions_as_well(
    folder, scorer, settings, object_store, azure_port, monkeypatch
) -> None:
    for name, value in object_store.items():
        monkeypatch.setenv(name, value)
    for url in run_azurite(azure_port):
        create_container(url, "sky", public=False)
        survey = Folder("az://sky/survey")
        for path in folder.iterdir():
            survey.write(path.name, path.read_bytes())
        assert Run("az://sky/survey", "az://sky/scored", scorer, settings).result().scored == 301
        expected = as_in_store(rows_of_one_machine(folder, scorer), folder, "az://sky/survey")
        assert rows_in("az://sky/scored") == expected
