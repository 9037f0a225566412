"""How a wave of chunks is dealt out to cores, and how names are taken apart; without Ray."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from galclass.cluster.connect import in_takes
from galclass.cluster.inputs import work_chunks
from galclass.cluster.reading import read_items
from galclass.image_files import Skipped


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


def test_a_link_to_nowhere_is_listed_and_other_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.jpg").write_bytes(b"x")
    (tmp_path / "a.png").symlink_to(tmp_path / "away.png")
    (tmp_path / "notes.txt").write_text("no image")
    skipped = Skipped()
    (chunk,) = work_chunks(str(tmp_path), 64, skipped=skipped)
    assert sorted(chunk.names) == ["a.png", "b/1.jpg"]
    assert str(skipped) == "1 not images (notes.txt)"


def test_links_repeats_and_odd_members_are_read_as_predict_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "J1.5.jpg").write_bytes(b"x")
    (folder / "b" / "J1.6.jfif").write_bytes(b"x")
    (folder / "back").symlink_to(folder)
    (folder / "more").symlink_to("b")
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        archive.writestr("in\\J2.5.jpg", b"x")
        archive.writestr("__MACOSX/in/._J2.5.jpg", b"x")
    chunks = list(work_chunks(str(folder), 64, skipped=(skipped := Skipped())))
    items = [item for chunk in chunks for item in read_items(chunk, 0.1)]
    assert sorted(item.object_id for item in items) == ["J1.5", "J1.6", "J2.5"]
    assert dict(skipped.counts) == {"repeated": 2, "system": 1}
