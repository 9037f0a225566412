"""Batch jobs as workers see them: a chunk of one job at a time, the clients in turn.

A worker claims a job for one chunk, sends heartbeats while it scores, and saves, which releases the job. A claim
without a heartbeat for `LOST_S` is taken over; the worker that had it can save nothing any more.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, or_, select, update

from galclass.cutouts.headers import decode_seconds
from galclass.database import Database
from galclass.database.jobs.quotas import lock_client
from galclass.database.jobs.records import stored_record
from galclass.database.jobs.rows import (
    ARE_UNFINISHED,
    CHUNK,
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    Job,
    first_unlocked,
    job_of,
    lock_row,
    set_values,
)
from galclass.database.schema import images, job_clients, job_items, jobs
from galclass.database.types import now
from galclass.errors import RequestError
from galclass.scoring import Prediction

LOST_S = 15.0
"""Age of a claim's last heartbeat at which another worker takes its job over."""

MAX_TRIES = 3
"""Workers that may be lost on one image before it is given up."""

MAX_TAKEOVERS = 10
"""Takeovers of one job before it fails."""

CHUNK_BYTES, CHUNK_DECODE_S = 8 * 1024 * 1024, 1.0
"""Most that the images of one chunk have together, unless one alone has more."""


@dataclass(frozen=True)
class Claim:
    """A job that one worker holds for one chunk.

    Attributes
    ----------
    job : Job
    worker : str
        Random text that only this claim has.
    start : int
        Position below which every image has a result.
    one_by_one : bool
        Whether the chunk is one image, as a worker was lost near here.
    give_up : bool
        Whether that image is not scored any more, as `MAX_TRIES` workers were lost on it.
    """

    job: Job
    worker: str
    start: int
    one_by_one: bool
    give_up: bool


@dataclass(frozen=True)
class JobItem:
    """One image of a job that waits for its result."""

    position: int
    object_id: str
    img: bytes
    frame_px: int | None
    stored: bool


