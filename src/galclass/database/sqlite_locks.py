"""Wait for the locks of a SQLite file in short steps: inside SQLite, a wait of 30 s does not notice Ctrl-C."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

BUSY_TIMEOUT_S = 30.0
"""How long a connection waits for another's lock."""

_STEP_MS = 200
_PAUSE_S = 0.02
"""Between attempts, since some statements fail at once however long SQLite may wait."""


_Result = TypeVar("_Result")


def when_unlocked(connection: Any, run: Callable[[], _Result]) -> _Result:
    """Run what may have to wait for a lock, again from its start while the file is locked.

    Parameters
    ----------
    connection : sqlite3.Connection
        Or SQLAlchemy's view of one.
    run : callable
        Executes statements on the connection.

    Raises
    ------
    sqlite3.OperationalError
        If the file stays locked for `BUSY_TIMEOUT_S`, or for another reason.
    """
    until = time.monotonic() + BUSY_TIMEOUT_S
    connection.execute(f"PRAGMA busy_timeout = {_STEP_MS}")
    try:
        while True:
            try:
                return run()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
            time.sleep(_PAUSE_S)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")


def run_when_unlocked(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    """Run one statement as `when_unlocked` does, and return its rows."""
    return when_unlocked(connection, lambda: connection.execute(statement).fetchall())
