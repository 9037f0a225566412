"""Free disk space step by step: images of finished jobs, expired jobs, and free pages of a SQLite file.

Each step is one short transaction, so that nobody waits for a large deletion.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from time import monotonic

from sqlalchemy import Connection, delete, exists, select, text

from galclass.database import Database
from galclass.database.jobs.rows import CANCELLED, DONE, FAILED, delete_items, first_unlocked, free_images
from galclass.database.schema import job_clients, jobs
from galclass.database.space import give_back_pages
from galclass.database.types import now

_EVERY_S = 5.0
"""Time between two looks when there was nothing to do."""

KEPT_BYTES = 256 * 1024 * 1024
"""Free pages of a SQLite file that are kept for the next images while jobs wait."""


class Sweeper:
    """Frees the space that jobs no longer need.

    Parameters
    ----------
    database : Database
    clock : callable
        Returns the time in UTC.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._clock = clock
        self._freed: tuple[str, int] = ("", -1)
        self._next_look = 0.0

    def step_if_due(self, *, busy: bool) -> bool:
        """Do a step if the last one had something to do, or some time has passed; returns whether this one had.

        Parameters
        ----------
        busy : bool
            Whether jobs wait: free pages, which they will soon need, are then given back only beyond `KEPT_BYTES`.
        """
        if monotonic() < self._next_look:
            return False
        did = self.step(KEPT_BYTES if busy else 0)
        self._next_look = 0.0 if did else monotonic() + _EVERY_S
        return did

    def step(self, kept_bytes: int = 0) -> bool:
        """Do one step; returns whether there was something to do.

        Parameters
        ----------
        kept_bytes : int
            Free pages of a SQLite file that are not given back.

        Raises
        ------
        DatabaseError
            If the database is unreachable.
        """
        return self._free() or self._expire() or give_back_pages(self._database, kept_bytes)

    def _free(self) -> bool:
        ended = jobs.c.state.in_((CANCELLED, FAILED, DONE))
        query = select(jobs.c.id, jobs.c.answered).where(text("galaxy_jobs.img_bytes > 0"), ended).limit(1)
        with first_unlocked(self._database, query) as found:
            if found is None:
                return False
            connection, row = found
            job_id, after = self._freed if self._freed[0] == row["id"] else (row["id"], row["answered"] - 1)
            last = free_images(connection, job_id, after)
        self._freed = ("", -1) if last is None else (job_id, last)
        return True

    def _expire(self) -> bool:
        query = select(jobs.c.id).where(jobs.c.expires_at < self._clock()).order_by(jobs.c.expires_at).limit(1)
        with first_unlocked(self._database, query) as found:
            if found is None:
                return False
            connection, row = found
            if not delete_items(connection, row["id"]):
                _forget_clients(connection)
        return True


def _forget_clients(connection: Connection) -> None:
    """Delete clients without jobs; one that comes back begins as a new one."""
    theirs = exists().where(jobs.c.client == job_clients.c.client)
    few = select(job_clients.c.client).where(~theirs).limit(1000)
    connection.execute(delete(job_clients).where(job_clients.c.client.in_(few)))
