"""Room on the disk: free pages of a SQLite file, and how they go back to the system.

SQLite keeps deleted pages for later rows. A file made with incremental auto-vacuum gives them back step by step; an
older one must be rewritten once (`galclass db vacuum`). PostgreSQL reuses the space of deleted rows by itself.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from galclass.database.connection import Database
from galclass.database.sqlite_locks import when_unlocked
from galclass.errors import DatabaseError

INCREMENTAL = 2
"""PRAGMA auto_vacuum of a file that can give pages back while it is used."""

_PAGES_A_STEP = 2000

_STEPS = 10_000
"""Instructions of SQLite's machine between two looks at whether Ctrl-C came; a few milliseconds."""


@dataclass(frozen=True)
class Space:
    """How large a SQLite file is, and how much of it is free.

    Attributes
    ----------
    size_bytes, free_bytes : int
    incremental : bool
        Whether free pages can be given back while the file is used.
    """

    size_bytes: int
    free_bytes: int
    incremental: bool


def space_of(connection: Connection) -> Space:
    """Return the size of a SQLite file and its free pages."""
    page, count, free, mode = (
        int(connection.scalar(text(f"PRAGMA {name}")) or 0)
        for name in ("page_size", "page_count", "freelist_count", "auto_vacuum")
    )
    return Space(page * count, page * free, mode == INCREMENTAL)


def give_back_pages(database: Database, kept_bytes: int = 0) -> bool:
    """Return some free pages of a SQLite file to the system; returns whether there were any.

    Parameters
    ----------
    database : Database
    kept_bytes : int
        Free pages that are not given back.
    """
    if database.dialect != "sqlite":
        return False
    with database.read() as connection:
        space = space_of(connection)
    if not space.incremental or space.free_bytes <= kept_bytes:
        return False
    _run_alone(database, f"PRAGMA incremental_vacuum({_PAGES_A_STEP}); PRAGMA wal_checkpoint(PASSIVE)")
    return True


def vacuum(database: Database) -> tuple[Space, Space]:
    """Rewrite a SQLite file without its free pages, and let it free later ones by itself.

    It needs free disk of the size of the new file twice, and nobody can write meanwhile.

    Returns
    -------
    tuple of Space
        Before and after.

    Raises
    ------
    DatabaseError
        If it is no SQLite file, the disk is too small, or somebody else uses it.
    """
    if database.dialect != "sqlite":
        raise DatabaseError(
            "PostgreSQL reuses the space of deleted rows by itself",
            where=database.url,
            advice="VACUUM FULL in psql returns it to the system",
        )
    with database.read() as connection:
        before = space_of(connection)
    _run_alone(database, f"PRAGMA auto_vacuum = {INCREMENTAL}; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
    with database.read() as connection:
        return before, space_of(connection)


def _look() -> int:
    """Let Python run its signal handlers: inside SQLite it would not notice Ctrl-C."""
    return 0


def _run_alone(database: Database, script: str) -> None:
    """Run statements outside of any transaction and to their end; `execute` would free a single page and stop."""
    with closing(database.engine.raw_connection()) as connection:
        driver: Any = connection.driver_connection
        driver.set_progress_handler(_look, _STEPS)
        try:
            when_unlocked(driver, lambda: driver.executescript(script))
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                raise KeyboardInterrupt from error
            raise DatabaseError(str(error), where=database.url) from error
        finally:
            driver.set_progress_handler(None, 0)
