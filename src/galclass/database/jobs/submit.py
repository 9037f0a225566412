"""Batch jobs as clients use them: make one, add images, start, cancel, read results, delete.

Takes a database, writes `galaxy_jobs` and `galaxy_job_items`. A job survives a restart of everything: its state is in
its rows. Workers take jobs from `JobQueue`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from galclass.database import Database
from galclass.database.jobs.quotas import MAX_IMAGES, JobLimits, Quotas
from galclass.database.jobs.rows import (
    CANCELLED,
    OPEN,
    QUEUED,
    UNFINISHED,
    Job,
    JobImage,
    delete_items,
    free_images,
    get_row,
    insert_images,
    job_of,
    lock_row,
    set_values,
)
from galclass.database.schema import images, job_items, jobs
from galclass.database.types import now
from galclass.errors import RequestError

OPEN_FOR = timedelta(hours=1)
"""Time after which an open job that got no more images is deleted: whoever opens jobs must not keep others out."""

_STEPS_AT_ONCE = 8
"""Steps of freeing or deleting that the request itself does; the rest is done beside the work on other jobs."""


class Jobs:
    """The batch jobs of a database.

    Parameters
    ----------
    database : Database
    days : float
        Days from its start until a job and its results are deleted.
    limits : JobLimits
    """

    def __init__(self, database: Database, days: float, limits: JobLimits | None = None) -> None:
        self._database = database
        self._days = timedelta(days=days)
        self.quotas = Quotas(limits or JobLimits(), database.path)

    def submit(
        self,
        service: str,
        version: str,
        by: str,
        new: Sequence[JobImage],
        *,
        start: bool = True,
        client: str | None = None,
    ) -> Job:
        """Create a job with its images, queued or open for more; if anything fails, there is no job.

        Parameters
        ----------
        service, version : str
        by : str
            Who is shown as the one who made it.
        new : sequence of JobImage
        start : bool
            Whether it is queued at once.
        client : str, optional
            Whom it counts for; `by` where left out.

        Raises
        ------
        RequestError
            `too_many_jobs`, `overloaded`; what `add` raises.
        """
        moment, job_id = now(), secrets.token_urlsafe(16)
        row: dict[str, Any] = {
            "id": job_id,
            "service_name": service,
            "service_version": version,
            "state": OPEN,
            "created_at": moment,
            "created_by": by,
            "updated_at": moment,
            "expires_at": moment + min(OPEN_FOR, self._days),
            "client": by if client is None else client,
        }
        row |= dict.fromkeys(("total", "done", "img_bytes", "turn", "answered", "takeovers", "tries", "careful_to"), 0)
        with self._database.write() as connection:
            self.quotas.check_new_job(connection, row["client"], start=start)
            self._check(connection, row, new)
            connection.execute(jobs.insert().values(**row))
            insert_images(connection, row, new)
            if start:
                self._queue(connection, job_id)
            return job_of(get_row(connection, job_id))

    def add(self, job_id: str, new: Sequence[JobImage]) -> Job:
        """Add images to an open job; one without bytes stands for the stored image of its object id.

        Raises
        ------
        RequestError
            `unknown_job`, `conflict` if it was started, `too_many_images`, `unknown_object`, `client_quota`,
            `storage_full`.
        """
        with self._database.write() as connection:
            row = lock_row(connection, job_id)
            if row["state"] != OPEN:
                raise RequestError("conflict", "the job is no longer open", got=row["state"], field="id")
            self._check(connection, row, new)
            insert_images(connection, row, new)
            set_values(connection, job_id, expires_at=now() + min(OPEN_FOR, self._days))
            return job_of(get_row(connection, job_id))

    def _check(self, connection: Connection, row: Any, new: Sequence[JobImage]) -> None:
        if row["total"] + len(new) > MAX_IMAGES:
            raise RequestError("too_many_images", "too many images in one job", expected=f"at most {MAX_IMAGES}")
        self.quotas.check_images(connection, row["client"], len(new), sum(len(one.data) for one in new))
        _check_stored(connection, [one.object_id for one in new if not one.data and one.record is None])

    def start(self, job_id: str) -> Job:
        """Queue an open job; a started one is left as it is.

        Raises
        ------
        RequestError
            `unknown_job`; `overloaded`, when as many jobs wait or run as may.
        """
        with self._database.write() as connection:
            if lock_row(connection, job_id)["state"] == OPEN:
                self.quotas.check_room(connection, start=True)
                self._queue(connection, job_id)
            return job_of(get_row(connection, job_id))

    def _queue(self, connection: Connection, job_id: str) -> None:
        set_values(connection, job_id, state=QUEUED, expires_at=now() + self._days)

    def cancel(self, job_id: str) -> Job:
        """Stop a job and free its images; the results it has stay until it expires or is deleted.

        Raises
        ------
        RequestError
            `unknown_job`.
        """
        with self._database.write() as connection:
            row = lock_row(connection, job_id)
            if row["state"] in UNFINISHED:
                set_values(connection, job_id, state=CANCELLED, worker=None, beat_at=None)
            job = job_of(get_row(connection, job_id))
        after: int | None = row["answered"] - 1
        for _ in range(_STEPS_AT_ONCE):
            if job.state != CANCELLED or after is None:
                break
            with self._database.write() as connection:
                lock_row(connection, job_id)
                after = free_images(connection, job_id, after)
        return job

    def delete(self, job_id: str) -> Job:
        """Stop a job and delete it with its images and results; returns what it was.

        Raises
        ------
        RequestError
            `unknown_job`.
        """
        job = self.cancel(job_id)
        with self._database.write() as connection:
            lock_row(connection, job_id)
            past = now() - timedelta(seconds=1)
            set_values(connection, job_id, expires_at=past)  # nobody sees it from here on
        for _ in range(_STEPS_AT_ONCE):
            with self._database.write() as connection:
                if not delete_items(connection, job_id):
                    break
        return job

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises
        ------
        RequestError
            `unknown_job`.
        """
        with self._database.read() as connection:
            return job_of(get_row(connection, job_id))

    def results(self, job_id: str, after: int, limit: int) -> tuple[Job, list[tuple[int, dict[str, Any]]]]:
        """Return a job and its next results: (position, record) in order, without gaps as long as it is unfinished."""
        c = job_items.c
        query = select(c.position, c.record).where(c.job_id == job_id, c.position > after, c.record.is_not(None))
        with self._database.read() as connection:
            row = get_row(connection, job_id)
            if row["state"] in UNFINISHED:  # an image beyond may be refused already: who reads on would miss others
                query = query.where(c.position < row["answered"])
            rows = connection.execute(query.order_by(c.position).limit(limit)).all()
            return job_of(row), [(one.position, one.record) for one in rows]


def _check_stored(connection: Connection, object_ids: list[str]) -> None:
    for start in range(0, len(object_ids), 500):
        part = object_ids[start : start + 500]
        known = set(connection.scalars(select(images.c.object_id).where(images.c.object_id.in_(part))))
        missing = [one for one in part if one not in known]
        if missing:
            raise RequestError("unknown_object", f"no image is stored for {missing[0]!r}", field="object_ids")
