"""Batch jobs: an archive or a list in, partial results out, through restarts and cancellation."""

from __future__ import annotations

import csv
import io
import json
import threading
import tracemalloc
import zipfile
from base64 import b64encode
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient
from service.zips import ZIP, wait, zipped
from sqlalchemy import event, func, select, update
from tiny_model import tiny_model

from galclass.config import Config
from galclass.database import Database, Registry, Services
from galclass.database.jobs.queue import LOST_S, JobQueue
from galclass.database.jobs.quotas import JobLimits
from galclass.database.jobs.rows import JobImage
from galclass.database.jobs.submit import Jobs
from galclass.database.schema import job_items
from galclass.database.schema import jobs as job_table
from galclass.database.types import now
from galclass.errors import DatabaseError, RequestError
from galclass.scoring import ROW_COLUMNS, Scorer
from galclass.service.http import json_images
from galclass.service.http.archives import read_zip
from galclass.service.server.app import create_app

URL = "/v1/services/galaxy-class/latest/batches"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_archive"),
        (b"PK no zip", "bad_archive"),
        (zipped({}), "no_image"),
        (zipped({"folder/": b"", ".hidden": b"x"}), "no_image"),
        (zipped({"a.jpg": b"x" * 1000})[:-40], "bad_archive"),
    ],
)
def test_a_bad_archive_is_refused(client: TestClient, body: bytes, code: str) -> None:
    answer = client.post(URL, content=body, headers=ZIP)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_inside_an_archive_is_told_whatever_packed_it(client: TestClient, galaxy: bytes, method: int) -> None:
    whole = zipped({"a.jpg": galaxy}, method)
    assert len(read_zip(whole, 10, 1_000_000).images) == 1
    for start in range(40, 140, 20):
        damaged = bytearray(whole)
        damaged[start : start + 40] = bytes(40)
        answer = client.post(URL, content=bytes(damaged), headers=ZIP)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_archive")


def test_an_archive_bomb_is_refused_before_it_is_unpacked(client: TestClient) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.jpg", "w") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    answer = client.post(URL, content=data.getvalue(), headers=ZIP)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_what_an_archive_unpacks_to_is_limited_and_counts_as_held(config: Config) -> None:
    small = replace(config, serve=replace(config.serve, max_body_bytes=100_000))
    held: list[int] = []
    files = {f"{n}.jpg": bytes(90_000) for n in range(4)}
    with TestClient(create_app(small)) as client:
        bodies = client.app.state.service.bodies
        assert len(read_zip(zipped(files, zipfile.ZIP_DEFLATED), 10, 100_000, held.append).images) == 4
        assert held == [360_000]
        for files_too_large in ({**files, "4.jpg": bytes(90_000)}, {"large.jpg": bytes(100_001)}):
            refused = client.post(URL, content=zipped(files_too_large, zipfile.ZIP_DEFLATED), headers=ZIP)
            assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
        bodies.held_bytes = bodies.max_held_bytes - 300_000  # as if others held that much
        refused = client.post(URL, content=zipped(files, zipfile.ZIP_DEFLATED), headers=ZIP)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        bodies.held_bytes -= bodies.max_held_bytes - 300_000
        assert client.post(URL, content=zipped(files, zipfile.ZIP_DEFLATED), headers=ZIP).status_code == 202
        assert bodies.held_bytes == 0


def test_an_archive_of_too_many_entries_is_refused_before_its_directory_is_read(monkeypatch) -> None:
    body = zipped({str(n): b"" for n in range(3_000)})
    monkeypatch.setattr(zipfile.ZipFile, "__init__", None)
    with pytest.raises(RequestError) as caught:
        read_zip(body, 100, 10_000_000)
    assert caught.value.code == "too_many_images"


@pytest.mark.parametrize("members", [20_000, 4_000])
def test_an_archive_takes_less_memory_than_two_of_the_largest_bodies(members: int) -> None:
    body, most = zipped({str(n): b"x" for n in range(members)}), 4 * 1024 * 1024
    tracemalloc.start()
    with suppress(RequestError):
        assert len(read_zip(body, 100_000, most).images) == members
    assert len(body) + tracemalloc.get_traced_memory()[1] < 2 * most
    tracemalloc.stop()


