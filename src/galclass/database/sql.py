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
    with (
        _functions_explained(database),
        translated(database.url),
        _connection(database, write) as connection,
        _driver_errors_translated(connection, database.url),
    ):
        cursor = _execute(connection, statement)
        if not cursor.description:
            return SqlResult((), [])
        rows = [tuple(row) for row in (cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1))]
        cut = limit is not None and len(rows) > limit
        return SqlResult(tuple(column[0] for column in cursor.description), rows[:limit] if cut else rows, cut)


def _execute(connection: Connection, statement: str) -> Any:
    """Run a statement on the driver's own cursor: nothing in it is a placeholder, and it is one statement.

    On PostgreSQL it is prepared, because then the server takes only one statement: `SELECT 1; COMMIT; DELETE ...`
    would end the read-only transaction.
    """
    cursor: Any = connection.connection.cursor()
    if connection.dialect.name == "postgresql":
        return cursor.execute(statement, prepare=True)
    return cursor.execute(statement)


@contextmanager
def _driver_errors_translated(connection: Connection, where: str) -> Iterator[None]:
    errors: type[Exception] = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except errors as error:
        raise DatabaseError(str(error).strip().splitlines()[0], where=where) from error


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
