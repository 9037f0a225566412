from __future__ import annotations

import json
import re
import threading
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, select, text
from tiny_model import tiny_model

from galclass.database import Database, Images, NewImage, Registry, score_pending
from galclass.database.queue import ScoreQueue, insert_predictions
from galclass.database.schema import images, predictions, score_queue
from galclass.database.types import now
from galclass.errors import RegistryError
from galclass.morphology import CLASSES


def rows(database: Database) -> list[object]:
    with database.read() as connection:
        return list(connection.execute(select(predictions).order_by(predictions.c.object_id)))


def test_without_a_model_nothing_is_scored(database: Database) -> None:
    with pytest.raises(RegistryError, match="register a model first"):
        score_pending(database)


def test_every_image_gets_the_scorers_answer(filled: Database, galaxies: dict[str, bytes]) -> None:
    summary = score_pending(filled)
    assert (summary.scored, summary.rejected) == (70, 0)
    answers = Registry(filled).get("galaxy").scorer().score(list(galaxies.values()), object_ids=list(galaxies))
    expected = {answer.object_id: answer for answer in answers}
    for row in rows(filled):
        answer = expected[row.object_id]
        assert (row.predicted_class, row.predicted_group) == (answer.predicted_class, answer.predicted_group)
        np.testing.assert_allclose([row.probabilities[leaf] for leaf in CLASSES], answer.probabilities, atol=1e-5)
        assert (row.model_name, row.model_version, row.error) == ("galaxy", 1, None)


def test_a_second_run_does_nothing(filled: Database) -> None:
    score_pending(filled)
    before = rows(filled)
    summary = score_pending(filled)
    assert summary.scored == 0
    assert "nothing to do" in str(summary)
    assert rows(filled) == before


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # SQLite locks no rows
def test_what_is_taken_off_the_queue_is_looked_up_once(filled: Database) -> None:
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if "DELETE FROM galaxy_score_queue" in statement and "SKIP LOCKED" in statement:
            cursor.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")  # the unlucky plan
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            plans.append(json.dumps(cursor.fetchone()[0]))

    with filled.read() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", explain)
    score_pending(filled)
    with filled.write() as connection:
        keys = connection.scalars(select(images.c.object_id)).all()
        own = {"model_name": "galaxy", "model_version": 1}
        connection.execute(score_queue.insert(), [{**own, "object_id": key} for key in keys])
    score_pending(filled)
    event.remove(engine, "before_cursor_execute", explain)
    assert plans
    for plan in plans:
        locks = re.findall(r'"Node Type": "LockRows".*?"Actual Loops": (\d+)', plan)
        assert locks == ["1"], plan


def test_what_was_scored_past_the_queue_is_taken_off_it(filled: Database) -> None:
    everything = score_pending(filled).scored
    with filled.write() as connection:
        values = {"model_name": "galaxy", "model_version": 1}
        keys = connection.scalars(select(images.c.object_id).order_by(images.c.object_id)).all()
        connection.execute(score_queue.insert(), [{**values, "object_id": key} for key in keys])
        held = {"claimed_by": "elsewhere:1:x", "claimed_until": now() + timedelta(minutes=1)}
        connection.execute(score_queue.update().where(score_queue.c.object_id == keys[0]).values(**held))
    assert everything == len(keys)
    assert score_pending(filled).scored == 0
    with filled.read() as connection:
        assert connection.scalars(select(score_queue.c.object_id)).all() == [keys[0]]  # its worker takes it off


