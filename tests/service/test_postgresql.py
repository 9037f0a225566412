"""Batch jobs and services with PostgreSQL as the database: the deployment's, beside the SQLite of the other tests."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from tiny_model import tiny_model

from galclass.config import Config, load_config
from galclass.database import Registry, Services, open_database
from galclass.service import create_app
from galclass.service.inputs import ImageInput
from galclass.service.jobs import Jobs

URL = "/v1/services/galaxy-class/latest/batches"


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """A configuration whose database is a PostgreSQL server of the test's own."""
    from database.cluster import Cluster, postgresql_programs

    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: make test-deps")
    server = Cluster(programs)
    folder = tmp_path_factory.mktemp("workspace")
    config = load_config(None, {"workspace": str(folder), "database": server.create_database("service")})
    with open_database(config.database_url, migrate=True) as database:
        Registry(database).register(tiny_model(0))
        Services(database).publish("galaxy-class", "1.0", "galaxy", 1)
    yield config
    server.remove()


def zipped(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


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
        jobs = Jobs(database, 7)
        made = [jobs.create("galaxy-class", "1.0", "test").id for _ in range(20)]
        for job_id in made:
            jobs.add(job_id, [ImageInput("a", galaxy)])
            jobs.start(job_id)
        with ThreadPoolExecutor(5) as pool:
            claimed = [job.id for job in pool.map(lambda _: jobs.claim(), range(25)) if job is not None]
    assert sorted(claimed) == sorted(made)
