"""Stored embeddings: filled once, again for other bytes, without those that give no cutout; and what comes next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_model import tiny_model

from galclass.database import Database, Images, NewImage
from galclass.database.desk_labels import desk_labels, give_label, list_desks, take_back
from galclass.database.embeddings import Embeddings
from galclass.database.schema import images
from galclass.scoring import Prediction, Scorer
from galclass.scoring.choosing import DIFFERENT, LIKELY, Labelled, choose, standardised


def picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    return bytes(cv2.imencode(".png", rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))[1])


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(tiny_model(0))


def test_embeddings_are_those_of_the_scorer_and_computed_once(database: Database, scorer: Scorer) -> None:
    pictures = {f"g{n}": picture(n) for n in range(5)}
    Images(database).add([*(NewImage(key, data) for key, data in pictures.items()), NewImage("bad", b"no image")])
    store = Embeddings(database)
    assert store.progress(scorer.sha256).done == 0
    assert (store.fill(scorer), store.fill(scorer)) == (6, 0)
    progress = store.progress(scorer.sha256)
    assert (progress.total, progress.done, progress.failed, progress.complete) == (6, 6, 1, True)
    pool = store.pool(scorer.sha256)
    assert pool.object_ids == tuple(pictures)
    expected = np.stack([one.embedding for one in scorer.score(list(pictures.values())) if one.embedding is not None])
    assert pool.vectors.dtype == np.float32
    np.testing.assert_array_equal(pool.vectors, expected)
    assert store.pool("of another model").vectors.shape == (0, 1)


class Meanwhile:
    """A scorer during whose work somebody changes an image."""

    def __init__(self, scorer: Scorer, change: Callable[[], None]) -> None:
        self.sha256, self._scorer, self._change = scorer.sha256, scorer, change

    def score(self, images: list[bytes | None], **keywords: Any) -> list[Prediction]:
        self._change()
        return self._scorer.score(images, **keywords)


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("new", [{"frame_px": 424}, {"img": picture(9)}, {"img": None}], ids=["frame", "bytes", "none"])
def test_an_image_that_changes_while_it_is_embedded_is_embedded_again(
    database: Database, scorer: Scorer, new: dict[str, Any], hashed: bool
) -> None:
    Images(database).add(NewImage(f"g{n}", picture(n)) for n in range(3))

    def change() -> None:
        with database.write() as connection:
            connection.execute(images.update().where(images.c.object_id == "g1").values(**new))

    if not hashed:
        with database.write() as connection:
            connection.execute(images.update().values(sha256=None))
    store = Embeddings(database)
    assert store.fill(Meanwhile(scorer, change)) == 2
    assert store.pool(scorer.sha256).object_ids == ("g0", "g2")
    assert store.fill(scorer) == (0 if new == {"img": None} else 1)


def test_other_bytes_are_computed_again_and_deleted_images_leave_the_pool(database: Database, scorer: Scorer) -> None:
    Images(database).add(NewImage(f"g{n}", picture(n)) for n in range(3))
    store = Embeddings(database)
    store.fill(scorer)
    before = store.pool(scorer.sha256).vectors
    with database.write() as connection:
        connection.execute(images.update().where(images.c.object_id == "g1").values(img=picture(9), sha256="new"))
        connection.execute(images.delete().where(images.c.object_id == "g2"))
    assert store.pool(scorer.sha256).object_ids == ("g0",)
    assert store.fill(scorer) == 1
    after = store.pool(scorer.sha256)
    assert after.object_ids == ("g0", "g1")
    assert not np.array_equal(after.vectors[1], before[1])


def test_filling_stops_between_chunks(database: Database, scorer: Scorer) -> None:
    Images(database).add(NewImage(f"g{n:03}", picture(0)) for n in range(70))
    done: list[int] = []
    assert Embeddings(database).fill(scorer, stopped=lambda: bool(done), advance=done.append) == 64
    assert Embeddings(database).fill(scorer) == 6


def test_labels_of_desks_are_kept_apart(database: Database) -> None:
    Images(database).add([NewImage("a", picture(0))])
    give_label(database, "rings", "a", "ring", "ann", "bright")
    give_label(database, "bars", "a", None, "ann")
    give_label(database, "galaxy-zoo", "a", "Sb", "bob")
    found = {one.name: (one.counts, one.people) for one in list_desks(database)}
    assert found == {"rings": ({"ring": 1}, ["ann"]), "bars": ({}, ["ann"]), "galaxy-zoo": ({"Sb": 1}, ["bob"])}
    assert desk_labels(database, "rings")[0].note == "bright"
    assert not take_back(database, "rings", "a", "bob")
    assert take_back(database, "rings", "a", "ann")
    assert {one.name for one in list_desks(database)} == {"bars", "galaxy-zoo"}


def blobs() -> Any:
    """Two clusters, forty of one and four of the other."""
    rng = np.random.default_rng(0)
    return standardised(np.concatenate([rng.normal(0, 1, (40, 6)), rng.normal(6, 1, (4, 6))]).astype(np.float32))


def labelled(rows: list[int], codes: list[int]) -> Labelled:
    return Labelled(np.array(rows, dtype=np.int64), np.array(codes, dtype=np.int64))


def test_a_rare_cluster_is_found_without_a_label() -> None:
    first = choose(blobs(), labelled([], []), 0, 5)
    assert {one.reason for one in first} == {DIFFERENT}
    assert any(one.row >= 40 for one in first)


def test_those_alike_come_after_the_first_label() -> None:
    found = choose(blobs(), labelled([40, 0], [0, 1]), 0, 6)
    alike = [one.row for one in found if one.reason == LIKELY]
    assert alike == [row for row in alike if row > 40]
    assert len(alike) == 3


@pytest.mark.parametrize("count", [1, 7, 43, 100])
def test_nothing_comes_twice_nor_what_is_labelled(count: int) -> None:
    directions = blobs()
    for probabilities in (None, np.full((44, 2), 0.5, dtype=np.float32)):
        found = choose(directions, labelled([3], [1]), 0, count, probabilities=probabilities, left_out=[5])
        rows = [one.row for one in found]
        assert len(set(rows)) == len(rows) == min(count, 42)
        assert not {3, 5} & set(rows)


def test_an_empty_pool_has_nothing_to_choose() -> None:
    assert choose(standardised(np.zeros((0, 1), np.float32)), labelled([], []), 0, 5) == []


def test_pictures_all_alike_still_all_come() -> None:
    found = choose(standardised(np.ones((9, 4), np.float32)), labelled([0], [0]), 0, 20)
    assert len(found) == 8