def test_a_bad_image_keeps_its_reason_and_stops_nothing(filled: Database, galaxies: dict[str, bytes]) -> None:
    good = next(iter(galaxies.values()))
    bad = {"broken": b"no image", "half": good[: len(good) // 2], "empty": b""}
    Images(filled).add(NewImage(key, data) for key, data in bad.items())
    summary = score_pending(filled)
    assert (summary.scored, summary.rejected) == (73, 3)
    errors = {row.object_id: row.error for row in rows(filled) if row.error}
    assert set(errors) == set(bad)
    assert errors["empty"].startswith("empty: ")


def test_a_new_version_scores_everything_again(filled: Database) -> None:
    score_pending(filled)
    Registry(filled).register(tiny_model(5))
    assert score_pending(filled).scored == 70
    assert score_pending(filled, "galaxy@1").scored == 0
    assert {row.model_version for row in rows(filled)} == {1, 2}


def test_a_model_replaced_while_scoring_takes_effect_at_the_next_chunk(filled: Database) -> None:
    calls = 0

    def replace_after_two() -> bool:
        nonlocal calls
        calls += 1
        if calls == 3:
            Registry(filled).register(tiny_model(6))
        return False

    summary = score_pending(filled, chunk=10, stopped=replace_after_two)
    assert "score: 90 images (20 with galaxy@1, 70 with galaxy@2), 0 rejected" in str(summary)
    versions = [row.model_version for row in rows(filled)]
    assert versions.count(1) == 20
    assert versions.count(2) == 70


def test_a_stopped_run_goes_on_where_it_stopped(filled: Database) -> None:
    chunks = iter([False, False, True])
    assert score_pending(filled, chunk=10, stopped=lambda: next(chunks)).scored == 20
    assert score_pending(filled).scored == 50
    assert len(rows(filled)) == 70


def test_several_workers_share_the_work_and_score_nothing_twice(filled: Database) -> None:
    summaries = []
    workers = [threading.Thread(target=lambda: summaries.append(score_pending(filled, chunk=5))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(rows(filled)) == 70
    assert sum(summary.scored for summary in summaries) == 70


def test_claims_of_a_living_worker_are_respected_and_lapse(filled: Database) -> None:
    model = Registry(filled).resolve("galaxy").model
    mine, other = ScoreQueue(filled, model), ScoreQueue(filled, model)
    mine.fill()
    held = mine.claim(50)
    assert set(held).isdisjoint(other.claim(50))
    assert other.claim(50) == []
    with filled.write() as connection:
        connection.execute(score_queue.update().values(claimed_until=now() - timedelta(seconds=1)))
    assert len(other.claim(100)) == 70


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_claims_go_by_the_clock_of_the_server(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Registry(filled).resolve("galaxy").model
    slow, other = ScoreQueue(filled, model), ScoreQueue(filled, model)
    with monkeypatch.context() as patched:
        patched.setattr("galclass.database.queue.now", lambda: now() - timedelta(minutes=5))
        held = slow.claim(50)
    assert set(held).isdisjoint(other.claim(70))
    assert other.count_claimed() == 70


def test_claims_of_a_dead_process_are_given_back_at_once(filled: Database) -> None:
    queue = ScoreQueue(filled, Registry(filled).resolve("galaxy").model)
    queue.fill()
    queue.worker = f"{queue._host}:999999999:dead"
    queue.claim(64)
    assert score_pending(filled).scored == 70


def test_an_image_deleted_while_it_waits_is_passed_over(filled: Database) -> None:
    with filled.write() as connection:
        connection.execute(text("DELETE FROM galaxy_images WHERE object_id < '2'"))
        left = connection.scalar(text("SELECT count(*) FROM galaxy_images"))
    assert score_pending(filled).scored == left
    with filled.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM galaxy_score_queue")) == 0


def test_new_images_wait_without_anyone_looking_for_them(filled: Database) -> None:
    score_pending(filled)
    Images(filled).add([NewImage("later", b"x")])
    with filled.read() as connection:
        assert connection.execute(select(score_queue.c.object_id)).scalars().all() == ["later"]


def test_a_watching_worker_scores_what_arrives(filled: Database, galaxies: dict[str, bytes]) -> None:
    stop = threading.Event()
    worker = threading.Thread(target=score_pending, args=(filled,), kwargs={"watch": True, "stopped": stop.is_set})
    worker.start()
    try:
        Images(filled).add([NewImage("late", next(iter(galaxies.values())))])
        for _ in range(100):
            if len(rows(filled)) == 71:
                break
            stop.wait(0.1)
    finally:
        stop.set()
        worker.join()
    assert len(rows(filled)) == 71


def test_a_prediction_survives_the_same_chunk_written_twice(filled: Database, galaxies: dict[str, bytes]) -> None:
    record = Registry(filled).get("galaxy")
    answers = record.scorer().score(list(galaxies.values()), object_ids=list(galaxies))
    for _ in range(2):
        with filled.write() as connection:
            insert_predictions(connection, answers)
    queue = ScoreQueue(filled, record.model)
    claimed = queue.claim(100)
    assert len(queue.finish(claimed, answers)) == 70
    assert queue.finish(claimed, answers) == []
    assert len(rows(filled)) == 70


def test_images_that_another_worker_has_claimed_are_not_called_done(filled: Database) -> None:
    model = Registry(filled).resolve("galaxy").model
    other = ScoreQueue(filled, model)
    assert len(other.claim(10)) == 10
    summary = score_pending(filled)
    assert (summary.scored, summary.claimed) == (60, 10)
    assert "10 images are left to another worker" in str(summary)
    again = str(score_pending(filled))
    assert "every image has a prediction" not in again
    assert "10 images are left to another worker" in again
    other.release()
    done = score_pending(filled)
    assert (done.scored, done.claimed) == (10, 0)
    assert "left to another" not in str(done)
    assert "every image has a prediction" in str(score_pending(filled))
