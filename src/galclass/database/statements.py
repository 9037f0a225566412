"""The few statements that SQLite and PostgreSQL spell differently, and streams cut into chunks for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert, Table, text
from sqlalchemy.dialects import postgresql, sqlite

Item = TypeVar("Item")


def chunked(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cut a stream into lists of at most `size`, one for each transaction."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def as_written(connection: Connection, sql: str) -> str:
    """Escape SQL text for `exec_driver_sql`: psycopg would take a per cent sign for a placeholder."""
    return sql.replace("%", "%%") if connection.dialect.name == "postgresql" else sql


def insert_for(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return the dialect's INSERT, which knows ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def insert_new(connection: Connection, table: Table) -> Insert:
    """Return an INSERT that leaves existing rows alone."""
    return insert_for(connection, table).on_conflict_do_nothing()


def upsert(connection: Connection, table: Table, row: Mapping[str, Any]) -> Insert:
    """Return an INSERT that overwrites the row with the same key."""
    keys = [column.name for column in table.primary_key.columns]
    values = {name: value for name, value in row.items() if name not in keys}
    return insert_for(connection, table).values(**row).on_conflict_do_update(index_elements=keys, set_=values)


def lock_table(connection: Connection, table: Table) -> None:
    """Keep other writers of a table out until the end of the transaction (SQLite has one writer anyway)."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))
