"""What breaks beside the service: workers, database, models, the disk and the clock."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from service.live import LiveServer, live_server
from sqlalchemy import text

from galclass.config import Config
from galclass.database import Database
from galclass.database.schema import models
from galclass.errors import DatabaseError, RequestError
from galclass.service.engine.published import PublishedServices
from galclass.service.engine.state import ServiceState
from galclass.service.http.errors import refusal_of
from galclass.service.http.logs import Seldom
from galclass.service.server.app import create_app

PATH = "/v1/services/galaxy-class/1.0/predict"
JPEG = {"Content-Type": "image/jpeg"}


def workers_of(server: LiveServer) -> list[int]:
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    names = {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in children}
    return [child for child, line in names.items() if "spawn_main" in line]


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_costs_few_requests(workspace: Path, tmp_path: Path, galaxy: bytes) -> None:
    shutil.copytree(workspace, tmp_path / "workspace")
    answers: Counter[str] = Counter()
    stop = threading.Event()

    def ask(url: str) -> None:
        with httpx2.Client(timeout=30) as client:
            while not stop.is_set():
                try:
                    answers[str(client.post(url, content=galaxy, headers=JPEG).status_code)] += 1
                except httpx2.TransportError:
                    answers["broken"] += 1

    with live_server(tmp_path / "workspace", "--workers", "2") as server, ThreadPoolExecutor(4) as threads:
        wait_until(lambda: len(workers_of(server)) == 2)
        for _ in range(4):
            threads.submit(ask, server.url + PATH)
        try:
            wait_until(lambda: answers["200"] > 20)
            killed = workers_of(server)[0]
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: killed not in workers_of(server) and len(workers_of(server)) == 2)
            before = answers["200"]
            wait_until(lambda: answers["200"] > before + 20)
        finally:
            stop.set()
        assert len(workers_of(server)) == 2
        assert killed not in workers_of(server)
    assert set(answers) <= {"200", "broken"}
    assert answers["broken"] <= 4  # at most the requests that were in the killed process


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_while_the_database_is_away_known_services_answer_and_the_rest_is_503(
    config: Config, galaxy: bytes, monkeypatch: pytest.MonkeyPatch, later: Callable[[float], None]
) -> None:
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        assert client.post(PATH, content=galaxy, headers=JPEG).status_code == 200
        state: ServiceState = client.app.state.service

        def gone(*_: object) -> None:
            raise DatabaseError("connection to secret-host:5432 refused", where="postgresql://user@secret-host/db")

        monkeypatch.setattr(PublishedServices, "_read", gone)
        monkeypatch.setattr(type(state.services), "list", gone)
        for seconds in (0.6, 0.4):  # read anew beside the request, and before it
            later(seconds)
            assert client.post(PATH, content=galaxy, headers=JPEG).status_code == 200
        for answer in (client.post(PATH.replace("1.0", "2.0"), content=galaxy, headers=JPEG), client.get("/readyz")):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert "secret-host" not in answer.text
        services = client.get("/v1/services")
        assert services.json()["error"]["code"] == "database"
        assert "secret-host" not in services.text
        assert client.get("/healthz").status_code == 200
        monkeypatch.undo()
        assert client.get("/readyz").status_code == 200


def test_a_model_that_cannot_be_read_tells_nothing_of_the_database(config: Config, monkeypatch, caplog) -> None:
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        state: ServiceState = client.app.state.service

        def gone(*_: object) -> None:
            raise DatabaseError("connection to secret-host:5432 refused")

        monkeypatch.setattr(type(state.registry), "get", gone)
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["ok"] == ["database"]
        assert "secret-host" not in answer.text
        assert "does not respond" in next(iter(answer.json()["failing"].values()))
        assert "secret-host" in [record.reason for record in caplog.records if record.message == "not ready"][0]


def test_a_model_deleted_under_its_service_is_told_as_such(config: Config, galaxy: bytes, later) -> None:
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        assert client.post(PATH, content=galaxy, headers=JPEG).status_code == 200
        with closing(sqlite3.connect(Path(config.workspace) / "galclass.db")) as connection:  # checks no references
            for (guard,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
                connection.execute(f"drop trigger {guard}")
            connection.execute("delete from galaxy_models where version = 1")
            connection.commit()
        later(1.0)
        answer = client.post(PATH, content=galaxy, headers=JPEG)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_service")


def test_a_damaged_model_makes_the_server_not_ready_and_never_answers_wrong(
    config: Config, database: Database, galaxy: bytes
) -> None:
    with database.write() as connection:
        for guard in connection.scalars(text("select name from sqlite_master where type = 'trigger'")).all():
            connection.execute(text(f"drop trigger {guard}"))
        connection.execute(models.update().where(models.c.version == 1).values(value=b"damaged"))
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        answer = client.post(PATH, content=galaxy, headers=JPEG)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model")
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert "galaxy-class@1.0" in next(iter(ready.json()["failing"]))


def test_a_full_disk_refuses_what_must_be_written_and_goes_on_reading(
    client: TestClient, tokens, galaxies: dict[str, bytes]
) -> None:
    state: ServiceState = client.app.state.service
    key, galaxy = next(iter(galaxies.items()))
    state.database.engine.dispose()
    with state.database.write() as connection:
        pages = connection.scalar(text("PRAGMA page_count"))
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    body = {"object_id": key, "label": "Sb"}
    statuses = {client.post("/v1/labels", json=body, headers=tokens["publisher"]).status_code for _ in range(3)}
    batch = client.post(PATH.replace("predict", "batches"), files=[("a", (f"{n}.jpg", galaxy)) for n in range(200)])
    assert batch.status_code in (202, 503)
    assert statuses <= {201, 503}
    assert client.post(PATH, content=galaxy, headers=JPEG).status_code == 200


def test_a_clock_that_jumps_does_not_stop_the_service(
    client: TestClient, galaxy: bytes, monkeypatch: pytest.MonkeyPatch, later: Callable[[float], None]
) -> None:
    assert client.post(PATH, content=galaxy, headers=JPEG).status_code == 200
    real = time.time
    for jump in (-86_400 * 365, 86_400 * 365):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        later(1.0)
        assert client.post(PATH, content=galaxy, headers=JPEG).status_code == 200


def test_an_unexpected_error_tells_nothing_but_its_number(client: TestClient, monkeypatch, caplog) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    state: ServiceState = client.app.state.service
    monkeypatch.setattr(type(state.registry), "list", broken)
    answer = client.get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    calm = client.get("/v1/services")
    assert set(calm.headers) <= set(answer.headers)
    assert answer.headers["content-security-policy"] == calm.headers["content-security-policy"]
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]
    assert answer.headers.get_list("x-request-id") == [answer.headers["x-request-id"]]


def test_what_fails_with_every_request_is_told_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    seldom = Seldom(1.0, lambda: now[0])
    assert [seldom.left_out("database") for _ in range(4)] == [0, None, None, None]
    assert seldom.left_out("model") == 0
    now[0] = 1.0
    assert [seldom.left_out("database") for _ in range(2)] == [3, None]
    with caplog.at_level(logging.INFO, "galclass.service"):
        for code in ("overloaded", "not_ready", "storage_full"):
            assert refusal_of(RequestError(code, "no room"), "/v1/x").status_code in (503, 507)
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO", "ERROR"]
