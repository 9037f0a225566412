"""The thread that scores batch jobs: what goes wrong beside it costs the job at hand at most, never the thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from tiny_model import tiny_model

from galclass.config import Config
from galclass.database import Database
from galclass.database.schema import jobs as job_table
from galclass.database.types import now
from galclass.errors import DatabaseError, ModelError
from galclass.scoring import Scorer
from galclass.service import create_app
from galclass.service.inputs import ImageInput
from galclass.service.jobs import LOST_S, Jobs
from galclass.service.models import LoadedModels
from galclass.service.worker import JobWorker


def queued(jobs: Jobs, galaxy: bytes) -> str:
    job = jobs.create("galaxy-class", "1.0", "test")
    jobs.add(job.id, [ImageInput("a", galaxy)])
    return jobs.start(job.id).id


@contextmanager
def working(jobs: Jobs, scorer_of: Callable[[str, str], Scorer]) -> Iterator[JobWorker]:
    worker = JobWorker(jobs, scorer_of)
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
    worker = JobWorker(jobs, scorer_of)
    with pytest.raises(DatabaseError):
        worker.work_once()
    assert jobs.get(job_id).state == "running"
    away[0] = False
    with database.write() as connection:
        connection.execute(update(job_table).values(updated_at=now() - timedelta(seconds=2 * LOST_S)))
    assert worker.work_once()
    assert (jobs.get(job_id).state, jobs.get(job_id).done) == ("done", 1)


def test_a_model_that_fails_while_it_scores_fails_its_job(database: Database, galaxy: bytes) -> None:
    jobs = Jobs(database, 7)
    job_id = queued(jobs, galaxy)
    worker = JobWorker(jobs, lambda *_: Failing(ModelError("its graph fails", got="a path of the server")))
    assert worker.work_once()
    assert (jobs.get(job_id).state, jobs.get(job_id).error) == ("failed", "its graph fails")
    assert not worker.work_once()


def test_what_nobody_expected_fails_its_job_and_the_next_one_is_scored(
    database: Database, galaxy: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = Jobs(database, 7)
    first, second = queued(jobs, galaxy), queued(jobs, galaxy)
    scorers = iter([Failing(MemoryError("secret detail")), Scorer(tiny_model(0))])
    with caplog.at_level(logging.ERROR, "galclass.service"), working(jobs, lambda *_: next(scorers)):
        error = wait_for(jobs, first, "failed")
        wait_for(jobs, second, "done")
    assert error == "the server failed on this job; its log has the reason"
    assert "secret detail" in caplog.text


def test_the_thread_outlives_a_look_for_jobs_that_fails(
    database: Database, galaxy: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, tried = Jobs(database, 7), []
    claim = Jobs.claim

    def breaks_once(self: Jobs):
        tried.append(1)
        if len(tried) == 1:
            raise RuntimeError("claim")
        return claim(self)

    monkeypatch.setattr(Jobs, "claim", breaks_once)
    with working(jobs, lambda *_: Scorer(tiny_model(0))):
        wait_for(jobs, queued(jobs, galaxy), "done")


def test_a_damaged_model_fails_a_job_of_the_server(config: Config, database: Database, galaxy: bytes, monkeypatch):
    job_id = queued(Jobs(database, 7), galaxy)
    broken = ModelError("not an ONNX model")

    def refuse(*_: object) -> Scorer:
        raise broken

    monkeypatch.setattr(LoadedModels, "get", refuse)
    with TestClient(create_app(config)):
        assert wait_for(Jobs(database, 7), job_id, "failed") == "not an ONNX model"
