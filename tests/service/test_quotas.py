"""What one client, and all together, may store: refused with a reason each, and never in the way of what is there."""

from __future__ import annotations

import os
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from service.zips import ZIP, zipped
from sqlalchemy import func, select
from tiny_model import tiny_model

from galclass.config import Config, load_config
from galclass.database import Database
from galclass.database.jobs.queue import JobQueue
from galclass.database.jobs.quotas import JobLimits
from galclass.database.jobs.rows import CHUNK, ITEM_BYTES, JobImage
from galclass.database.jobs.submit import Jobs
from galclass.database.schema import job_items
from galclass.database.schema import jobs as job_table
from galclass.errors import ConfigError, RequestError
from galclass.scoring import Scorer
from galclass.service.server.app import create_app

URL = "/v1/services/galaxy-class/latest/batches"


def refused(jobs: Jobs, client: str, count: int, size: int = 1000, **options: bool) -> str | None:
    """Submit images; return the code of the refusal."""
    try:
        jobs.submit("galaxy-class", "1.0", client, [JobImage("a", b"x" * size)] * count, **options)
    except RequestError as error:
        return error.code
    return None


def test_one_client_may_have_so_many_jobs_and_others_are_not_kept_out(either: Database) -> None:
    jobs = Jobs(either, 7, JobLimits(max_jobs=4, client_jobs=2))
    assert [refused(jobs, "a", 1) for _ in range(3)] == [None, None, "too_many_jobs"]
    assert refused(jobs, "a", 1, start=False) == "too_many_jobs"
    assert [refused(jobs, "b", 1) for _ in range(2)] == [None, None]
    assert refused(jobs, "c", 1) == "overloaded"
    assert refused(jobs, "c", 1, start=False) is None


def test_one_client_may_have_so_many_images_waiting_and_bytes_stored(either: Database) -> None:
    one = ITEM_BYTES + 1000
    jobs = Jobs(either, 7, JobLimits(client_images=10, client_bytes=12 * one, total_bytes=20 * one))
    assert refused(jobs, "a", 11) == "client_quota"
    assert refused(jobs, "a", 10) is None
    assert refused(jobs, "a", 1) == "client_quota"
    assert refused(jobs, "b", 2, 1000 + 6 * one) == "client_quota"  # few, but large
    assert refused(jobs, "b", 10) is None
    assert refused(jobs, "c", 1) == "storage_full"


def test_additions_count_as_well(either: Database) -> None:
    jobs = Jobs(either, 7, JobLimits(client_images=10))
    job_id = jobs.submit("galaxy-class", "1.0", "a", (), start=False).id
    jobs.add(job_id, [JobImage("a", b"x")] * 10)
    with pytest.raises(RequestError, match="waiting images") as caught:
        jobs.add(job_id, [JobImage("a", b"x")])
    assert caught.value.code == "client_quota"
    assert jobs.get(job_id).total == 10


def test_cancelling_gives_back_what_was_not_scored_and_deleting_the_rest(either: Database) -> None:
    one, few = ITEM_BYTES + 100_000, CHUNK * ITEM_BYTES
    jobs, queue = Jobs(either, 7, JobLimits(client_bytes=20 * one)), JobQueue(either)
    job_id = jobs.submit("galaxy-class", "1.0", "a", [JobImage("a", b"x" * 100_000)] * 20).id
    claim = queue.claim()
    queue.save(claim, queue.next_items(claim), Scorer(tiny_model(0)).score([b""] * CHUNK))
    assert refused(jobs, "a", 1, 20 * one) == "client_quota"
    assert refused(jobs, "a", 1, CHUNK * 100_000 - ITEM_BYTES + 1, start=False) == "client_quota"
    jobs.cancel(job_id)
    assert refused(jobs, "a", 1, 20 * one - few - ITEM_BYTES + 1) == "client_quota"
    second = jobs.submit("galaxy-class", "1.0", "a", [JobImage("a", b"x" * (20 * one - few - ITEM_BYTES))])
    jobs.delete(second.id)
    assert jobs.delete(job_id).state == "cancelled"
    assert refused(jobs, "a", 1, 20 * one - ITEM_BYTES) is None
    with pytest.raises(RequestError, match="unknown job"):
        jobs.get(job_id)


def test_above_every_limit_what_is_there_is_served_scored_cancelled_and_deleted(either: Database) -> None:
    job_id = Jobs(either, 7).submit("galaxy-class", "1.0", "a", [JobImage("a", b"x")] * 3).id
    full = Jobs(either, 7, JobLimits(client_bytes=0, total_bytes=0, min_free_bytes=1 << 60))
    assert refused(full, "a", 1) in ("storage_full", "client_quota")
    assert JobQueue(either).claim().job.id == job_id
    assert full.results(job_id, -1, 10)[0].total == 3
    assert full.cancel(job_id).state == "cancelled"
    assert full.delete(job_id).state == "cancelled"


