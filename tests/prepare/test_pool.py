"""Worker processes: same pixels as one process, and a crash costs one file."""

from __future__ import annotations

import os
import signal
import zipfile
from pathlib import Path

import numpy as np
import pytest

from galclass.cutouts import CutoutParameters, stored_cutout
from galclass.errors import StoreError
from galclass.prepare import pool
from galclass.prepare.chunks import Chunk, fill_chunk
from galclass.prepare.pool import fill_chunks

PARAMETERS = CutoutParameters(50)


@pytest.fixture
def folder(tmp_path, galaxy) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("gz2_103169.jpg", "gz2_247923.jpg", "gz2_103169_423.jpg"):
        (images / name).write_bytes(galaxy(name))
    (images / "page.jpg").write_bytes(b"<html>not found</html>")
    return images


def pixels_of(path: Path) -> np.ndarray:
    return np.fromfile(path, np.uint8).reshape(-1, 72, 72, 3)


def test_missing_and_damaged_files_are_rejects(tmp_path, folder, galaxy) -> None:
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(folder / "gz2_247923.jpg", "gz2_247923.jpg")
        file.writestr("a.jpg", galaxy("gz2_103169.jpg"))
    data = bytearray(archive.read_bytes())
    data[200] ^= 0xFF  # the checksum of the first member is wrong now
    archive.write_bytes(data)
    target = tmp_path / "pixels"
    target.touch()
    sha256s, rejects = fill_chunk(target, Chunk(0, str(archive), ("gz2_247923.jpg", "a.jpg", "b.jpg")), PARAMETERS)
    assert [(r.key, r.code) for r in rejects] == [("gz2_247923.jpg", "unreadable"), ("b.jpg", "unreadable")]
    assert [sha256 is None for sha256 in sha256s] == [True, False, True]
    _, rejects = fill_chunk(target, Chunk(0, str(folder), ("page.jpg", "gone.jpg")), PARAMETERS)
    assert [r.code for r in rejects] == ["not_an_image", "unreadable"]


def test_workers_write_the_same_pixels_in_their_slots(tmp_path, folder, galaxy) -> None:
    target = tmp_path / "pixels"
    target.touch()
    bytes_of = [("gz2_103169_423.jpg", galaxy("gz2_103169_423.jpg"))]
    chunks = [
        (Chunk(0, str(folder), ("gz2_103169.jpg", "page.jpg")), None),
        (Chunk(2, str(folder), ("gz2_247923.jpg",)), None),
        (Chunk(3, "a.tar", ("gz2_103169_423.jpg",), 423), bytes_of),
    ]
    results = {result.chunk.first: result for result in fill_chunks(chunks, target, PARAMETERS, 2)}
    assert sorted(results) == [0, 2, 3]
    assert [(r.key, r.code) for r in results[0].rejects] == [("page.jpg", "not_an_image")]
    found = pixels_of(target)
    for place, name in ((0, "gz2_103169.jpg"), (2, "gz2_247923.jpg"), (3, "gz2_103169_423.jpg")):
        np.testing.assert_array_equal(found[place], stored_cutout(galaxy(name), PARAMETERS))


def test_a_worker_that_dies_is_replaced_and_costs_the_file_that_killed_it(tmp_path, folder, monkeypatch) -> None:
    ask = pool.Worker._ask

    def killed_by_pages(worker, chunk, items):
        if "page.jpg" in chunk.names:
            os.kill(worker._process.pid, signal.SIGKILL)
            worker.wait()
        return ask(worker, chunk, items)

    monkeypatch.setattr(pool.Worker, "_ask", killed_by_pages)
    target = tmp_path / "pixels"
    target.touch()
    chunk = Chunk(0, str(folder), ("gz2_103169.jpg", "page.jpg", "gz2_247923.jpg"))
    (result,) = fill_chunks([(chunk, None)], target, PARAMETERS, 1)
    assert [(r.key, r.code) for r in result.rejects] == [("page.jpg", "crashed")]
    assert [sha256 is None for sha256 in result.sha256s] == [False, True, False]
    assert pixels_of(target)[2].any()


def test_a_disk_that_takes_no_pixels_is_an_error_not_a_reject(tmp_path, folder) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        list(fill_chunks([(Chunk(0, str(folder), ("page.jpg",)), None)], tmp_path / "no" / "file", PARAMETERS, 1))


def test_stopping_early_ends_the_workers(tmp_path, folder) -> None:
    target = tmp_path / "pixels"
    target.touch()
    chunks = [(Chunk(place, str(folder), ("gz2_103169.jpg",)), None) for place in range(20)]
    results = fill_chunks(chunks, target, PARAMETERS, 1)
    next(results)
    results.close()
