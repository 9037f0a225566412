"""Batch jobs and services with PostgreSQL as the database: the deployment's, beside the SQLite of the other tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient
from service.zips import zipped
from tiny_model import tiny_model

from galclass.config import Config, load_config
from galclass.database import Registry, Services, open_database
from galclass.database.jobs import queue as queue_module
from galclass.database.jobs.queue import JobQueue
from galclass.database.jobs.rows import Job, JobImage
from galclass.database.jobs.submit import Jobs
from galclass.database.types import now
from galclass.service.server.app import create_app

URL = "/v1/services/galaxy-class/latest/batches"


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory, cluster: Any) -> Config:
    """A configuration whose database is in the tests' PostgreSQL server."""
    folder = tmp_path_factory.mktemp("workspace")
    config = load_config(None, {"workspace": str(folder), "database": cluster.create_database("service")})
    with open_database(config.database_url, migrate=True) as database:
        Registry(database).register(tiny_model(0))
        Services(database).publish("galaxy-class", "1.0", "galaxy", 1)
    return config


def state_of(client: TestClient, job_id: str, *, until: set[str]) -> dict:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        job = client.get(f"/v1/jobs/{job_id}").json()
        if job["state"] in until:
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def test_a_batch_is_answered_image_by_image(postgresql: Config, galaxies: dict[str, bytes]) -> None:
    with TestClient(create_app(postgresql)) as client:
        files = {f"{key}.jpg": data for key, data in galaxies.items()} | {"bad.jpg": b"no image"}
        job = client.post(URL, content=zipped(files), headers={"Content-Type": "application/zip"})
        assert job.status_code == 202, job.text
        assert state_of(client, job.json()["id"], until={"done"})["done"] == 11
        records = client.get(f"/v1/jobs/{job.json()['id']}/results").json()["predictions"]
        assert {record["object_id"] for record in records} == {*galaxies, "bad"}
        assert sum("error" in record for record in records) == 1


def test_a_batch_survives_a_restart_of_the_server(postgresql: Config, galaxies: dict[str, bytes]) -> None:
    with TestClient(create_app(postgresql)) as client:
        files = {f"{number}.jpg": next(iter(galaxies.values())) for number in range(300)}
        job = client.post(URL, content=zipped(files), headers={"Content-Type": "application/zip"}).json()
    with TestClient(create_app(postgresql)) as client:
        assert state_of(client, job["id"], until={"done"})["done"] == 300


def test_a_cancelled_batch_stays_cancelled(postgresql: Config, galaxies: dict[str, bytes]) -> None:
    with TestClient(create_app(postgresql)) as client:
        files = {f"{key}.jpg": data for key, data in galaxies.items()}
        headers = {"Content-Type": "application/zip"}
        job = client.post(f"{URL}?start=false", content=zipped(files), headers=headers).json()
        assert client.delete(f"/v1/jobs/{job['id']}").status_code in (200, 204)
        assert state_of(client, job["id"], until={"cancelled"})["done"] == 0


def test_each_of_many_jobs_goes_to_one_worker(postgresql: Config, galaxy: bytes) -> None:
    with open_database(postgresql.database_url) as database:
        jobs, queue = Jobs(database, 7), JobQueue(database)
        made = [jobs.submit("galaxy-class", "1.0", "test", (), start=False, client=str(n % 3)).id for n in range(20)]
        for job_id in made:
            jobs.add(job_id, [JobImage("a", galaxy)])
            jobs.start(job_id)
        with ThreadPoolExecutor(5) as pool:
            claims = pool.map(lambda _: queue.claim(), range(25))
            claimed = [claim.job.id for claim in claims if claim is not None]
    assert sorted(claimed) == sorted(made)


@pytest.fixture
def jobs(postgresql: Config) -> Iterator[Jobs]:
    with open_database(postgresql.database_url) as database:
        yield Jobs(database, 7)


@pytest.fixture
def queue(postgresql: Config) -> Iterator[JobQueue]:
    with open_database(postgresql.database_url) as database:
        yield JobQueue(database)