class JobQueue:
    """The jobs that wait for workers.

    Parameters
    ----------
    database : Database
    clock : callable, optional
        Returns the time in UTC; by default that of the PostgreSQL server, which is the same for all workers, or of this
        machine.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] | None = None) -> None:
        self._database = database
        self._clock = clock or self._shared_clock

    def _shared_clock(self) -> datetime:
        if self._database.dialect != "postgresql":
            return now()
        with self._database.read() as connection:
            moment: datetime = connection.scalars(select(func.clock_timestamp())).one()
        return moment

    def claim(self) -> Claim | None:
        """Take the next job: of the client that was served longest ago, the job that was; None when none waits.

        A job whose worker is lost is taken over; one that was taken over too often fails.
        """
        while True:
            moment = self._clock()
            with first_unlocked(self._database, self._waiting(moment), of=jobs) as found:
                if found is None:
                    return None
                claim = self._take(*found, moment)
            if claim is not None:
                return claim

    def _waiting(self, moment: datetime) -> Select[Any]:
        free = or_(jobs.c.worker.is_(None), jobs.c.beat_at < moment - timedelta(seconds=LOST_S))
        waits = or_(jobs.c.state == QUEUED, (jobs.c.state == RUNNING) & free)
        query = select(jobs).outerjoin(job_clients, job_clients.c.client == jobs.c.client)
        order = (func.coalesce(job_clients.c.turn, 0), jobs.c.turn, jobs.c.created_at)
        return query.where(ARE_UNFINISHED, waits, jobs.c.expires_at >= moment).order_by(*order).limit(1)

    def _take(self, connection: Connection, row: RowMapping, moment: datetime) -> Claim | None:
        lost = row["state"] == RUNNING and row["worker"] is not None
        tries, takeovers = row["tries"] + lost, row["takeovers"] + lost
        if takeovers > MAX_TAKEOVERS:
            error = f"its worker was lost {takeovers} times, last at {_where(connection, row)}"
            set_values(connection, row["id"], state=FAILED, worker=None, beat_at=None, error=error)
            return None
        lock_client(connection, row["client"])
        turn = (connection.scalar(select(func.max(job_clients.c.turn))) or 0) + 1
        connection.execute(update(job_clients).where(job_clients.c.client == row["client"]).values(turn=turn))
        careful_to = row["answered"] + CHUNK if lost else row["careful_to"]
        claim = Claim(
            job_of(row), secrets.token_hex(8), row["answered"], row["answered"] < careful_to, tries >= MAX_TRIES
        )
        held = {"state": RUNNING, "worker": claim.worker, "beat_at": moment, "turn": turn}
        counted = {"tries": tries, "takeovers": takeovers, "careful_to": careful_to}
        set_values(connection, row["id"], **held, **counted)
        return claim

    def next_items(self, claim: Claim) -> list[JobItem]:
        """Return the images of a claim's chunk; none when all have a result."""
        c = job_items.c
        image = func.coalesce(c.img, images.c.img)
        joined = job_items.outerjoin(images, images.c.object_id == c.object_id)
        waiting = (c.job_id == claim.job.id, c.position >= claim.start, c.record.is_(None))
        sizes = select(c.position, func.coalesce(func.length(image), 0)).select_from(joined).where(*waiting)
        most = 1 if claim.one_by_one else CHUNK
        columns = (c.position, c.object_id, image, images.c.frame_px, c.img.is_(None))
        with self._database.read() as connection:
            few = connection.execute(sizes.order_by(c.position).limit(most)).all()
            if not few:
                return []
            last = _last_within([(row[0], row[1]) for row in few])
            query = select(*columns).select_from(joined).where(*waiting, c.position <= last).order_by(c.position)
            rows = connection.execute(query).all()
        items = [JobItem(row[0], row[1], bytes(row[2] or b""), row[3] if row[4] else None, row[4]) for row in rows]
        return _quick_together(items)

    def beat(self, claim: Claim) -> bool:
        """Renew the claim; return False if it no longer holds."""
        held = (jobs.c.id == claim.job.id, jobs.c.worker == claim.worker, jobs.c.state == RUNNING)
        moment = self._clock()
        with self._database.write() as connection:
            done = connection.execute(update(jobs).where(*held).values(beat_at=moment))
            return bool(done.rowcount)

    def save(self, claim: Claim, items: Sequence[JobItem], predictions: Sequence[Prediction]) -> bool:
        """Store the results of a chunk and release the job; False if the claim no longer holds."""
        c = job_items.c
        with self._database.write() as connection:
            row = self._held(connection, claim)
            if row is None:
                return False
            for item, prediction in zip(items, predictions, strict=True):
                where = (c.job_id == claim.job.id, c.position == item.position)
                connection.execute(update(job_items).where(*where).values(record=stored_record(prediction), img=None))
            done = row["done"] + len(items)
            own = sum(len(item.img) for item in items if not item.stored)
            set_values(
                connection,
                claim.job.id,
                done=done,
                answered=items[-1].position + 1,
                img_bytes=max(row["img_bytes"] - own, 0),
                state=DONE if done >= row["total"] else RUNNING,
                tries=0,
                worker=None,
                beat_at=None,
            )
            return True

    def finish(self, claim: Claim, error: str | None = None) -> None:
        """End the job of a claim that holds: as done, or as failed for a reason."""
        with self._database.write() as connection:
            if self._held(connection, claim) is not None:
                state = FAILED if error else DONE
                set_values(connection, claim.job.id, state=state, error=error, worker=None, beat_at=None)

    def release(self, claim: Claim, *, lost: bool = False) -> None:
        """Release a job as it is, so that any worker can claim it immediately.

        Parameters
        ----------
        claim : Claim
        lost : bool
            Whether it counts as a takeover, as its chunk did not end.
        """
        with self._database.write() as connection:
            row = self._held(connection, claim)
            if row is not None:
                tries, takeovers = row["tries"] + lost, row["takeovers"] + lost
                careful_to = row["answered"] + CHUNK if lost else row["careful_to"]
                counted = {"tries": tries, "takeovers": takeovers, "careful_to": careful_to}
                set_values(connection, claim.job.id, worker=None, beat_at=None, **counted)

    def _held(self, connection: Connection, claim: Claim) -> RowMapping | None:
        try:
            row = lock_row(connection, claim.job.id, now())
        except RequestError:  # it expired or was deleted
            return None
        return row if row["state"] == RUNNING and row["worker"] == claim.worker else None


def _where(connection: Connection, row: RowMapping) -> str:
    c = job_items.c
    query = select(c.object_id).where(c.job_id == row["id"], c.position >= row["answered"], c.record.is_(None))
    return f"image {connection.scalar(query.order_by(c.position).limit(1))!r}"


def _last_within(sizes: Sequence[tuple[int, int]]) -> int:
    """Choose the last position of a chunk by the sizes of its images in bytes."""
    total, last = 0, -1
    for position, size in sizes:
        total += size
        if last >= 0 and total > CHUNK_BYTES:
            break
        last = position
    return last


def _quick_together(items: list[JobItem]) -> list[JobItem]:
    """Cut a chunk where its images take long to decode together, so that each turn takes about as long."""
    total = 0.0
    for index, item in enumerate(items):
        total += decode_seconds(item.img)
        if index and total > CHUNK_DECODE_S:
            return items[:index]
    return items
