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
from galclass.database.schema import images, labels


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
