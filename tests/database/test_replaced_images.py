"""Images that take the place of others: what was predicted of the former ones goes, whoever replaces them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from interrupts import wait_until
from sqlalchemy import select, text
from tiny_model import tiny_model

from galclass.database import Database, Images, NewImage, Registry, score_pending
from galclass.database.embeddings import Embeddings
from galclass.database.queue import ScoreQueue
from galclass.database.schema import embeddings, images, predictions, score_queue
from galclass.errors import DatabaseError
from galclass.scoring import Scorer


def predicted(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.scalars(select(predictions.c.object_id)))


def change(database: Database, object_id: str, **values: object) -> None:
    with database.write() as connection:
        connection.execute(images.update().where(images.c.object_id == object_id).values(**values))


@pytest.fixture
def scored(filled: Database) -> Database:
    """Seventy images with predictions and embeddings."""
    score_pending(filled)
    Embeddings(filled).fill(Scorer(tiny_model()))
    return filled


@pytest.mark.parametrize("how", ["img", "frame_px", "deleted"])
def test_predictions_and_embeddings_of_a_replaced_image_are_made_again(
    scored: Database, galaxies: dict[str, bytes], how: str
) -> None:
    key, other = sorted(galaxies)[:2]
    new = {"img": galaxies[other]} if how == "img" else {"frame_px": 700}
    if how == "deleted":
        with scored.write() as connection:
            connection.execute(images.delete().where(images.c.object_id == key))
        assert len(predicted(scored)) == 70
        Images(scored).add([NewImage(key, galaxies[other])])
    else:
        change(scored, key, **new)
    assert predicted(scored) == set(galaxies) - {key}
    with scored.read() as connection:
        assert key not in set(connection.scalars(select(embeddings.c.object_id)))
        assert connection.scalars(select(score_queue.c.object_id)).all() == [key]
    assert score_pending(scored).scored == 1
    assert Embeddings(scored).fill(Scorer(tiny_model())) == 1
    with scored.read() as connection:
        found = dict(connection.execute(select(predictions.c.object_id, predictions.c.probabilities)).all())
    if how != "frame_px":
        assert found[key] == found[other]


def test_hashes_of_the_former_bytes_do_not_stay(scored: Database, galaxies: dict[str, bytes]) -> None:
    key, other, third = sorted(galaxies)[:3]
    change(scored, key, img=galaxies[other])
    change(scored, other, frame_px=700)
    change(scored, third, img=galaxies[key], sha256="given")
    with scored.read() as connection:
        hashes = dict(connection.execute(select(images.c.object_id, images.c.sha256)).all())
    assert (hashes[key], hashes[third]) == (None, "given")
    assert hashes[other] is not None
    assert Images(scored).add([NewImage(key, galaxies[other])]).already_there == 1


@pytest.mark.parametrize("values", [{"ra": 1.0, "dec": 2.0}, {"img": None}, {"uri": "moved.jpg"}])
def test_what_is_not_another_image_keeps_its_prediction(scored: Database, galaxies: dict, values: dict) -> None:
    key = min(galaxies)
    same = {**values, "frame_px": None} if "img" not in values else values
    change(scored, key, **same)
    assert key in predicted(scored)


def test_a_worker_does_not_write_what_it_predicted_of_the_former_image(
    filled: Database, galaxies: dict[str, bytes]
) -> None:
    scorer = Registry(filled).get("galaxy").scorer()
    queue = ScoreQueue(filled, scorer.model)
    ids = queue.claim(10)
    rows = queue.fetch(ids)
    found = scorer.score([img for _, img, _ in rows], object_ids=[key for key, _, _ in rows])
    change(filled, ids[0], img=galaxies[ids[1]])
    written = queue.finish(ids, found)
    assert [one.object_id for one in written] == ids[1:]
    assert predicted(filled) == set(ids[1:])
    assert score_pending(filled).scored == 61
    with filled.read() as connection:
        query = select(predictions.c.probabilities).where(predictions.c.object_id.in_(ids[:2]))
        first, second = connection.scalars(query)
    assert np.allclose(list(first.values()), list(second.values()))


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_role_without_rights_on_predictions_adds_images_and_replaces_none(
    filled: Database, galaxies: dict[str, bytes]
) -> None:
    score_pending(filled)
    key, other = sorted(galaxies)[:2]
    given = [
        "SELECT, INSERT, UPDATE ON galaxy_images",
        "INSERT ON galaxy_score_queue",
        "SELECT ON galaxy_model_aliases",
    ]

    def as_adder(query: str) -> None:
        with filled.write() as connection:
            connection.execute(text("SET LOCAL ROLE image_adder"))
            connection.execute(text(query), {"img": galaxies[other], "key": key})

    with filled.write() as connection:
        connection.execute(text("CREATE ROLE image_adder"))
        for rights in given:
            connection.execute(text(f"GRANT {rights} TO image_adder"))
    try:
        as_adder("INSERT INTO galaxy_images (object_id, img, added_at) VALUES ('new', :img, now())")
        with pytest.raises(DatabaseError, match="permission denied"):
            as_adder("UPDATE galaxy_images SET img = :img WHERE object_id = :key")
    finally:
        with filled.write() as connection:
            connection.execute(text("DROP OWNED BY image_adder"))
            connection.execute(text("DROP ROLE image_adder"))
    assert predicted(filled) == set(galaxies)
    assert score_pending(filled).scored == 1


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO galaxy_images (object_id, img, added_at) VALUES (:key, :img, :now) "
        "ON CONFLICT (object_id) DO UPDATE SET img = excluded.img",
        "INSERT OR REPLACE INTO galaxy_images (object_id, img, added_at) VALUES (:key, :img, :now)",
        *(f"UPDATE OR {policy} galaxy_images SET img = :img WHERE object_id = :key"
          for policy in ("FAIL", "ABORT", "ROLLBACK", "IGNORE", "REPLACE")),
        "INSERT OR FAIL INTO galaxy_images (object_id, img, added_at) VALUES ('deleted', :img, :now)",
    ],
)  # fmt: skip
def test_an_image_that_still_waits_may_be_replaced_in_each_way(filled: Database, query: str) -> None:
    key = "deleted" if "'deleted'" in query else min(waiting(filled))
    with filled.write() as connection:
        model = "SELECT name, version, 'deleted' FROM galaxy_model_aliases WHERE alias = 'production'"
        connection.execute(text(f"INSERT INTO galaxy_score_queue (model_name, model_version, object_id) {model}"))
        values = {"key": key, "img": b"other", "now": "2026-04-05T12:30:00.000000Z"}
        connection.execute(text(query), {name: values[name] for name in values if f":{name}" in query})
        assert connection.scalar(select(images.c.img).where(images.c.object_id == key)) == b"other"
    assert len(waiting(filled)) == 71
    assert key in waiting(filled)


def waiting(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(select(score_queue.c.object_id)))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_bytes_are_written_once_where_no_hash_is_of_the_former_ones(filled: Database) -> None:
    first, second = sorted(waiting(filled))[:2]
    change(filled, first, sha256=None, pixels_sha256=None)
    with filled.write() as connection:
        for key, new in ((first, {}), (second, {"sha256": "new", "pixels_sha256": "new"})):
            before = connection.scalar(text("SELECT total_changes()"))
            connection.execute(images.update().where(images.c.object_id == key).values(img=b"other", **new))
            assert connection.scalar(text("SELECT total_changes()")) == before + 1


def places(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return dict(connection.execute(text("SELECT object_id, ctid::text FROM galaxy_score_queue")).all())


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_change_of_many_images_keeps_workers_off_them_and_rewrites_claims_only(filled: Database) -> None:
    queue = ScoreQueue(filled, Registry(filled).get("galaxy").scorer().model)
    claimed = queue.claim(10)
    before = places(filled)
    with filled.write() as connection:
        connection.execute(text("UPDATE galaxy_images SET frame_px = 700 WHERE frame_px IS NULL"))
        assert queue.claim(70) == []
    after = places(filled)
    assert {key for key in before if before[key] != after[key]} == set(claimed)
    assert len(queue.claim(70)) == 70


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_worker_that_writes_locks_its_rows_in_the_order_of_their_ids(filled: Database) -> None:
    scorer = Registry(filled).get("galaxy").scorer()
    queue = ScoreQueue(filled, scorer.model)
    first, second = queue.claim(2)
    with filled.write() as connection:
        moved = "UPDATE galaxy_score_queue SET claimed_until = claimed_until WHERE object_id = :key"
        connection.execute(text(moved), {"key": first})
    assert places(filled)[first] > places(filled)[second]
    lock = text("SELECT 1 FROM galaxy_score_queue WHERE object_id = :key FOR UPDATE NOWAIT")
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with ThreadPoolExecutor(1) as pool:
        with filled.write() as connection:
            connection.execute(lock, {"key": first})
            done = pool.submit(queue.finish, [first, second], [])
            wait_until(lambda: connection.scalar(waits) == 1)
            connection.execute(lock, {"key": second})
        done.result()
    assert len(waiting(filled)) == 68


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_role_that_may_change_and_not_read_adds_images(filled: Database) -> None:
    tables = ("galaxy_predictions", "galaxy_embeddings", "galaxy_score_queue")
    with filled.write() as connection:
        connection.execute(text("CREATE ROLE image_writer"))
        connection.execute(text("GRANT INSERT ON galaxy_images TO image_writer"))
        connection.execute(text("GRANT SELECT ON galaxy_model_aliases TO image_writer"))
        for table in tables:
            connection.execute(text(f"GRANT INSERT, UPDATE, DELETE ON {table} TO image_writer"))
    try:
        with filled.write() as connection:
            connection.execute(text("SET LOCAL ROLE image_writer"))
            connection.execute(text("INSERT INTO galaxy_images (object_id, added_at) VALUES ('new', now())"))
    finally:
        with filled.write() as connection:
            connection.execute(text("DROP OWNED BY image_writer"))
            connection.execute(text("DROP ROLE image_writer"))
    assert "new" in waiting(filled)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_the_rights_that_are_documented_are_enough_to_replace_images(
    filled: Database, galaxies: dict[str, bytes]
) -> None:
    score_pending(filled)
    key = min(galaxies)
    with filled.write() as connection:
        connection.execute(text("CREATE ROLE image_replacer"))
        for rights in (
            "SELECT, UPDATE ON galaxy_images",
            "SELECT, DELETE ON galaxy_predictions, galaxy_embeddings",
            "SELECT, INSERT, UPDATE ON galaxy_score_queue",
            "SELECT ON galaxy_models, galaxy_model_aliases",
        ):
            connection.execute(text(f"GRANT {rights} TO image_replacer"))
    try:
        with filled.write() as connection:
            connection.execute(text("SET LOCAL ROLE image_replacer"))
            connection.execute(text("UPDATE galaxy_images SET frame_px = 700 WHERE object_id = :key"), {"key": key})
    finally:
        with filled.write() as connection:
            connection.execute(text("DROP OWNED BY image_replacer"))
            connection.execute(text("DROP ROLE image_replacer"))
    assert waiting(filled) == [key]
