"""Room given back: after a cancelled, failed, done or expired job nothing of it is left, and a SQLite file shrinks."""

from __future__ import annotations

import os
import signal
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from tiny_model import tiny_model

from galclass.database import Database, open_database, space
from galclass.database.jobs import rows as job_rows
from galclass.database.jobs.queue import JobQueue
from galclass.database.jobs.rows import JobImage
from galclass.database.jobs.submit import Jobs
from galclass.database.jobs.sweep import Sweeper
from galclass.database.migrate import known_migrations, split_statements
from galclass.database.schema import job_clients, job_items
from galclass.database.schema import jobs as job_table
from galclass.database.space import give_back_pages, space_of, vacuum
from galclass.database.types import now
from galclass.errors import DatabaseError
from galclass.scoring import Scorer


def swept(database: Database, days: float = 0) -> int:
    """Sweep until nothing is left to do; return the number of steps."""
    sweeper = Sweeper(database, lambda: now() + timedelta(days=days))
    for steps in range(1000):
        if not sweeper.step():
            return steps
    raise AssertionError("there is always something to do")


def count(database: Database, what: object) -> int:
    with database.read() as connection:
        return connection.scalar(select(what)) or 0  # type: ignore[call-overload]


def images_of(database: Database) -> int:
    return count(database, func.count(job_items.c.img))


def submit(database: Database, images: int = 5, size: int = 1000, client: str = "a") -> str:
    return Jobs(database, 7).submit("galaxy-class", "1.0", client, [JobImage("a", os.urandom(size))] * images).id


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_rows, "_STEP_ROWS", 2)
    monkeypatch.setattr("galclass.database.jobs.submit._STEPS_AT_ONCE", 1)


@pytest.mark.usefixtures("small_steps")
def test_a_cancelled_job_frees_its_images_step_by_step(either: Database) -> None:
    jobs, kept = Jobs(either, 7), submit(either)
    job_id = submit(either, 7)
    jobs.cancel(job_id)
    assert images_of(either) == 5 + 7 - 2
    assert swept(either) >= 3
    assert images_of(either) == 5
    assert jobs.get(kept).state == "queued"
    assert count(either, func.sum(job_table.c.img_bytes)) == 5000


@pytest.mark.usefixtures("small_steps")
def test_a_failed_job_frees_its_images_and_keeps_its_results(either: Database) -> None:
    queue, job_id = JobQueue(either), submit(either, 20)
    claim = queue.claim()
    items = queue.next_items(claim)
    queue.save(claim, items, Scorer(tiny_model(0)).score([b""] * len(items)))
    assert images_of(either) == 4
    queue.finish(queue.claim(), "its model is gone")
    swept(either)
    assert images_of(either) == 0
    assert len(Jobs(either, 7).results(job_id, -1, 100)[1]) == 16


@pytest.mark.usefixtures("small_steps")
def test_an_expired_job_is_deleted_step_by_step_and_its_client_forgotten(either: Database) -> None:
    swept(either)  # pages that migrations left free
    submit(either, 5)
    submit(either, 0, client="b")
    assert swept(either, days=6) == 0
    assert swept(either, days=8) >= 5
    for table in (job_table, job_items, job_clients):
        assert count(either, func.count(list(table.columns)[0])) == 0


@pytest.mark.usefixtures("small_steps")
def test_a_deleted_job_is_gone_at_once_and_its_rows_soon(either: Database) -> None:
    job_id = submit(either, 9)
    Jobs(either, 7).delete(job_id)
    assert 0 < count(either, func.count(job_items.c.position)) <= 7
    assert JobQueue(either).claim() is None
    swept(either)
    assert count(either, func.count(job_items.c.position)) == 0


def test_large_images_are_freed_few_at_a_time(either: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_rows, "_STEP_BYTES", 2500)
    monkeypatch.setattr("galclass.database.jobs.submit._STEPS_AT_ONCE", 1)
    Jobs(either, 7).cancel(submit(either, 5))
    assert images_of(either) == 3


