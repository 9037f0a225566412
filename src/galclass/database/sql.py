"""Run one SQL statement as the user wrote it, read-only unless asked, with predict_galaxy_class(img) and friends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from galclass.database.connection import Database, translated
from galclass.errors import DatabaseError


@dataclass(frozen=True)
class SqlResult:
    """The rows of a statement; no columns where it gives none."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    cut: bool = False


def run_sql(database: Database, statement: str, *, write: bool = False, limit: int | None = None) -> SqlResult:
    """Run one statement.

    Parameters
    ----------
    database : Database
    statement : str
        One SQL statement in the language of the database at hand.
    write : bool
        Whether it may change anything.
    limit : int, optional
        Rows to fetch; `cut` says that there were more.

    Raises
    ------
    DatabaseError
        If the database refuses it.
    GalclassError
        What stopped a predict function, e.g. `RegistryError` when no model is registered.
    """
    with _functions_explained(database), translated(database.url), _connection(database, write) as connection:
        result = connection.exec_driver_sql(statement)
        if not result.returns_rows:
            return SqlResult((), [])
        rows = [tuple(row) for row in (result.fetchall() if limit is None else result.fetchmany(limit + 1))]
        cut = limit is not None and len(rows) > limit
        return SqlResult(tuple(result.keys()), rows[:limit] if cut else rows, cut)


@contextmanager
def _connection(database: Database, write: bool) -> Iterator[Connection]:
    if write:
        with database.write() as connection:
            yield connection
        return
    read_only, restore = ("PRAGMA query_only = ON", "PRAGMA query_only = OFF")
    if database.dialect == "postgresql":
        read_only, restore = ("SET TRANSACTION READ ONLY", "")
    with database.read() as connection:
        connection.exec_driver_sql(read_only)
        try:
            yield connection
        finally:
            if restore:
                connection.exec_driver_sql(restore)


@contextmanager
def _functions_explained(database: Database) -> Iterator[None]:
    functions = database.functions
    if functions is not None:
        functions.error = None
    try:
        yield
    except (DatabaseError, SQLAlchemyError) as error:
        if functions is not None and functions.error is not None:
            raise functions.error from error
        raise
