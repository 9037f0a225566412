"""Predictions stored before class and group followed from one walk down the tree."""

from __future__ import annotations

import json

import numpy as np
from sqlalchemy import text

from galclass.database import Database, open_database
from galclass.database.migrate import Migration, known_migrations
from galclass.morphology import CLASSES, group_of
from galclass.scoring.walk import walk

INSERT = (
    "INSERT INTO galaxy_predictions (object_id, model_name, model_version, predicted_class, predicted_group,"
    " probabilities, prediction_set, flags, error, scored_at)"
    " VALUES (:id, 'galaxy', 1, :cls, :group, {json}, {sets}, {flags}, :error, '2026-01-01T00:00:00Z')"
)


def walk_step(dialect: str) -> Migration:
    return next(step for step in known_migrations(dialect) if step.name == "walk")


def database_before_the_walk(url: str, monkeypatch) -> Database:
    """A database as the version before made it."""
    from galclass.database import migrate

    every = migrate.known_migrations

    def earlier(dialect: str) -> tuple[Migration, ...]:
        return tuple(step for step in every(dialect) if step.id < walk_step(dialect).id)

    monkeypatch.setattr(migrate, "known_migrations", earlier)
    database = open_database(url, migrate=True)
    monkeypatch.setattr(migrate, "known_migrations", every)
    return database


def insert(database: Database, rows: np.ndarray) -> None:
    kind = "CAST({0} AS JSONB)" if database.engine.dialect.name == "postgresql" else "{0}"
    sql = INSERT.format(json=kind.format(":p"), sets=kind.format(":s"), flags=kind.format(":f"))
    with database.write() as connection:
        for number, row in enumerate(rows):
            by_class = dict(zip(CLASSES, np.round(row, 7).tolist(), strict=True))
            top = CLASSES[int(row.argmax())]
            values = {"id": f"g{number:04d}", "cls": top, "group": "Spiral", "p": json.dumps(by_class)}
            values |= {"s": json.dumps([top] if number % 2 else []), "f": "[]", "error": None}
            connection.execute(text(sql), values)
        values = {"id": "faulty", "cls": None, "group": None, "p": None, "s": "[]", "f": "[]", "error": "truncated: x"}
        connection.execute(text(sql), values)


def test_stored_classes_and_groups_are_computed_anew(url: str, monkeypatch) -> None:
    random = np.random.default_rng(11)
    rows = np.concatenate([random.dirichlet(np.full(13, 0.4), 150), random.integers(0, 3, (50, 13)) / 26])
    with database_before_the_walk(url, monkeypatch) as database:
        insert(database, rows)
        assert any(name.endswith("_walk") for name in database.migrate())
        with database.read() as connection:
            query = "SELECT object_id, predicted_class, predicted_group, prediction_set, error FROM galaxy_predictions"
            found = {row.object_id: row for row in connection.execute(text(query))}
    assert len(found) == len(rows) + 1
    faulty = found.pop("faulty")
    assert (faulty.predicted_class, faulty.predicted_group, faulty.error) == (None, None, "truncated: x")
    expected = [CLASSES[position] for position in walk(rows)]
    assert sum(leaf != CLASSES[int(row.argmax())] for leaf, row in zip(expected, rows, strict=True)) > 10
    for number, (row, leaf) in enumerate(zip(rows, expected, strict=True)):
        one = found[f"g{number:04d}"]
        assert (one.predicted_class, one.predicted_group) == (leaf, group_of(leaf))
        top = CLASSES[int(row.argmax())]
        members = json.loads(one.prediction_set) if isinstance(one.prediction_set, str) else one.prediction_set
        assert members == ([] if number % 2 == 0 else [top] if leaf == top else [top, leaf])