@pytest.mark.parametrize("name", [field.name for field in fields(JobLimits)])
def test_a_limit_is_a_setting_with_the_same_default_and_no_nonsense(name: str) -> None:
    assert getattr(load_config(None).serve, name) == getattr(JobLimits(), name)
    with pytest.raises(ConfigError, match=name):
        load_config(None, {f"serve.{name}": -1})


def limited(config: Config, **limits: int) -> TestClient:
    return TestClient(create_app(replace(config, serve=replace(config.serve, **limits))))


@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        ({"client_jobs": 1}, 429, "too_many_jobs"),
        ({"client_images": 1}, 429, "client_quota"),
        ({"client_bytes": 100}, 429, "client_quota"),
        ({"total_bytes": 100}, 507, "storage_full"),
        ({"min_free_bytes": 1 << 60}, 507, "storage_full"),
    ],
)
def test_a_refusal_names_the_setting(config: Config, galaxy: bytes, limits, status: int, code: str) -> None:
    body = zipped({"a.jpg": galaxy, "b.jpg": galaxy}, zipfile.ZIP_DEFLATED)
    with limited(config, **limits) as client:
        if "client_jobs" in limits:
            assert client.post(URL, params={"start": False}, content=body, headers=ZIP).status_code == 202
        answer = client.post(URL, params={"start": False}, content=body, headers=ZIP)
        assert answer.status_code == status
        error = answer.json()["error"]
        assert error["code"] == code
        assert f"serve.{next(iter(limits))}" in error["message"]
        assert ("retry-after" in answer.headers) == (status == 429)
        assert client.get("/v1/services").status_code == 200


def test_below_its_floor_the_disk_takes_no_label_and_no_publication(config: Config, tokens, galaxies) -> None:
    with limited(config, min_free_bytes=1 << 60) as client:
        label = {"object_id": next(iter(galaxies)), "label": "Sb"}
        publication = {"name": "galaxy-class", "version": "2.0", "model": "galaxy@2"}
        for path, body in (("/v1/labels", label), ("/v1/services", publication)):
            assert client.post(path, json=body, headers=tokens["publisher"]).status_code == 507
        moved = client.put(
            "/v1/services/galaxy-class/aliases/stable", json={"version": "1.0"}, headers=tokens["publisher"]
        )
        assert moved.status_code == 507
        predicted = client.post(
            URL.replace("batches", "predict"),
            content=next(iter(galaxies.values())),
            headers={"Content-Type": "image/jpeg"},
        )
        assert predicted.status_code == 200


def test_what_no_decoder_takes_is_refused_without_being_stored(config: Config, galaxy: bytes) -> None:
    bad = {f"{n}.jpg": os.urandom(50_000) for n in range(5)}
    with limited(config) as client:
        state = client.app.state.service
        body = zipped({**bad, "good.jpg": galaxy}, zipfile.ZIP_DEFLATED)
        job = client.post(URL, params={"start": False}, content=body, headers=ZIP).json()
        assert (job["total"], job["done"]) == (6, 5)
        with state.database.read() as connection:
            stored = connection.scalar(select(func.sum(func.length(job_items.c.img))))
            assert stored == len(galaxy) == connection.scalar(select(job_table.c.img_bytes))
        added = client.post(f"/v1/jobs/{job['id']}/images", content=b"no image", headers={"Content-Type": "image/png"})
        assert (added.json()["total"], added.json()["done"]) == (7, 6)


def size_of(config: Config) -> int:
    return sum(file.stat().st_size for file in Path(config.workspace).glob("galclass.db*"))


def test_batches_of_zeros_do_not_fill_the_disk(config: Config, galaxy: bytes) -> None:
    zeros = {f"{n}.jpg": bytes(60_000) for n in range(200)}
    padded = {f"{n}.jpg": galaxy[:700] + bytes(60_000) for n in range(200)}
    with limited(config) as client:
        before = size_of(config)
        for files in (zeros, padded):
            body = zipped(files, zipfile.ZIP_DEFLATED)
            answers = [client.post(URL, params={"start": False}, content=body, headers=ZIP) for _ in range(5)]
            assert {answer.status_code for answer in answers} <= {202, 413, 429}
            assert size_of(config) - before < 5 * len(body) * 60 + 4 * 1024 * 1024
