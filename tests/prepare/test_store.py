"""The packed store: whole chunks or none, the same pixels as the scoring path, and a damaged folder is refused."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from galclass.cutouts import CutoutParameters, cutout, stored_cutout
from galclass.errors import StoreError
from galclass.prepare.chunks import Chunk, cutouts_of_chunk, fill_chunk
from galclass.prepare.store import Store, StoreWriter

PARAMETERS = CutoutParameters(50)


@pytest.fixture
def items(galaxy) -> list[tuple[str, bytes]]:
    good = [galaxy("gz2_103169.jpg"), galaxy("gz2_247923.jpg"), galaxy("gz2_247923_423.jpg")]
    return [("a", good[0]), ("empty", b""), ("b", good[1]), ("cut", good[0][:5000]), ("c", good[2])]


def write_chunk(writer: StoreWriter, first: int, items: list[tuple[str, bytes]]) -> None:
    """Fill and record one chunk in this process."""
    chunk = Chunk(first, "", tuple(key for key, _ in items), None)
    writer.record(first, *fill_chunk(writer.partial, chunk, writer.parameters, items))


def finish(writer: StoreWriter) -> None:
    rows = [0, 2, 4]
    writer.finish({"index.parquet": pa.table({"object_id": ["a", "b", "c"], "row": rows})}, {"note": "x"})


def written(folder, items) -> Store:
    writer = StoreWriter(folder, PARAMETERS, len(items), "inputs")
    write_chunk(writer, 0, items[:3])
    write_chunk(writer, 3, items[3:])
    finish(writer)
    return Store.open(folder)


def test_an_unfinished_folder_is_no_store(tmp_path, items) -> None:
    with pytest.raises(StoreError, match="no finished store"):
        Store.open(tmp_path)
    writer = StoreWriter(tmp_path, PARAMETERS, len(items), "inputs")
    write_chunk(writer, 0, items[:3])
    writer.close()
    with pytest.raises(StoreError, match="no finished store"):
        Store.open(tmp_path)


def test_a_pixel_file_of_the_wrong_length_is_refused(tmp_path, items) -> None:
    written(tmp_path, items)
    with (tmp_path / "store.u8").open("ab") as file:
        file.write(b"x")
    with pytest.raises(StoreError, match="does not have the recorded size"):
        Store.open(tmp_path)
    (tmp_path / "store.u8").unlink()
    with pytest.raises(StoreError, match="no file"):
        Store.open(tmp_path)


def test_facts_that_are_damaged_or_of_another_algorithm_are_refused(tmp_path, items) -> None:
    written(tmp_path, items)
    facts = json.loads((tmp_path / "prepared.json").read_text())
    (tmp_path / "prepared.json").write_text(json.dumps(facts | {"preprocessing_sha256": "0" * 64}))
    with pytest.raises(StoreError, match="another version of the algorithm"):
        Store.open(tmp_path)
    (tmp_path / "prepared.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        Store.open(tmp_path)


def test_a_chunk_gives_cutouts_and_names_the_files_that_give_none(items) -> None:
    cutouts, rejects = cutouts_of_chunk(items, PARAMETERS)
    assert cutouts.shape == (5, 72, 72, 3)
    assert [(r.key, r.code) for r in rejects] == [("empty", "empty"), ("cut", "truncated")]
    assert (cutouts[[1, 3]] == 0).all()
    np.testing.assert_array_equal(cutouts[4], stored_cutout(items[4][1], PARAMETERS))


def test_a_file_of_another_size_than_declared_is_rejected(galaxy) -> None:
    items = [(name, galaxy(name)) for name in ("gz2_103169.jpg", "gz2_103169_296of424.jpg", "gz2_103169_423.jpg")]
    _, rejects = cutouts_of_chunk(items, PARAMETERS, frame_px=424, stored_px=296)
    assert [(r.key, r.code) for r in rejects] == [("gz2_103169_423.jpg", "wrong_size")]


def test_what_is_stored_is_what_scoring_sees(tmp_path, items) -> None:
    store = written(tmp_path, items)
    assert (len(store), store.side_px, store.parameters, store.facts["note"]) == (3, 72, PARAMETERS, "x")
    expected = np.stack([cutout(items[place][1], PARAMETERS) for place in (0, 2, 4)])
    np.testing.assert_array_equal(store.central(slice(None)), expected)
    np.testing.assert_array_equal(store.central([2, 0]), expected[[2, 0]])
    np.testing.assert_array_equal(store.cutouts(np.array([1]))[0], stored_cutout(items[2][1], PARAMETERS))


def test_what_is_read_can_be_changed_without_changing_the_store(tmp_path, items) -> None:
    store = written(tmp_path, items)
    store.cutouts([0])[:] = 0
    assert store.cutouts([0]).any()


def test_a_stopped_writer_goes_on_after_its_last_whole_chunk(tmp_path, items) -> None:
    writer = StoreWriter(tmp_path, PARAMETERS, len(items), "inputs")
    write_chunk(writer, 0, items[:3])
    writer.close()
    journal = tmp_path / "journal.jsonl"
    journal.write_text(journal.read_text() + '{"first": 3, "sha256": ["ab')  # killed while writing a line
    again = StoreWriter(tmp_path, PARAMETERS, len(items), "inputs")
    assert sorted(again.done) == [0]
    write_chunk(again, 3, items[3:])
    finish(again)
    np.testing.assert_array_equal(Store.open(tmp_path).central([0])[0], cutout(items[0][1], PARAMETERS))


@pytest.mark.parametrize("change", ["inputs", "places", "no pixels"])
def test_the_journal_of_other_inputs_is_not_resumed(tmp_path, items, change: str) -> None:
    writer = StoreWriter(tmp_path, PARAMETERS, len(items), "inputs")
    write_chunk(writer, 0, items[:3])
    writer.close()
    if change == "no pixels":
        (tmp_path / "store.u8.partial").unlink()
    sha256, places = ("other" if change == "inputs" else "inputs"), len(items) + (change == "places")
    writer = StoreWriter(tmp_path, PARAMETERS, places, sha256)
    writer.close()
    assert writer.done == {}


def test_a_finished_store_stays_until_the_new_one_is_whole(tmp_path, items) -> None:
    store = written(tmp_path, items)
    before = store.cutouts([0])
    writer = StoreWriter(tmp_path, CutoutParameters(64), len(items), "new")
    write_chunk(writer, 0, items)
    writer.close()
    np.testing.assert_array_equal(Store.open(tmp_path).cutouts([0]), before)
    finish(writer := StoreWriter(tmp_path, CutoutParameters(64), len(items), "new"))
    assert Store.open(tmp_path).side_px == 92
    np.testing.assert_array_equal(store.cutouts([0]), before)  # an open store keeps its pixels


def test_an_empty_store_can_be_opened(tmp_path) -> None:
    writer = StoreWriter(tmp_path, PARAMETERS, 0, "nothing")
    writer.finish({"index.parquet": pa.table({"row": pa.array([], pa.int64())})}, {})
    assert Store.open(tmp_path).cutouts(slice(None)).shape == (0, 72, 72, 3)
