"""Run one SQL statement as the user wrote it, read-only unless asked, with predict_galaxy_class(img) and friends."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from galclass.database.connection import Database, translated
from galclass.database.readonly import guarded_sqlite, run_postgresql_query
from galclass.errors import DatabaseError, GalclassError

_INTERRUPTED = "interrupted"
_FUNCTION_FAILED = "user-defined function raised exception"
"""What SQLite says when Ctrl-C comes while it calls us: the exception itself does not come through."""

_FETCHED = 100
"""Rows that are asked for at a time: with images, some megabytes."""

_UNDEFINED_FUNCTION = "42883"


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
        Whether it may change anything; otherwise it may only read and compute, even as a superuser's.
    limit : int, optional
        Rows to fetch; `cut` says that there were more.

    Raises
    ------
    DatabaseError
        If the database refuses it.
    GalclassError
        What stopped a predict function, e.g. `RegistryError` when no model is registered.
    """
    with sql_rows(database, statement, write=write) as (columns, stream):
        rows = list(stream if limit is None else islice(stream, limit + 1))
        cut = limit is not None and len(rows) > limit
        return SqlResult(columns, rows[:limit] if cut else rows, cut)


@contextmanager
def sql_rows(
    database: Database, statement: str, *, write: bool = False
) -> Iterator[tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]]:
    """Run one statement as `run_sql` does, for a block that reads its rows one after the other.

    What the statement changed is kept when the block ends, and undone when it fails.

    Yields
    ------
    columns : tuple of str
        Empty where the statement gives no rows.
    rows : iterator of tuple
        Read from the database as they are asked for (from PostgreSQL with `write` at once).
    """
    with (
        _functions_explained(database),
        translated(database.url),
        _connection(database, write) as connection,
        _driver_errors_translated(connection, database.url),
        _executed(connection, statement, write) as cursor,
    ):
        columns = tuple(column[0] for column in cursor.description or ())
        yield columns, _fetched(cursor) if columns else iter(())


def _fetched(cursor: Any) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(_FETCHED):
        yield from map(tuple, rows)


def _executed(connection: Connection, statement: str, write: bool) -> AbstractContextManager[Any]:
    """Run a statement on the driver's own cursor: nothing in it is a placeholder, and it is one statement.

    On PostgreSQL it is prepared, because then the server takes only one statement: `SELECT 1; COMMIT; DELETE ...`
    would end the transaction.
    """
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        return closing(driver.execute(statement))
    return closing(driver.execute(statement, prepare=True) if write else run_postgresql_query(connection, statement))


@contextmanager
def _driver_errors_translated(connection: Connection, where: str) -> Iterator[None]:
    errors: type[Exception] = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except errors as error:
        if isinstance(error, sqlite3.OperationalError) and str(error) == _INTERRUPTED:
            raise KeyboardInterrupt from error
        raise DatabaseError(str(error).strip().splitlines()[0], where=where, advice=_advice(error)) from error


def _advice(error: Exception) -> str | None:
    """Return what PostgreSQL advises; of a predict function called with other types, what it takes."""
    if getattr(error, "sqlstate", None) == _UNDEFINED_FUNCTION and "predict_galax" in str(error):
        return (
            "the image is to be bytea and frame_px an integer: cast what you have, e.g. decode(img, 'base64'); "
            "`galclass db install-procedure` defines the functions"
        )
    hint: str | None = getattr(getattr(error, "diag", None), "message_hint", None)
    return hint.rstrip(".") if hint else None


@contextmanager
def _connection(database: Database, write: bool) -> Iterator[Connection]:
    with database.write() if write else database.read() as connection:
        if database.dialect == "sqlite":
            driver: Any = connection.connection.driver_connection
            with guarded_sqlite(driver, write=write):
                yield connection
        else:
            yield connection


@contextmanager
def _functions_explained(database: Database) -> Iterator[None]:
    functions = database.functions
    if functions is not None:
        functions.error = None
    try:
        yield
    except (DatabaseError, SQLAlchemyError, KeyboardInterrupt) as error:
        cause = functions.error if functions is not None else None
        if isinstance(cause, (GalclassError, KeyboardInterrupt)):
            raise cause from error
        if cause is None and _FUNCTION_FAILED in str(error):  # Ctrl-C came before the function's first line
            raise KeyboardInterrupt from error
        raise
