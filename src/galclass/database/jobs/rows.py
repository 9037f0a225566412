"""The rows of batch jobs: what a job is, how it is read and locked, and what its images take up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Table, delete, func, select, text, update

from galclass.database.connection import Database
from galclass.database.schema import job_items, jobs
from galclass.database.statements import chunked
from galclass.database.types import now
from galclass.errors import RequestError

OPEN, QUEUED, RUNNING, DONE, CANCELLED, FAILED = "open", "queued", "running", "done", "cancelled", "failed"
UNFINISHED = (OPEN, QUEUED, RUNNING)

ARE_UNFINISHED = text("galaxy_jobs.state IN ('open', 'queued', 'running')")
"""The condition of the index of unfinished jobs, as written there: with values bound to it, SQLite would not use it."""

CHUNK = 16
"""Images scored in one turn."""

ITEM_BYTES = 4096
"""What an image counts for besides its bytes: its row and its result."""

_STEP_ROWS, _STEP_BYTES = 256, 16 * 1024 * 1024
"""Rows and image bytes freed in one transaction, so that others are not kept waiting."""


@dataclass(frozen=True)
class Job:
    """A batch job, as clients see it."""

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
class JobImage:
    """An image that goes into a job: its bytes (none: the stored image of this id), or the record of its refusal."""

    object_id: str
    data: bytes
    record: Mapping[str, Any] | None = None


@contextmanager
def first_unlocked(
    database: Database, query: Select[Any], *, of: Table | None = None
) -> Iterator[tuple[Connection, RowMapping] | None]:
    """Lock the first row of a query that nobody else has locked, for the length of the block.

    The usual case, that there is no row, takes no write lock. Workers that look at one time get different rows.

    Parameters
    ----------
    database : Database
    query : Select
        Looked at twice, so it must be the same both times.
    of : Table, optional
        The table whose rows are locked, where the query joins several.

    Yields
    ------
    (Connection, RowMapping) or None
        The transaction, which ends with the block, and the row; None where there is none.
    """
    with database.read() as connection:
        waits = connection.execute(query).first() is not None
    if not waits:
        yield None
        return
    with database.write() as connection:  # SKIP LOCKED; SQLite has one writer at a time
        row = connection.execute(query.with_for_update(skip_locked=True, of=of)).mappings().first()
        yield None if row is None else (connection, row)


def get_row(connection: Connection, job_id: str, moment: datetime | None = None) -> RowMapping:
    """Read a job's row.

    Raises
    ------
    RequestError
        `unknown_job`, also of one past its time.
    """
    return _row(connection, select(jobs).where(jobs.c.id == job_id), moment)


def lock_row(connection: Connection, job_id: str, moment: datetime | None = None) -> RowMapping:
    """Read a job's row, and keep other writers away from it until the transaction ends.

    Without, PostgreSQL would let two transactions read the same state and both go on from it.

    Raises
    ------
    RequestError
        `unknown_job`.
    """
    return _row(connection, select(jobs).where(jobs.c.id == job_id).with_for_update(), moment)


def _row(connection: Connection, query: Select[Any], moment: datetime | None) -> RowMapping:
    row = connection.execute(query).mappings().one_or_none()
    if row is None or row["expires_at"] < (moment or now()):
        raise RequestError("unknown_job", "unknown job, or it expired", field="id")
    return row


def job_of(row: RowMapping) -> Job:
    """Return a row as the job that clients see."""
    names = {"service": "service_name", "version": "service_version"}
    return Job(**{field.name: row[names.get(field.name, field.name)] for field in fields(Job)})


def set_values(connection: Connection, job_id: str, **values: object) -> None:
    """Change a job's row, and when it changed."""
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values, updated_at=now()))


def insert_images(connection: Connection, row: Mapping[str, Any] | RowMapping, new: Sequence[JobImage]) -> None:
    """Append images to a locked job and count them; refused ones count as done."""
    start = row["total"]
    for part in chunked(enumerate(new, start), 500):
        values = [
            {
                "job_id": row["id"],
                "position": position,
                "object_id": image.object_id,
                "img": image.data or None,
                "record": image.record,
            }
            for position, image in part
        ]
        connection.execute(job_items.insert(), values)
    set_values(
        connection,
        row["id"],
        total=start + len(new),
        done=row["done"] + sum(image.record is not None for image in new),
        img_bytes=row["img_bytes"] + sum(len(image.data) for image in new),
    )


def free_images(connection: Connection, job_id: str, after: int) -> int | None:
    """Delete some images of a locked job that ended before they were scored; results stay.

    Parameters
    ----------
    connection : Connection
    job_id : str
    after : int
        Position up to which they are deleted already.

    Returns
    -------
    int or None
        Position up to which they are deleted now; None when none is left.
    """
    positions, size = _next_rows(connection, job_id, after)
    if not positions:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(img_bytes=0))
        return None
    c = job_items.c
    within = (c.job_id == job_id, c.position.between(positions[0], positions[-1]), c.record.is_(None))
    connection.execute(delete(job_items).where(*within))
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(img_bytes=jobs.c.img_bytes - size))
    return positions[-1]


def delete_items(connection: Connection, job_id: str) -> bool:
    """Delete some rows of a locked job, and at last the job itself; returns whether more are left."""
    positions, size = _next_rows(connection, job_id, -1)
    if not positions:
        connection.execute(delete(jobs).where(jobs.c.id == job_id))
        return False
    within = (job_items.c.job_id == job_id, job_items.c.position.between(positions[0], positions[-1]))
    connection.execute(delete(job_items).where(*within))
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(img_bytes=jobs.c.img_bytes - size))
    return True


def _next_rows(connection: Connection, job_id: str, after: int) -> tuple[list[int], int]:
    """Choose rows of a job for one step: their positions, and the sum of their images in bytes."""
    c = job_items.c
    query = select(c.position, func.coalesce(func.length(c.img), 0)).where(c.job_id == job_id, c.position > after)
    positions: list[int] = []
    size = 0
    for position, length in connection.execute(query.order_by(c.position).limit(_STEP_ROWS)).all():
        if positions and size + length > _STEP_BYTES:
            break
        positions.append(position)
        size += length
    return positions, size