def test_a_worker_whose_machine_has_another_time_keeps_its_job(
    jobs: Jobs, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.submit("galaxy-class", "1.0", "test", [JobImage("a", b"x")])
    with monkeypatch.context() as patched:
        patched.setattr("galclass.database.jobs.queue.now", lambda: now() - timedelta(minutes=5))
        claim = queue.claim()
        assert claim is not None
        assert queue.beat(claim)
    assert queue.claim() is None


class Middle:
    """A point in the middle of a transaction where the first of two waits until the second waits for it.

    Parameters
    ----------
    locked : callable
        Whether a transaction waits for another.
    """

    def __init__(self, locked: Callable[[], bool]) -> None:
        self._locked = locked
        self._first: threading.Thread | None = None
        self._reached, self._other = threading.Event(), threading.Event()

    def reach(self, *_: object) -> None:
        """Wait, in the first transaction, until the other waits for a lock or is done."""
        if threading.current_thread() is not self._first:
            return
        self._reached.set()
        until = time.monotonic() + 60
        while not (self._other.is_set() or self._locked()):
            assert time.monotonic() < until
            time.sleep(0.01)

    def side_by_side(self, first: Callable[[], object], second: Callable[[], Job]) -> Job:
        """Begin the second while the first is in the middle of its transaction; give what the second gives."""
        self._first = threading.Thread(target=first)
        self._first.start()
        assert self._reached.wait(60)
        try:
            return second()
        finally:
            self._other.set()
            self._first.join()


@pytest.fixture
def middle(cluster: Any) -> Middle:
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = 'service' AND wait_event_type = 'Lock'"
    return Middle(lambda: bool(cluster.execute(waits)))


@pytest.fixture
def slow_adding(monkeypatch: pytest.MonkeyPatch, middle: Middle) -> None:
    """An addition that stops between reading its job and writing its images."""
    monkeypatch.setattr("galclass.database.jobs.submit._check_stored", middle.reach)


@pytest.mark.usefixtures("slow_adding")
def test_two_additions_at_one_time_keep_the_images_of_both(jobs: Jobs, queue: JobQueue, middle: Middle) -> None:
    job = jobs.submit("galaxy-class", "1.0", "test", (), start=False)
    add = [partial(jobs.add, job.id, [JobImage(name, b"x")]) for name in ("a", "b")]
    assert middle.side_by_side(*add).total == 2
    jobs.start(job.id)
    claim = queue.claim()
    assert claim is not None
    assert [item.object_id for item in queue.next_items(claim)] == ["a", "b"]
    jobs.cancel(job.id)


@pytest.mark.usefixtures("slow_adding")
def test_a_start_waits_for_the_addition_before_it(jobs: Jobs, middle: Middle) -> None:
    job = jobs.submit("galaxy-class", "1.0", "test", (), start=False)
    started = middle.side_by_side(lambda: jobs.add(job.id, [JobImage("a", b"x")]), lambda: jobs.start(job.id))
    assert (started.state, started.total) == ("queued", 1)
    jobs.cancel(job.id)


def test_a_cancelled_job_is_not_done_in_spite_of_it(
    jobs: Jobs, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, middle: Middle
) -> None:
    job = jobs.submit("galaxy-class", "1.0", "test", [JobImage("a", b"x")])
    claim = queue.claim()
    assert claim is not None
    assert claim.job.id == job.id
    plain = queue_module.set_values

    def slow(connection, job_id: str, **values: object) -> None:
        if values.get("state") == "done":
            middle.reach()
        plain(connection, job_id, **values)

    monkeypatch.setattr(queue_module, "set_values", slow)
    told = middle.side_by_side(lambda: queue.finish(claim), lambda: jobs.cancel(job.id))
    assert jobs.get(job.id).state == told.state


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/images/%00"),
        ("GET", "/v1/images/a%00b"),
        ("GET", "/v1/services?name=%00"),
        ("GET", "/v1/labels?object_id=%00"),
        ("GET", "/v1/jobs/%00"),
        ("POST", "/v1/services/galaxy-class/latest/batches?start=true"),
    ],
)
def test_a_nul_is_the_clients_fault(postgresql: Config, method: str, path: str) -> None:
    with TestClient(create_app(postgresql), raise_server_exceptions=False) as client:
        answer = client.request(method, path, json={"object_ids": ["a\0b"]} if method == "POST" else None)
    assert answer.status_code in (404, 422)
    assert "127.0.0.1" not in answer.text
