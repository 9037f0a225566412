"""Numbered, append-only migrations: migrations/NNNN_name[.dialect].sql, each applied once, in order.

A file that is released is never edited: a change is a new file. `{blob}` and friends stand for the
types of the current database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from sqlalchemy import Connection, inspect, text

from galclass.database.statements import as_written
from galclass.database.types import now
from galclass.errors import DatabaseError

_FILE = re.compile(r"(?P<id>\d{4})_(?P<name>\w+?)(?:\.(?P<dialect>sqlite|postgresql))?\.sql")
_TYPES = {
    "sqlite": {
        "blob": "BLOB",
        "json": "JSON",
        "timestamp": "TEXT",
        "double": "REAL",
        "bigint": "INTEGER",
        "serial": "INTEGER PRIMARY KEY AUTOINCREMENT",
    },
    "postgresql": {
        "blob": "BYTEA",
        "json": "JSONB",
        "timestamp": "TIMESTAMPTZ",
        "double": "DOUBLE PRECISION",
        "bigint": "BIGINT",
        "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    },
}
_LEDGER = """CREATE TABLE IF NOT EXISTS schema_migrations
(id INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)"""
_ONE_AT_A_TIME = 7_229_461
"""Key of the PostgreSQL advisory lock that keeps two migrations apart."""


@dataclass(frozen=True)
class Migration:
    """One numbered step and its SQL for one dialect."""

    id: int
    name: str
    sql: str


@lru_cache
def known_migrations(dialect: str) -> tuple[Migration, ...]:
    """Return the migrations of a dialect ("sqlite" or "postgresql") in order."""
    steps = []
    for file in files("galclass.database").joinpath("migrations").iterdir():
        match = _FILE.fullmatch(file.name)
        if match and match["dialect"] in (None, dialect):
            sql = file.read_text(encoding="utf-8")
            for name, kind in _TYPES[dialect].items():
                sql = sql.replace(f"{{{name}}}", kind)
            steps.append(Migration(int(match["id"]), match["name"], sql))
    return tuple(sorted(steps, key=lambda step: step.id))


def applied_migrations(connection: Connection) -> list[int]:
    """Return the ids of the migrations that were applied to a database."""
    if not inspect(connection).has_table("schema_migrations"):
        return []
    return list(connection.scalars(text("SELECT id FROM schema_migrations ORDER BY id")))


def check_version(connection: Connection, where: str) -> list[Migration]:
    """Return the migrations that a database still lacks.

    Raises
    ------
    DatabaseError
        If the database was made by a newer galclass.
    """
    done = set(applied_migrations(connection))
    steps = known_migrations(connection.dialect.name)
    newer = done - {step.id for step in steps}
    if newer:
        raise DatabaseError(
            "it was created by a newer galclass",
            where=where,
            expected=f"schema version {steps[-1].id}",
            got=max(newer),
            advice="update galclass",
        )
    return [step for step in steps if step.id not in done]


def apply_migrations(connection: Connection, where: str) -> list[str]:
    """Apply missing migrations inside the caller's transaction and return their names."""
    if connection.dialect.name == "postgresql":
        limit = connection.scalar(text("SELECT current_setting('lock_timeout')"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))  # another migration may take its time
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
        connection.execute(text("SELECT set_config('lock_timeout', :limit, true)"), {"limit": limit})
    connection.execute(text(_LEDGER))
    names = []
    for step in check_version(connection, where):
        for statement in split_statements(step.sql):
            connection.exec_driver_sql(as_written(connection, statement))
        connection.execute(
            text("INSERT INTO schema_migrations (id, name, applied_at) VALUES (:id, :name, :at)"),
            {"id": step.id, "name": step.name, "at": now().isoformat(timespec="seconds")},
        )
        names.append(f"{step.id:04d}_{step.name}")
    return names


def split_statements(sql: str) -> list[str]:
    """Split a migration at semicolons that end a line at the left-hand margin's level.

    A statement ends with `;` at the end of a line, unless the line is indented or inside `$$ ... $$`.
    """
    statements: list[str] = []
    lines: list[str] = []
    quoted = False
    for line in sql.splitlines():
        if line.startswith("--") or not (line.strip() or lines):
            continue
        lines.append(line)
        quoted ^= line.count("$$") % 2 == 1
        ends = line.endswith(";") and not quoted
        if ends and not (line.startswith(" ") and _in_trigger(lines)):
            statements.append("\n".join(lines).rstrip(";"))
            lines = []
    return statements


def _in_trigger(lines: list[str]) -> bool:
    return any(line == "BEGIN" for line in lines)
