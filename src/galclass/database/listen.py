"""Wait for new images: PostgreSQL's NOTIFY where there is one, a poll every second everywhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from galclass.database.connection import Database
from galclass.errors import DatabaseError

POLL_S = 1.0
CHANNEL = "galaxy_images"
"""Notified once per INSERT statement on `galaxy_images`."""


class Waker:
    """A context manager whose `wait` returns when something may have arrived, after a second at the latest."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None

    def __enter__(self) -> Waker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()

    def wait(self, timeout_s: float = POLL_S) -> None:
        """Sleep until a notification or the timeout.

        Raises
        ------
        DatabaseError
            If the server is gone.
        """
        if self._database.dialect != "postgresql":
            time.sleep(timeout_s)
            return
        import psycopg

        try:
            if self._connection is None:
                plain = self._database.full_url.replace("postgresql+psycopg://", "postgresql://", 1)
                self._connection = psycopg.connect(plain, autocommit=True)
                self._connection.execute(f"LISTEN {CHANNEL}")
                return
            list(self._connection.notifies(timeout=timeout_s, stop_after=1))
        except psycopg.Error as error:
            raise DatabaseError(str(error).strip(), where=self._database.url) from error
