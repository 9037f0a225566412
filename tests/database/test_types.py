"""Times: UTC whatever the machine's time zone, also where somebody wrote them by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text

from galclass.database import Database, Images, NewImage, open_database
from galclass.database.labels import human_labels
from galclass.database.migrate import known_migrations, split_statements
from galclass.database.schema import images, labels
from galclass.errors import DatabaseError


@pytest.fixture(params=["Pacific/Auckland", "America/St_Johns", "UTC"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def sqlite(zone: None, tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'times.db'}", migrate=True) as database:
        Images(database).add([NewImage("a", b"x")])
        yield database


def test_a_time_that_sqlite_wrote_is_in_utc(sqlite: Database) -> None:
    with sqlite.write() as connection:
        connection.execute(text("UPDATE galaxy_images SET added_at = '2026-04-05 12:30:00'"))
    with sqlite.read() as connection:
        assert connection.scalar(select(images.c.added_at)) == datetime(2026, 4, 5, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize("written", ["2026-04-05 12:30:00", "2026-04-06 00:30:00.000+12:00", "2026-04-05T12:30:00Z"])
def test_labels_written_by_hand_sort_as_time_does(sqlite: Database, written: str) -> None:
    insert = text("INSERT INTO galaxy_labels VALUES (:id, 'human', '{\"class\": \"Sb\"}', 'me', :at)")
    with sqlite.write() as connection:
        connection.execute(insert, {"id": "early", "at": "2026-04-05T12:29:59.000000Z"})
        connection.execute(insert, {"id": "a", "at": written})
        connection.execute(insert, {"id": "late", "at": "2026-04-05T12:30:01.000000Z"})
        stored = connection.scalars(select(labels.c.labelled_at).order_by(text("labelled_at"))).all()
    assert stored[1] == datetime(2026, 4, 5, 12, 30, tzinfo=UTC)
    assert [one.object_id for one in human_labels(sqlite)[0]] == ["late", "a", "early"]


HAND_WRITTEN = "INSERT INTO galaxy_labels VALUES ('a', 'human', '{}', 'me', :at)"
MOVED = "UPDATE galaxy_labels SET labelled_at = :at"


@pytest.mark.parametrize(
    "query", [f"{HAND_WRITTEN} ON CONFLICT DO UPDATE SET labelled_at = excluded.labelled_at", MOVED]
)
def test_changed_times_of_labels_sort_as_time_does_too(sqlite: Database, query: str) -> None:
    with sqlite.write() as connection:
        connection.execute(text(HAND_WRITTEN), {"at": "2026-04-05T12:29:59.000000Z"})
        connection.execute(text(query), {"at": "2026-04-05 12:30:00"})
        assert connection.scalar(text("SELECT labelled_at FROM galaxy_labels")) == "2026-04-05T12:30:00.000000Z"


@pytest.mark.parametrize("written", ["yesterday", "5.4.2026", "2026-04-05T99:30:00.000000Z", "1775392200", ""])
def test_a_label_without_a_readable_time_is_refused_by_name(sqlite: Database, written: str) -> None:
    for query in (HAND_WRITTEN, MOVED):
        with pytest.raises(DatabaseError, match="labelled_at is no time"), sqlite.write() as connection:
            connection.execute(text(query), {"at": written})
        with sqlite.write() as connection:
            connection.execute(text(f"{HAND_WRITTEN} ON CONFLICT DO NOTHING"), {"at": "2026-04-05 12:30:00"})


def test_the_migration_rewrites_times_that_can_be_read(zone: None, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    given = ["2026-04-05 12:30:00", "2026-04-05T12:30:00.123456Z", "yesterday"]
    with database.write() as connection:
        *former, last = [step for step in known_migrations("sqlite") if step.id <= 16]
        for statement in [one for step in former for one in split_statements(step.sql)]:
            connection.exec_driver_sql(statement)
        for number, at in enumerate(given):
            values = {"id": str(number), "at": at}
            connection.execute(text("INSERT INTO galaxy_labels VALUES (:id, 'human', '{}', 'me', :at)"), values)
        for statement in split_statements(last.sql):
            connection.exec_driver_sql(statement)
        stored = connection.scalars(text("SELECT labelled_at FROM galaxy_labels ORDER BY object_id")).all()
    database.close()
    assert stored == ["2026-04-05T12:30:00.000000Z", *given[1:]]