def test_a_new_sqlite_file_shrinks_after_a_cancelled_job(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    with open_database(file) as database:
        job_id = submit(database, 40, 100_000)
        swept(database)
        assert file.stat().st_size > 3_000_000
        Jobs(database, 7).cancel(job_id)
        assert swept(database) < 50
        assert file.stat().st_size < 1_000_000
        assert not give_back_pages(database)


def test_while_jobs_wait_some_free_pages_are_kept(tmp_path: Path) -> None:
    with open_database(tmp_path / "new.db") as database:
        Jobs(database, 7).cancel(submit(database, 10, 100_000))
        assert not give_back_pages(database, kept_bytes=10_000_000)
        assert give_back_pages(database, kept_bytes=100_000)


def old_database(file: Path) -> None:
    """Make a file as the version before did: without auto-vacuum, at migration 4, with jobs in every state."""
    with sqlite3.connect(file) as plain:
        plain.execute("CREATE TABLE schema_migrations (id INTEGER PRIMARY KEY, name TEXT, applied_at TEXT)")
        for step in known_migrations("sqlite"):
            if step.id <= 4:
                for statement in split_statements(step.sql):
                    plain.execute(statement)
                plain.execute("INSERT INTO schema_migrations VALUES (?, ?, 'then')", (step.id, step.name))
        later = "2999-01-01T00:00:00.000000Z"
        for state in ("open", "queued", "running", "done", "cancelled"):
            row = (state, "galaxy-class", "1.0", state, 3, 1, None, later, "alice", later, later)
            plain.execute(f"INSERT INTO galaxy_jobs VALUES ({', '.join('?' * 11)})", row)
            for position in range(3):
                answered = position == 1 or state == "done"
                record = '{"object_id": "a"}' if answered else None
                image = None if answered else os.urandom(50_000)
                plain.execute("INSERT INTO galaxy_job_items VALUES (?, ?, 'a', ?, ?)", (state, position, image, record))
    plain.close()


def test_the_jobs_of_an_older_version_go_on(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    old_database(file)
    with open_database(file) as database:
        jobs, queue, scorer = Jobs(database, 7), JobQueue(database), Scorer(tiny_model(0))
        with database.read() as connection:
            rows = {row["id"]: row for row in connection.execute(select(job_table)).mappings()}
        assert {name: row["img_bytes"] for name, row in rows.items()} == {
            **dict.fromkeys(("open", "queued", "running", "cancelled"), 100_000),
            "done": 0,
        }
        assert {row["client"] for row in rows.values()} == {"alice"}
        while (claim := queue.claim()) is not None:
            items = queue.next_items(claim)
            assert [item.position for item in items] == [0, 2]
            assert queue.save(claim, items, scorer.score([item.img for item in items]))
        assert [jobs.get(name).state for name in rows] == ["open", "done", "done", "done", "cancelled"]
        assert jobs.get("running").done == 3
        assert swept(database) > 0
        assert images_of(database) == 2  # of the open one


def test_an_old_sqlite_file_is_told_of_and_shrinks_once_it_was_rewritten(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    old_database(file)
    with open_database(file) as database:
        with database.read() as connection:
            assert not space_of(connection).incremental
        submit(database, 40, 100_000)
        with database.write() as connection:
            connection.execute(text("DELETE FROM galaxy_job_items"))
        assert not give_back_pages(database)
        before, after = vacuum(database)
        assert before.free_bytes > 4_000_000
        assert (after.free_bytes, after.incremental) == (0, True)
        assert file.stat().st_size == after.size_bytes < 1_000_000


def test_ctrl_c_ends_a_running_vacuum_and_the_file_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "old.db"
    old_database(file)
    with open_database(file) as database:
        submit(database, 40, 1_000)
        kept = images_of(database)
        before = file.stat().st_size
        monkeypatch.setattr(space, "_STEPS", 50)
        monkeypatch.setattr(space, "_look", lambda: signal.raise_signal(signal.SIGINT) or 0)
        with pytest.raises(KeyboardInterrupt):
            vacuum(database)
        monkeypatch.undo()
        assert file.stat().st_size == before
        assert images_of(database) == kept
        vacuum(database)


def test_postgresql_is_told_to_need_no_vacuum_of_ours(cluster) -> None:
    with open_database(cluster.create_database("no_vacuum"), migrate=True) as database:
        with pytest.raises(DatabaseError, match="reuses"):
            vacuum(database)
        assert not give_back_pages(database)


def test_the_doctor_says_what_a_vacuum_takes_and_the_command_does_it(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from galclass.cli import cli

    file = tmp_path / "old.db"
    old_database(file)
    with open_database(file) as database, database.write() as connection:
        connection.execute(text("DELETE FROM galaxy_job_items"))

    def galclass(*command: str) -> str:
        return CliRunner().invoke(cli, ["db", *command, "--database", f"sqlite:///{file}"]).output

    assert "galclass db vacuum" in galclass("doctor")
    assert "MB now" in galclass("vacuum")
    assert "returned to the disk while it is served" in galclass("doctor")
