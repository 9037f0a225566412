"""Open a database by URL: SQLite in WAL mode (the embedded default) or PostgreSQL.

Takes `sqlite:///file`, `postgresql://...` or a file path, returns a `Database` whose `read()` and `write()`
are short transactions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DataError, SQLAlchemyError

from galclass.database.migrate import apply_migrations, check_version
from galclass.database.sqlite_functions import SqlScoring
from galclass.database.sqlite_locks import BUSY_TIMEOUT_S, run_when_unlocked
from galclass.errors import DatabaseError, DatabaseValueError
from galclass.extras import missing_extra

LOCK_TIMEOUT_S = BUSY_TIMEOUT_S
"""How long a statement waits for another session's lock on PostgreSQL, where the role or database sets no limit."""

_LIMIT_LOCKS = (
    "SELECT set_config('lock_timeout', %s, false) FROM pg_settings WHERE name = 'lock_timeout' AND source = 'default'"
)
_LOCK_NOT_AVAILABLE = "55P03"

_WRITES = "galclass_writes"
_PRAGMAS = (
    "journal_mode = WAL",
    "journal_size_limit = 16777216",  # the WAL shrinks to 16 MiB again after a large transaction
    "synchronous = NORMAL",
    "foreign_keys = ON",
    "cache_size = -32000",
)


class Database:
    """One database; safe to share between threads, not across a fork.

    Parameters
    ----------
    url : str
        SQLAlchemy URL or the path of a SQLite file.
    model : str
        Which model the SQL functions of SQLite connections use.

    Attributes
    ----------
    engine : sqlalchemy.Engine
    dialect : "sqlite" or "postgresql"
    functions : SqlScoring or None
        The scorer behind the SQL functions; None on PostgreSQL, where they live in the server.
    """

    def __init__(self, url: str, *, model: str = "galaxy") -> None:
        self._url = parse_url(url)
        self.dialect = self._url.get_backend_name()
        self.functions = SqlScoring(self.path, model) if self.path else None
        if self.dialect == "sqlite":
            self.engine = _sqlite_engine(self._url, self.functions)
        else:
            self.engine = _postgresql_engine(self._url)

    @property
    def url(self) -> str:
        """The URL without its password."""
        return self._url.render_as_string(hide_password=True)

    @property
    def full_url(self) -> str:
        """The URL with its password, for opening the same database from another process."""
        return self._url.render_as_string(hide_password=False)

    @property
    def path(self) -> Path | None:
        """The SQLite file; None for PostgreSQL or a database in memory."""
        file = self._url.database
        return Path(file) if self.dialect == "sqlite" and file not in (None, "", ":memory:") else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection in a transaction; on PostgreSQL each statement of it sees what is committed by then."""
        with translated(self.url), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Yield a connection in a transaction whose statements all read the same state of the database."""
        with translated(self.url), self.engine.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that writes; keep it short, score outside it.

        On SQLite it begins as IMMEDIATE: a plain BEGIN that reads and then writes can fail as locked in spite
        of the timeout.
        """
        with translated(self.url), self.engine.connect() as plain:
            connection = plain.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    def migrate(self) -> list[str]:
        """Bring the schema up to date; return the names of the migrations applied."""
        if not self.missing_migrations():
            return []
        with self.write() as connection:
            return apply_migrations(connection, self.url)

    def missing_migrations(self) -> list[str]:
        """Return the names of the migrations that the schema lacks."""
        with self.read() as connection:
            return [f"{step.id:04d}_{step.name}" for step in check_version(connection, self.url)]

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
        if self.functions is not None:
            self.functions.close()


def open_database(url: str | Path, *, migrate: bool | None = None, model: str = "galaxy") -> Database:
    """Open a database and see to its schema.

    Parameters
    ----------
    url : str or path
        `sqlite:///file.db`, `postgresql://user@host/name`, or the path of a SQLite file.
    migrate : bool, optional
        Whether to bring an old or empty schema up to date. By default SQLite files are, PostgreSQL is not:
        there a `DatabaseError` asks for `galclass db migrate`.
    model : str
        Which model is behind `predict_galaxy_class(img)` and friends on SQLite connections.

    Raises
    ------
    DatabaseError
        If the URL is no database, cannot be reached, or the schema is not ours.
    """
    database = Database(str(url), model=model)
    try:
        _see_to_schema(database, migrate)
    except BaseException:
        database.close()
        raise
    return database


def _see_to_schema(database: Database, migrate: bool | None) -> None:
    if migrate or (migrate is None and database.dialect == "sqlite"):
        database.migrate()
        return
    missing = database.missing_migrations()
    if missing:
        raise DatabaseError(
            f"its schema lacks {', '.join(missing)}",
            where=database.url,
            advice="run `galclass db migrate` once, with a role that may create tables",
        )


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what a driver raises into a `DatabaseError`."""
    try:
        yield
    except DataError as error:  # says nothing of the database, as a client may have sent the value
        raise DatabaseValueError("a value does not fit: text with a NUL, or a number out of range") from error
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseError(str(cause).strip().splitlines()[0], where=where, advice=_advice(cause)) from error
    except sqlite3.Error as error:  # where a transaction begins, SQLAlchemy passes it on as it is
        raise DatabaseError(str(error), where=where) from error


def _advice(cause: BaseException) -> str | None:
    if getattr(cause, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
        return (
            "another session holds a lock on these rows or this table: end its transaction, or wait and run the "
            "command again; `SELECT pid, state, query FROM pg_stat_activity` names the sessions"
        )
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_READONLY:
        return None
    return "SQLite writes beside the file also to read it: copy it into a folder that you may write"


def parse_url(text: str) -> URL:
    """Read a URL or a file path; PostgreSQL always goes through psycopg 3."""
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise DatabaseError(f"{text!r} is not a database URL", expected="sqlite:///FILE or postgresql://...") from error
    backend = url.get_backend_name()
    if backend in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise DatabaseError(f"{backend!r} is not a supported database", expected="sqlite:///FILE or postgresql://...")
    return url


def _sqlite_engine(url: URL, functions: SqlScoring | None) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        if run_when_unlocked(connection, "PRAGMA page_count") == [(0,)]:  # a new file: later it would take a VACUUM
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for pragma in _PRAGMAS:
            run_when_unlocked(connection, f"PRAGMA {pragma}")
        if functions is not None:
            functions.install(connection)

    @event.listens_for(engine, "handle_error")
    def _explain(context: ExceptionContext) -> None:
        if functions is not None and "user-defined function" in str(context.original_exception):
            error, functions.error = functions.error, None
            if error is not None:  # sqlite3 keeps what a function raises to itself
                raise error from context.original_exception

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        raw: Any = connection.connection.dbapi_connection
        if writes:
            run_when_unlocked(raw, "BEGIN IMMEDIATE")
        else:
            raw.execute("BEGIN")
            run_when_unlocked(raw, "SELECT 1 FROM sqlite_schema LIMIT 1")  # takes the lock of a reader here

    return engine


def _postgresql_engine(url: URL) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise missing_extra(error, "PostgreSQL") or error from error

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        # A SET, as a pooler such as PgBouncer refuses it among the parameters of a connection; own settings stay.
        connection.execute(_LIMIT_LOCKS, (f"{int(LOCK_TIMEOUT_S * 1000)}ms",))
        connection.commit()

    return engine
