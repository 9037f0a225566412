"""A lock that another PostgreSQL session holds on our rows or tables: commands say so, and Ctrl-C ends them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient
from interrupts import press_ctrl_c, start, wait_until
from tiny_model import tiny_model

from galclass.config import load_config
from galclass.database import Images, NewImage, Registry, connection, open_database, score_pending
from galclass.errors import DatabaseError
from galclass.service.server.app import create_app

LOCKS = {
    "table": "LOCK TABLE galaxy_images",
    "predictions": "LOCK TABLE galaxy_predictions",
}


@pytest.fixture
def url(cluster, galaxies: dict[str, bytes], request: pytest.FixtureRequest) -> str:
    url = cluster.create_database(f"locked_{abs(hash(request.node.name))}")
    with open_database(url, migrate=True) as database:
        Registry(database).register(tiny_model())
        Images(database).add(NewImage(key, data) for key, data in galaxies.items())
    return str(url)


@pytest.fixture
def holder(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url) as session:
        yield session


@pytest.mark.parametrize("lock", ["table", "predictions"])
def test_a_lock_is_waited_for_only_so_long_and_named(
    url: str, holder: psycopg.Connection, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOCK_TIMEOUT_S", 0.2)
    holder.execute(LOCKS[lock])
    with open_database(url) as database:
        with pytest.raises(DatabaseError, match=r"(?i)lock timeout.*another session holds a lock"):
            score_pending(database, "galaxy")
        holder.rollback()
        assert score_pending(database, "galaxy").scored > 0


@pytest.mark.parametrize("limit", ["7s", "0"])
def test_a_limit_of_the_role_or_database_stays(url: str, cluster, limit: str) -> None:
    name = url.partition("?")[0].rpartition("/")[2]
    cluster.execute(f"ALTER DATABASE {name} SET lock_timeout = '{limit}'")
    with open_database(url) as database, database.read() as session:
        assert session.exec_driver_sql("SHOW lock_timeout").scalar() == limit


def test_a_server_answers_503_for_a_locked_table(
    url: str, holder: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOCK_TIMEOUT_S", 0.2)
    config = load_config(None, {"workspace": str(tmp_path), "database": url})
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        assert client.get("/v1/labels").status_code == 200
        holder.execute("LOCK TABLE galaxy_labels")
        response = client.get("/v1/labels")
        assert (response.status_code, response.json()["error"]["code"]) == (503, "database")
        holder.rollback()
        assert client.get("/v1/labels").status_code == 200


def test_ctrl_c_ends_a_command_that_waits_for_a_lock(url: str, holder: psycopg.Connection, cluster) -> None:
    holder.execute(LOCKS["table"])
    process = start("score", "--model", "galaxy", "--database", url)
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    wait_until(lambda: cluster.execute(waiting))
    status, said = press_ctrl_c(process)
    assert status == 130
    assert "Traceback" not in said