def test_members_that_share_their_bytes_are_refused() -> None:
    body = bytearray(zipped({f"{n:02}.jpg": b"x" * 100_000 for n in range(30)}))
    start = body.index(b"PK\x01\x02")
    shared = body[: 30 + 6 + 100_000] + body[start:-22]  # one member, and thirty entries that will point at it
    for place in [n for n in range(len(shared)) if shared[n : n + 4] == b"PK\x01\x02"]:
        shared[place + 42 : place + 46] = bytes(4)
    end = body[-22:]
    end[16:20] = (30 + 6 + 100_000).to_bytes(4, "little")
    with pytest.raises(RequestError, match="overlap") as caught:
        read_zip(bytes(shared + end), 100, 10_000_000)
    assert caught.value.code == "too_large"


def test_json_of_many_empty_parts_is_refused_unread(client: TestClient) -> None:
    body = b'{"object_ids": [' + b"[]," * 1_000_000 + b"[]]}"
    answer = client.post(URL, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_many_images")


def test_a_batch_of_json_is_parsed_once_and_in_the_bounded_pool(client, galaxies, monkeypatch) -> None:
    threads: list[str] = []
    parse = json_images.parse_json

    def watched(*arguments: object) -> object:
        threads.append(threading.current_thread().name)
        return parse(*arguments)

    monkeypatch.setattr(json_images, "parse_json", watched)
    padding = b" " * 300_000
    body = padding + json.dumps({"object_ids": list(galaxies)}).encode()
    assert client.post(URL, content=body, headers={"Content-Type": "application/json"}).json()["total"] == 10
    body = padding + json.dumps({"img": b64encode(next(iter(galaxies.values()))).decode()}).encode()
    assert client.post(URL, content=body, headers={"Content-Type": "application/json"}).json()["total"] == 1
    assert len(threads) == 2
    assert all(name.startswith("scoring") for name in threads)


def test_an_archive_is_answered_image_by_image(client: TestClient, galaxies: dict[str, bytes]) -> None:
    files = {f"../../{key}.jpg": data for key, data in galaxies.items()} | {"bad.jpg": b"no image"}
    job = client.post(URL, content=zipped(files), headers=ZIP)
    assert job.status_code == 202
    assert (job.json()["version"], job.json()["total"]) == ("1.0", 11)
    assert wait(client, job.json())["done"] == 11
    results = client.get(f"/v1/jobs/{job.json()['id']}/results").json()
    records = results["predictions"]
    assert [record["object_id"] for record in records] == [*galaxies, "bad"]
    assert records[-1]["error"]["code"] == "not_an_image"
    assert results["next"] is None
    one = client.post(
        "/v1/services/galaxy-class/1.0/predict",
        content=next(iter(galaxies.values())),
        headers={"Content-Type": "image/jpeg"},
    ).json()
    assert records[0]["probabilities"] == one["probabilities"]


def test_results_come_in_pages_and_as_csv(client: TestClient, galaxies: dict[str, bytes]) -> None:
    job = client.post(URL, json={"object_ids": list(galaxies)}).json()
    wait(client, job)
    path, seen, after = f"/v1/jobs/{job['id']}/results", [], -1
    while after is not None:
        page = client.get(path, params={"after": after, "limit": 4}).json()
        seen += [record["object_id"] for record in page["predictions"]]
        after = page["next"]
    assert seen == list(galaxies)
    text = client.get(path, headers={"Accept": "text/csv"}).text
    assert [row["object_id"] for row in csv.DictReader(io.StringIO(text))] == list(galaxies)


def test_results_as_a_table_have_every_column_whatever_the_first_image_is(
    client: TestClient, database: Database, galaxy: bytes
) -> None:
    votes = ("smooth-or-featured_smooth",)
    model = Registry(database).register(tiny_model(5, votes=votes), aliases=())
    Services(database).publish("galaxy-class", "2.0", "galaxy", model.version)
    files = {"bad.jpg": b"no image", "good.jpg": galaxy}
    job = client.post(URL.replace("latest", "2.0"), content=zipped(files), headers=ZIP).json()
    wait(client, job)
    path, bounds = f"/v1/jobs/{job['id']}/results", ("", "_low", "_high")
    columns = [*ROW_COLUMNS, *(f"{votes[0]}_debiased{bound}" for bound in bounds)]
    rows = list(csv.DictReader(io.StringIO(client.get(path, headers={"Accept": "text/csv"}).text)))
    assert [list(row) for row in rows] == [columns, columns]
    assert all(row["scored_at"].endswith("Z") for row in rows)
    bad, good = client.get(path).json()["predictions"]
    assert rows[0]["error"] == f"{bad['error']['code']}: {bad['error']['message']}"
    fraction = good["vote_fractions"][votes[0]]
    assert [float(rows[1][name]) for name in columns[-3:]] == [fraction[key] for key in ("fraction", "low", "high")]
    assert "scored_at" not in good
    data = client.get(path, headers={"Accept": "application/vnd.apache.parquet"}, params={"limit": 1}).content
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    assert (table.column_names, str(table.schema.field(columns[-1]).type)) == (columns, "double")
    empty = client.get(path, headers={"Accept": "text/csv"}, params={"after": 2}).text
    assert empty.splitlines() == [",".join(columns)]


def test_a_table_of_a_deleted_service_keeps_the_columns_of_its_records(client, database: Database, galaxy) -> None:
    Services(database).publish("short-lived", "1.0", "galaxy", 1)
    job = client.post(URL.replace("galaxy-class", "short-lived"), content=zipped({"a.jpg": galaxy}), headers=ZIP).json()
    wait(client, job)
    Services(database).delete("short-lived", "1.0")
    text = client.get(f"/v1/jobs/{job['id']}/results", headers={"Accept": "text/csv"}).text
    assert next(csv.reader(io.StringIO(text))) == list(ROW_COLUMNS)


def test_stored_objects_must_exist(client: TestClient) -> None:
    answer = client.post(URL, json={"object_ids": ["nothing"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_object")
    for wrong in ([], "x", [5], None):
        assert client.post(URL, json={"object_ids": wrong}).status_code == 422


def test_an_open_job_takes_more_images_until_it_is_started(client: TestClient, galaxy: bytes) -> None:
    files = {"image": ("a.jpg", galaxy, "image/jpeg")}
    job = client.post(URL, params={"start": False}, files=files).json()
    assert job["state"] == "open"
    path = f"/v1/jobs/{job['id']}"
    assert client.post(f"{path}/images", files=files).json()["total"] == 2
    assert client.post(f"{path}/start").json()["state"] == "queued"
    assert client.post(f"{path}/images", files=files).status_code == 409
    assert wait(client, job)["done"] == 2


def test_an_unknown_job_is_not_found(client: TestClient) -> None:
    for method, path in (("GET", ""), ("GET", "/results"), ("POST", "/start"), ("DELETE", "")):
        assert client.request(method, f"/v1/jobs/nothing{path}").json()["error"]["code"] == "unknown_job"


def test_a_cancelled_job_stops_and_stays_readable(database: Database, galaxies) -> None:
    jobs, queue = Jobs(database, 7), JobQueue(database)
    job = jobs.submit("galaxy-class", "1.0", "test", (), start=False)
    jobs.add(job.id, [JobImage(key, b"") for key in galaxies] * 4)
    jobs.start(job.id)
    first = queue.claim()
    items = queue.next_items(first)
    scored = Scorer(tiny_model(0)).score([b""] * len(items))
    assert queue.save(first, items, scored)
    claimed = queue.claim()
    jobs.cancel(job.id)
    assert not queue.save(claimed, queue.next_items(claimed), scored)
    assert (jobs.get(job.id).state, jobs.get(job.id).done) == ("cancelled", 16)
    assert queue.claim() is None
    assert len(jobs.results(job.id, -1, 100)[1]) == 16


def test_a_job_whose_worker_died_is_taken_over(config: Config, database: Database, galaxies) -> None:
    jobs, queue = Jobs(database, 7), JobQueue(database)
    job = jobs.submit("galaxy-class", "1.0", "test", (), start=False)
    jobs.add(job.id, [JobImage(key, b"") for key in galaxies])
    jobs.start(job.id)
    assert queue.claim().job.id == job.id
    assert queue.claim() is None  # its worker lives, as far as anyone knows
    with database.write() as connection:
        connection.execute(update(job_table).values(beat_at=now() - timedelta(seconds=2 * LOST_S)))
    with TestClient(create_app(config)) as client:
        assert wait(client, {"id": job.id})["done"] == 10


def test_a_job_of_a_deleted_service_fails_with_the_reason(config: Config, database: Database, galaxies) -> None:
    jobs = Jobs(database, 7)
    job = jobs.submit("galaxy-class", "1.0", "test", (), start=False)
    jobs.add(job.id, [JobImage(next(iter(galaxies)), b"")])
    jobs.start(job.id)
    Services(database).delete("galaxy-class", "1.0")
    with TestClient(create_app(config)) as client:
        assert wait(client, {"id": job.id}, "failed")["error"] == "unknown service"


def test_an_expired_job_is_gone(database: Database) -> None:
    jobs = Jobs(database, -1)
    with pytest.raises(Exception, match="unknown job"):
        jobs.submit("galaxy-class", "1.0", "test", (), start=False)
    kept = Jobs(database, 7).submit("galaxy-class", "1.0", "test", (), start=False)
    with database.write() as connection:
        connection.execute(update(job_table).values(expires_at=now() - timedelta(seconds=1)))
    with pytest.raises(Exception, match="unknown job"):
        jobs.get(kept.id)


def test_open_jobs_keep_nobody_out_and_are_gone_after_an_hour(client: TestClient, database: Database, galaxy) -> None:
    def ask(**params: bool) -> int:
        return client.post(URL, params=params, content=zipped({"a.jpg": galaxy}), headers=ZIP).status_code

    most = JobLimits().max_jobs
    jobs = Jobs(database, 7)
    for number in range(most):
        jobs.submit("galaxy-class", "1.0", "test", (), start=False, client=f"client {number}")
    assert ask(start=False) == 503
    assert ask() == 202
    with database.write() as connection:
        for row in connection.execute(select(job_table).where(job_table.c.state == "open")).mappings().all():
            assert timedelta(minutes=59) < row["expires_at"] - row["updated_at"] <= timedelta(hours=1)
            values = {"expires_at": row["expires_at"] - timedelta(hours=1)}
            connection.execute(update(job_table).where(job_table.c.id == row["id"]).values(**values))
    assert ask(start=False) == 202


def test_each_addition_keeps_an_open_job_and_its_start_gives_it_days(database: Database) -> None:
    jobs = Jobs(database, 7)
    job = jobs.submit("galaxy-class", "1.0", "test", (), start=False)
    with database.write() as connection:
        connection.execute(update(job_table).values(expires_at=now() + timedelta(seconds=5)))
    assert jobs.add(job.id, [JobImage("a", b"x")]).expires_at > now() + timedelta(minutes=59)
    assert jobs.start(job.id).expires_at > now() + timedelta(days=6)


def test_a_job_that_cannot_be_stored_leaves_nothing(
    client: TestClient, database: Database, galaxy, monkeypatch
) -> None:
    def full(*_: object) -> None:
        raise DatabaseError("database or disk is full")

    monkeypatch.setattr(Jobs, "_queue", full)
    answer = client.post(URL, content=zipped({"a.jpg": galaxy}), headers=ZIP)
    assert answer.status_code == 503
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(job_table)) == 0
        assert connection.scalar(select(func.count()).select_from(job_items)) == 0


def test_a_chunk_of_a_large_job_asks_for_no_more_than_its_own_rows(database: Database) -> None:
    jobs, queue = Jobs(database, 7), JobQueue(database)
    jobs.submit("galaxy-class", "1.0", "test", [JobImage("a", b"x")] * 20)
    statements: list[tuple[str, object]] = []
    keep = lambda *call: statements.append(call[2:4])  # noqa: E731
    event.listen(database.engine, "before_cursor_execute", keep)
    claim = queue.claim()
    queue.save(claim, queue.next_items(claim), Scorer(tiny_model(0)).score([b"x"] * 16))
    event.remove(database.engine, "before_cursor_execute", keep)
    plans: list[str] = []
    with database.read() as connection:
        for sql, values in statements:
            if "galaxy_job" in sql and not sql.startswith("INSERT"):
                plans += [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
    on_items = [plan for plan in plans if "galaxy_job_items" in plan]
    assert len(on_items) >= 3
    assert all("job_id=? AND position" in plan for plan in on_items), plans
    assert not [plan for plan in plans if plan.startswith("SCAN") and "INDEX" not in plan], plans
