"""How a wave of chunks is dealt out to cores, and how names are taken apart; without Ray."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from galclass.cluster.connect import in_takes
from galclass.cluster.inputs import stem_of, suffix_of, work_chunks


@pytest.mark.parametrize("cores", [1, 2, 16, 1000])
@pytest.mark.parametrize("count", [1, 7, 98, 2048])
def test_every_chunk_is_dealt_once_and_in_order(count: int, cores: int) -> None:
    part = [{"n": number} for number in range(count)]
    takes = list(in_takes(part, 8, cores))
    assert [chunk for take in takes for chunk in take] == part
    assert all(1 <= len(take) <= 8 for take in takes)


def test_takes_shrink_so_that_all_cores_end_together() -> None:
    sizes = [len(take) for take in in_takes([{"n": number} for number in range(98)], 8, 2)]
    assert sizes[0] == 8
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-4:] == [1, 1, 1, 1]


def test_there_is_work_for_every_core() -> None:
    takes = list(in_takes([{"n": number} for number in range(40)], 8, 16))
    assert len(takes) >= 32


@pytest.mark.parametrize("name", ["a.jpg", "b/c.d.JPEG", ".jpg", "b.d/noext", "x.tar.gz", "b/.hidden.png"])
def test_names_are_taken_apart_as_pathlib_does(name: str) -> None:
    assert stem_of(name) == PurePosixPath(name).stem
    assert suffix_of(name) == PurePosixPath(name).suffix.lower()


def test_a_link_to_nowhere_is_listed_and_other_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.jpg").write_bytes(b"x")
    (tmp_path / "a.png").symlink_to(tmp_path / "away.png")
    (tmp_path / "notes.txt").write_text("no image")
    (chunk,) = work_chunks(str(tmp_path), 64)
    assert chunk.names == ("a.png", "b/1.jpg")
