"""The thread that scores batch jobs: what goes wrong beside it costs the job at hand at most, never the thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from tiny_model import tiny_model

from galclass.config import Config
from galclass.database import Database
from galclass.database.jobs.queue import LOST_S, MAX_TRIES, JobQueue
from galclass.database.jobs.rows import JobImage
from galclass.database.jobs.submit import Jobs
from galclass.database.jobs.sweep import Sweeper
from galclass.database.schema import jobs as job_table
from galclass.database.types import now
from galclass.errors import DatabaseError, ModelError
from galclass.scoring import Scorer
from galclass.service.engine.models import LoadedModels
from galclass.service.engine.worker import JobWorker
from galclass.service.server.app import create_app


def queued(jobs: Jobs, galaxy: bytes) -> str:
    job = jobs.submit("galaxy-class", "1.0", "test", (), start=False)
    jobs.add(job.id, [JobImage("a", galaxy)])
    return jobs.start(job.id).id


def worker_of(database: Database, scorer_of: Callable[[str, str], Scorer]) -> JobWorker:
    return JobWorker(JobQueue(database), Sweeper(database), scorer_of)


@contextmanager
def working(database: Database, scorer_of: Callable[[str, str], Scorer]) -> Iterator[JobWorker]:
    worker = worker_of(database, scorer_of)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def wait_for(jobs: Jobs, job_id: str, state: str) -> str | None:
    until = time.monotonic() + 10
    while (job := jobs.get(job_id)).state != state:
        assert time.monotonic() < until, job
        time.sleep(0.02)
    return job.error


class Failing(Scorer):
    """A scorer that raises what it is told to."""

    def __init__(self, error: Exception) -> None:
        super().__init__(tiny_model(0))
        self.error = error

    def score(self, *_: object, **__: object):
        raise self.error


def test_a_job_waits_while_the_database_is_away(database: Database, galaxy: bytes) -> None:
    jobs, away = Jobs(database, 7), [True]

    def scorer_of(*_: str) -> Scorer:
        if away[0]:
            raise DatabaseError("connection refused")
        return Scorer(tiny_model(0))

    job_id = queued(jobs, galaxy)
    worker = worker_of(database, scorer_of)
    with pytest.raises(DatabaseError):
        worker.work_once()
    assert jobs.get(job_id).state == "running"
    away[0] = False
    assert worker.work_once()  # at once, not when the claim is old
    assert (jobs.get(job_id).state, jobs.get(job_id).done) == ("done", 1)


def test_a_model_that_fails_while_it_scores_fails_its_job(database: Database, galaxy: bytes) -> None:
    jobs = Jobs(database, 7)
    job_id = queued(jobs, galaxy)
    worker = worker_of(database, lambda *_: Failing(ModelError("its graph fails", got="a path of the server")))
    assert worker.work_once()
    assert (jobs.get(job_id).state, jobs.get(job_id).error) == ("failed", "its graph fails")
    assert [worker.work_once() for _ in range(5)][-1] is False  # its image is freed, and nothing is left to do


def test_what_nobody_expected_fails_its_job_and_the_next_one_is_scored(
    database: Database, galaxy: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = Jobs(database, 7)
    first, second = queued(jobs, galaxy), queued(jobs, galaxy)
    scorers = iter([Failing(MemoryError("secret detail")), Scorer(tiny_model(0))])
    with caplog.at_level(logging.ERROR, "galclass.service"), working(database, lambda *_: next(scorers)):
        error = wait_for(jobs, first, "failed")
        wait_for(jobs, second, "done")
    assert error == "the server failed on this job; its log has the reason"
    assert "secret detail" in caplog.text


def test_the_thread_outlives_a_look_for_jobs_that_fails(
    database: Database, galaxy: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, tried = Jobs(database, 7), []
    claim = JobQueue.claim

    def breaks_once(self: JobQueue):
        tried.append(1)
        if len(tried) == 1:
            raise RuntimeError("claim")
        return claim(self)

    monkeypatch.setattr(JobQueue, "claim", breaks_once)
    with working(database, lambda *_: Scorer(tiny_model(0))):
        wait_for(jobs, queued(jobs, galaxy), "done")


def test_a_damaged_model_fails_a_job_of_the_server(config: Config, database: Database, galaxy: bytes, monkeypatch):
    job_id = queued(Jobs(database, 7), galaxy)
    broken = ModelError("not an ONNX model")

    def refuse(*_: object) -> Scorer:
        raise broken

    monkeypatch.setattr(LoadedModels, "get", refuse)
    with TestClient(create_app(config)):
        assert wait_for(Jobs(database, 7), job_id, "failed") == "not an ONNX model"


class Slow(Scorer):
    """A scorer whose decoding hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__(tiny_model(0))
        self.began, self.go_on = threading.Event(), threading.Event()

    def score(self, *arguments, **options):
        self.began.set()
        assert self.go_on.wait(30)
        return super().score(*arguments, **options)


def test_a_server_stops_beside_a_slow_decode_and_its_job_is_free_at_once(
    database: Database, galaxy: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    jobs, slow = Jobs(database, 7), Slow()
    job_id = queued(jobs, galaxy)
    hanging = worker_of(database, lambda *_: slow)
    hanging.start()
    assert slow.began.wait(10)
    began = time.monotonic()
    assert not hanging.stop(timeout_s=0.1)
    assert time.monotonic() - began < 5
    assert worker_of(database, lambda *_: Scorer(tiny_model(0))).work_once()
    assert jobs.get(job_id).state == "done"
    before = jobs.results(job_id, -1, 1)
    slow.go_on.set()  # what it says now is too late
    hanging._threads[0].join(10)
    assert not hanging._threads[0].is_alive()
    assert jobs.results(job_id, -1, 1) == before
    assert "did not end in time" in caplog.text


def test_signs_of_life_do_not_wait_for_the_work_but_end_where_it_hangs(
    database: Database, galaxy: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, slow, later = Jobs(database, 7), Slow(), [0.0]
    other = JobQueue(database, lambda: now() + timedelta(seconds=later[0]))
    queued(jobs, galaxy)
    worker = JobWorker(JobQueue(database), Sweeper(database), lambda *_: slow, other)
    thread = threading.Thread(target=worker.work_once)
    thread.start()
    assert slow.began.wait(10)
    later[0] = 2 * LOST_S
    worker.beat_once()
    assert other.claim() is None
    monkeypatch.setattr("galclass.service.engine.worker.HUNG_S", 0.0)
    worker.beat_once()
    later[0] += 2 * LOST_S
    assert other.claim() is not None
    slow.go_on.set()
    thread.join(10)
    assert jobs.results(jobs_id(database), -1, 1)[1] == []


def jobs_id(database: Database) -> str:
    with database.read() as connection:
        return connection.scalar(select(job_table.c.id))


def test_an_image_on_which_workers_were_lost_gets_the_reason(database: Database, galaxy: bytes) -> None:
    jobs = Jobs(database, 7)
    job_id = queued(jobs, galaxy)
    queue = JobQueue(database)
    for _ in range(MAX_TRIES):
        queue.release(queue.claim(), lost=True)
    assert worker_of(database, lambda *_: Slow()).work_once()  # it does not get to score
    ((_, record),) = jobs.results(job_id, -1, 1)[1]
    assert record["error"]["code"] == "worker_lost"
    assert jobs.get(job_id).state == "done"
