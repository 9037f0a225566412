"""Batch jobs as rows: images wait in the database, a worker scores them, results can be read as they come.

Takes a database, writes `galaxy_jobs` and `galaxy_job_items`. A job survives a restart of everything: its
state is in its rows, and a job whose worker died is taken over when its heartbeat is `LOST_S` old.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, delete, func, or_, select, update

from galclass.database import Database
from galclass.database.schema import images, job_items, jobs
from galclass.database.types import now
from galclass.scoring import Prediction
from galclass.service.errors import RequestError
from galclass.service.inputs import ImageInput
from galclass.service.records import stored_record

OPEN, QUEUED, RUNNING, DONE, CANCELLED, FAILED = "open", "queued", "running", "done", "cancelled", "failed"
UNFINISHED = (OPEN, QUEUED, RUNNING)

LOST_S = 15.0
"""Age of a running job's last sign of life at which another worker takes it over."""

MAX_UNFINISHED = 100
"""Jobs that wait or run in one database; as many more may be open."""

OPEN_FOR = timedelta(hours=1)
"""Time after which an open job that got no more images is deleted: whoever opens jobs must not keep others out."""

MAX_IMAGES = 100_000
"""Images of one job."""

CHUNK = 16
"""Images scored between two signs of life."""


@dataclass(frozen=True)
class Job:
    """A batch job; the columns of galaxy_jobs."""

    id: str
    service: str
    version: str
    state: str
    total: int
    done: int
    error: str | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class JobItem:
    """One image of a job that waits for its answer."""

    position: int
    object_id: str
    img: bytes
    frame_px: int | None


class Jobs:
    """The batch jobs of a database.

    Parameters
    ----------
    database : Database
    days : float
        Days from its start until a job and its results are deleted.
    """

    def __init__(self, database: Database, days: float) -> None:
        self._database = database
        self._days = timedelta(days=days)

    def create(self, service: str, version: str, by: str) -> Job:
        """Make an open job without images.

        Raises
        ------
        RequestError
            `overloaded`, when `MAX_UNFINISHED` jobs are open.
        """
        return self.submit(service, version, by, (), start=False)

    def submit(self, service: str, version: str, by: str, new: Sequence[ImageInput], *, start: bool = True) -> Job:
        """Make a job with its images, queued or open for more; where anything fails, there is no job.

        Raises
        ------
        RequestError
            `overloaded`, when `MAX_UNFINISHED` jobs wait or run, or as many are open; what `add` raises.
        """
        moment, job_id = now(), secrets.token_urlsafe(16)
        row = {
            "id": job_id,
            "service_name": service,
            "service_version": version,
            "state": OPEN,
            "total": 0,
            "done": 0,
            "created_at": moment,
            "created_by": by,
            "updated_at": moment,
            "expires_at": moment + min(OPEN_FOR, self._days),
        }
        with self._database.write() as connection:
            _check_room(connection, (QUEUED, RUNNING) if start else (OPEN,))
            connection.execute(jobs.insert().values(**row))
            if new:
                self._add(connection, _get(connection, job_id), new)
            if start:
                self._queue(connection, job_id)
            return _get(connection, job_id)

    def add(self, job_id: str, new: Sequence[ImageInput]) -> Job:
        """Add images to an open job; a stored one stands for the image of its object id in the database.

        Raises
        ------
        RequestError
            `unknown_job`, `conflict` if it was started, `too_many_images`, `unknown_object`.
        """
        with self._database.write() as connection:
            job = _locked(connection, job_id)
            if job.state != OPEN:
                raise RequestError("conflict", "the job is not open any more", got=job.state, field="id")
            self._add(connection, job, new)
            return _get(connection, job_id)

    def _add(self, connection: Connection, job: Job, new: Sequence[ImageInput]) -> None:
        if job.total + len(new) > MAX_IMAGES:
            raise RequestError("too_many_images", "too many images in one job", expected=f"at most {MAX_IMAGES}")
        _check_stored(connection, [one.object_id for one in new if one.stored])
        rows = [
            {"job_id": job.id, "position": job.total + place, "object_id": one.object_id, "img": _data(one)}
            for place, one in enumerate(new)
        ]
        if rows:
            connection.execute(job_items.insert(), rows)
        expires_at = now() + min(OPEN_FOR, self._days)
        _set(connection, job.id, total=job.total + len(rows), expires_at=expires_at)

    def start(self, job_id: str) -> Job:
        """Queue an open job; a started one is left as it is.

        Raises
        ------
        RequestError
            `unknown_job`; `overloaded`, when `MAX_UNFINISHED` jobs wait or run.
        """
        with self._database.write() as connection:
            if _locked(connection, job_id).state == OPEN:
                _check_room(connection, (QUEUED, RUNNING))
                self._queue(connection, job_id)
            return _get(connection, job_id)

    def _queue(self, connection: Connection, job_id: str) -> None:
        _set(connection, job_id, state=QUEUED, expires_at=now() + self._days)

    def cancel(self, job_id: str) -> Job:
        """Stop a job; the results it has stay until it expires.

        Raises
        ------
        RequestError
            `unknown_job`.
        """
        with self._database.write() as connection:
            if _locked(connection, job_id).state in UNFINISHED:
                _set(connection, job_id, state=CANCELLED)
                connection.execute(update(job_items).where(job_items.c.job_id == job_id).values(img=None))
            return _get(connection, job_id)

    def get(self, job_id: str) -> Job:
        """Give a job.

        Raises
        ------
        RequestError
            `unknown_job`.
        """
        with self._database.read() as connection:
            return _get(connection, job_id)

    def results(self, job_id: str, after: int, limit: int) -> tuple[Job, list[tuple[int, dict[str, Any]]]]:
        """Give a job and its next results: (position, record) in order."""
        c = job_items.c
        query = select(c.position, c.record).where(c.job_id == job_id, c.position > after, c.record.is_not(None))
        with self._database.read() as connection:
            job = _get(connection, job_id)
            rows = connection.execute(query.order_by(c.position).limit(limit)).all()
            return job, [(row.position, row.record) for row in rows]

    def claim(self) -> Job | None:
        """Take the oldest job that waits or whose worker is lost; None when there is none."""
        lost = now() - timedelta(seconds=LOST_S)
        waits = or_(jobs.c.state == QUEUED, (jobs.c.state == RUNNING) & (jobs.c.updated_at < lost))
        with self._database.read() as connection:
            if connection.scalar(select(jobs.c.id).where(waits).limit(1)) is None:
                return None  # the usual case takes no write lock
        with self._database.write() as connection:
            query = select(jobs.c.id).where(waits).order_by(jobs.c.created_at).limit(1)
            job_id = connection.scalar(query.with_for_update(skip_locked=True))
            if job_id is None:
                return None
            _set(connection, job_id, state=RUNNING)
            return _get(connection, job_id)

    def next_items(self, job_id: str, after: int = -1) -> list[JobItem]:
        """Give the next images of a job that have no answer, beyond a position up to which all have one."""
        c = job_items.c
        columns = (c.position, c.object_id, func.coalesce(c.img, images.c.img), images.c.frame_px, c.img.is_(None))
        joined = job_items.outerjoin(images, images.c.object_id == c.object_id)
        waiting = (c.job_id == job_id, c.position > after, c.record.is_(None))
        query = select(*columns).select_from(joined).where(*waiting)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(c.position).limit(CHUNK)).all()
        return [JobItem(row[0], row[1], bytes(row[2] or b""), row[3] if row[4] else None) for row in rows]

    def save(self, job_id: str, items: Sequence[JobItem], predictions: Sequence[Prediction]) -> bool:
        """Store answers and give a sign of life; False when the job is not running any more.

        An image that has an answer keeps it, so that two workers on one job, of which one was thought lost, count
        each image once.
        """
        c = job_items.c
        with self._database.write() as connection:
            job = _locked(connection, job_id)
            if job.state != RUNNING:
                return False
            new = 0
            for item, prediction in zip(items, predictions, strict=True):
                where = (c.job_id == job_id, c.position == item.position, c.record.is_(None))
                values = {"record": stored_record(prediction), "img": None}
                new += connection.execute(update(job_items).where(*where).values(**values)).rowcount
            _set(connection, job_id, done=job.done + new)
            return True

    def finish(self, job_id: str, error: str | None = None) -> None:
        """Mark a running job as done, or as failed for a reason."""
        with self._database.write() as connection:
            if _locked(connection, job_id).state == RUNNING:
                _set(connection, job_id, state=FAILED if error else DONE, error=error)

    def expire(self) -> int:
        """Delete jobs past their time with their images and results; gives how many."""
        with self._database.write() as connection:
            return connection.execute(delete(jobs).where(jobs.c.expires_at < now())).rowcount


