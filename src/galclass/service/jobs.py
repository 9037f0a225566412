"""Batch jobs as rows: images wait in the database, a worker scores them, results can be read as they come.

Takes a database, writes `galaxy_jobs` and `galaxy_job_items`. A job survives a restart of everything: its
state is in its rows, and a job whose worker died is taken over when its heartbeat is `LOST_S` old.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update

from galclass.database import Database
from galclass.database.schema import images, job_items, jobs
from galclass.database.types import now
from galclass.morphology import CLASSES
from galclass.scoring import ImageFault, ModelId, Prediction
from galclass.service.errors import RequestError
from galclass.service.inputs import ImageInput

OPEN, QUEUED, RUNNING, DONE, CANCELLED, FAILED = "open", "queued", "running", "done", "cancelled", "failed"
UNFINISHED = (OPEN, QUEUED, RUNNING)

LOST_S = 15.0
"""Age of a running job's last sign of life at which another worker takes it over."""

MAX_UNFINISHED = 100
"""Jobs that wait or run in one database."""

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
        Days until a job and its results are deleted.
    """

    def __init__(self, database: Database, days: float) -> None:
        self._database = database
        self._days = days

    def create(self, service: str, version: str, by: str) -> Job:
        """Make an open job without images.

        Raises
        ------
        RequestError
            `overloaded`, when `MAX_UNFINISHED` jobs are not finished.
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
            "expires_at": moment + timedelta(days=self._days),
        }
        unfinished = select(func.count()).select_from(jobs).where(jobs.c.state.in_(UNFINISHED))
        with self._database.write() as connection:
            if (connection.scalar(unfinished) or 0) >= MAX_UNFINISHED:
                raise RequestError("overloaded", "too many jobs are not finished", expected=f"up to {MAX_UNFINISHED}")
            connection.execute(jobs.insert().values(**row))
            return _get(connection, job_id)

    def add(self, job_id: str, new: Sequence[ImageInput]) -> Job:
        """Add images to an open job; one without bytes stands for the stored image of its object id.

        Raises
        ------
        RequestError
            `unknown_job`, `conflict` if it was started, `too_many_images`, `unknown_object`.
        """
        with self._database.write() as connection:
            job = _get(connection, job_id)
            if job.state != OPEN:
                raise RequestError("conflict", "the job is not open any more", got=job.state, field="id")
            if job.total + len(new) > MAX_IMAGES:
                raise RequestError("too_many_images", "too many images in one job", expected=f"at most {MAX_IMAGES}")
            _check_stored(connection, [one.object_id for one in new if not one.data])
            rows = [
                {"job_id": job_id, "position": job.total + place, "object_id": one.object_id, "img": one.data or None}
                for place, one in enumerate(new)
            ]
            if rows:
                connection.execute(job_items.insert(), rows)
            _set(connection, job_id, total=job.total + len(rows))
            return _get(connection, job_id)

    def start(self, job_id: str) -> Job:
        """Queue an open job; a started one is left as it is.

        Raises
        ------
        RequestError
            `unknown_job`.
        """
        with self._database.write() as connection:
            if _get(connection, job_id).state == OPEN:
                _set(connection, job_id, state=QUEUED)
            return _get(connection, job_id)

    def cancel(self, job_id: str) -> Job:
        """Stop a job; the results it has stay until it expires.

        Raises
        ------
        RequestError
            `unknown_job`.
        """
        with self._database.write() as connection:
            if _get(connection, job_id).state in UNFINISHED:
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

    def next_items(self, job_id: str) -> list[JobItem]:
        """Give the next images of a job that have no answer."""
        c = job_items.c
        columns = (c.position, c.object_id, func.coalesce(c.img, images.c.img), images.c.frame_px, c.img.is_(None))
        joined = job_items.outerjoin(images, images.c.object_id == c.object_id)
        query = select(*columns).select_from(joined).where(c.job_id == job_id, c.record.is_(None))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(c.position).limit(CHUNK)).all()
        return [JobItem(row[0], row[1], bytes(row[2] or b""), row[3] if row[4] else None) for row in rows]

    def save(self, job_id: str, items: Sequence[JobItem], predictions: Sequence[Prediction]) -> bool:
        """Store answers and give a sign of life; False when the job is not running any more."""
        c = job_items.c
        with self._database.write() as connection:
            if _get(connection, job_id).state != RUNNING:
                return False
            for item, prediction in zip(items, predictions, strict=True):
                where = (c.job_id == job_id, c.position == item.position)
                connection.execute(update(job_items).where(*where).values(record=stored_record(prediction), img=None))
            answered = select(func.count()).select_from(job_items).where(c.job_id == job_id, c.record.is_not(None))
            _set(connection, job_id, done=connection.scalar(answered) or 0)
            return True

    def finish(self, job_id: str, error: str | None = None) -> None:
        """Mark a running job as done, or as failed for a reason."""
        with self._database.write() as connection:
            if _get(connection, job_id).state == RUNNING:
                _set(connection, job_id, state=FAILED if error else DONE, error=error)

    def expire(self) -> int:
        """Delete jobs past their time with their results; gives how many."""
        with self._database.write() as connection:
            old = select(jobs.c.id).where(jobs.c.expires_at < now())
            connection.execute(delete(job_items).where(job_items.c.job_id.in_(old)))
            return connection.execute(delete(jobs).where(jobs.c.expires_at < now())).rowcount


def stored_record(prediction: Prediction) -> dict[str, Any]:
    """Give what a job keeps of an answer: the JSON record and when it was made, which tables show."""
    return {**prediction.as_json(), "scored_at": prediction.as_row()["scored_at"]}


def row_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give a stored record as the row of CSV and Parquet."""
    probabilities, error = record["probabilities"], record.get("error")
    prediction = Prediction(
        record["object_id"],
        ModelId(**record["model"]),
        probabilities=tuple(probabilities[leaf] for leaf in CLASSES) if probabilities else None,
        predicted_class=record["predicted_class"],
        predicted_group=record["predicted_group"],
        prediction_set=tuple(record["prediction_set"]),
        flags=tuple(record["flags"]),
        vote_fractions={
            key: (one["fraction"], one["low"], one["high"]) for key, one in record["vote_fractions"].items()
        },
        error=ImageFault(error["code"], error["message"]) if error else None,
    )
    return {**prediction.as_row(), "scored_at": record.get("scored_at")}  # answers of older versions have none


def _get(connection: Connection, job_id: str) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one_or_none()
    if row is None or row["expires_at"] < now():
        raise RequestError("unknown_job", "no such job, or it expired", field="id")
    values = {name: value for name, value in row.items() if not name.startswith("service_")}
    return Job(service=row["service_name"], version=row["service_version"], **values)


def _set(connection: Connection, job_id: str, **values: object) -> None:
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values, updated_at=now()))


def _check_stored(connection: Connection, object_ids: list[str]) -> None:
    for start in range(0, len(object_ids), 500):
        part = object_ids[start : start + 500]
        known = set(connection.scalars(select(images.c.object_id).where(images.c.object_id.in_(part))))
        missing = [one for one in part if one not in known]
        if missing:
            raise RequestError("unknown_object", f"no image is stored for {missing[0]!r}", field="object_ids")