def _get(connection: Connection, job_id: str) -> Job:
    return _job(connection, select(jobs).where(jobs.c.id == job_id))


def _locked(connection: Connection, job_id: str) -> Job:
    """Give a job as it is, and keep other writers away from it until the transaction ends.

    Without, PostgreSQL would let two transactions read the same state and both go on from it.
    """
    return _job(connection, select(jobs).where(jobs.c.id == job_id).with_for_update())


def _job(connection: Connection, query: Select[Any]) -> Job:
    row = connection.execute(query).mappings().one_or_none()
    if row is None or row["expires_at"] < now():
        raise RequestError("unknown_job", "no such job, or it expired", field="id")
    values = {name: value for name, value in row.items() if not name.startswith("service_")}
    return Job(service=row["service_name"], version=row["service_version"], **values)


def _check_room(connection: Connection, states: tuple[str, ...]) -> None:
    there = (jobs.c.state.in_(states), jobs.c.expires_at >= now())
    if (connection.scalar(select(func.count()).select_from(jobs).where(*there)) or 0) >= MAX_UNFINISHED:
        raise RequestError("overloaded", f"too many jobs are {' or '.join(states)}", expected=f"up to {MAX_UNFINISHED}")


def _set(connection: Connection, job_id: str, **values: object) -> None:
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values, updated_at=now()))


def _data(image: ImageInput) -> bytes | None:
    """Return what a job keeps of an image; an empty file is not the stored image of its name."""
    return None if image.stored else image.data


def _check_stored(connection: Connection, object_ids: list[str]) -> None:
    for start in range(0, len(object_ids), 500):
        part = object_ids[start : start + 500]
        known = set(connection.scalars(select(images.c.object_id).where(images.c.object_id.in_(part))))
        missing = [one for one in part if one not in known]
        if missing:
            raise RequestError("unknown_object", f"no image is stored for {missing[0]!r}", field="object_ids")
