"""What one client, and all together, may have in batch jobs, and the room that the disk must keep.

Takes a transaction and what is to be added, refuses with a code of its own for each limit. Reading, scoring, cancelling
and deleting never ask here, so a database above its limits goes on serving.
"""

from __future__ import annotations

import ipaddress
import shutil
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, case, func, select

from galclass.database.jobs.rows import ARE_UNFINISHED, CANCELLED, FAILED, ITEM_BYTES, OPEN, QUEUED, RUNNING
from galclass.database.schema import job_clients, jobs
from galclass.database.statements import insert_for
from galclass.database.types import now
from galclass.errors import RequestError

MAX_IMAGES = 100_000
"""Images of one job."""


@dataclass(frozen=True)
class JobLimits:
    """How much may be stored; the settings of the same names in `[serve]`.

    Attributes
    ----------
    max_jobs : int
        Jobs of all clients that wait or run; as many more may be open.
    client_jobs : int
        Jobs of one client that are open, wait or run.
    client_images : int
        Images of one client that wait for their results.
    client_bytes, total_bytes : int
        What the jobs of one client, and of all, may store: images, and `ITEM_BYTES` for each row and its result.
    min_free_bytes : int
        Room that the disk of a SQLite file must keep.
    """

    max_jobs: int = 100
    client_jobs: int = 20
    client_images: int = 200_000
    client_bytes: int = 1 << 30
    total_bytes: int = 8 << 30
    min_free_bytes: int = 1 << 30


def client_of(actor_key: str) -> str:
    """Return whom a job counts for: a token, an IPv4 address, or the IPv6 network of 64 bits that a host may have."""
    kind, _, address = actor_key.partition(" ")
    if kind != "address" or ":" not in address:
        return actor_key
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return actor_key
    if found.ipv4_mapped is not None:
        return f"address {found.ipv4_mapped}"
    return f"address {ipaddress.ip_network((int(found), 64), strict=False)}"


class Quotas:
    """Checks what is added to a database against its limits.

    Parameters
    ----------
    limits : JobLimits
    file : path or None
        The SQLite file; None for PostgreSQL, whose disk is not seen from here.
    """

    def __init__(self, limits: JobLimits, file: Path | None) -> None:
        self.limits = limits
        self._file = file

    def check_disk(self, size: int = 0) -> None:
        """Refuse what would leave too little room on the disk.

        Raises
        ------
        RequestError
            `storage_full`.
        """
        if self._file is None:
            return
        free = shutil.disk_usage(self._file.absolute().parent).free
        if free - size < self.limits.min_free_bytes:
            raise RequestError(
                "storage_full",
                "the server's disk is nearly full",
                expected=f"serve.min_free_bytes = {self.limits.min_free_bytes} free",
                advice="try again when jobs have expired",
            )

    def check_new_job(self, connection: Connection, client: str, *, start: bool) -> None:
        """Lock a client, and refuse a job beyond its number or that of all.

        Raises
        ------
        RequestError
            `too_many_jobs`, `overloaded`.
        """
        lock_client(connection, client)
        if _count(connection, jobs.c.client == client) >= self.limits.client_jobs:
            raise RequestError(
                "too_many_jobs",
                "this client has too many unfinished jobs",
                expected=f"at most {self.limits.client_jobs} (serve.client_jobs)",
                advice="wait until one is done, or cancel one",
            )
        self.check_room(connection, start=start)

    def check_room(self, connection: Connection, *, start: bool) -> None:
        """Refuse a job beyond those that may wait or run, or be open.

        Raises
        ------
        RequestError
            `overloaded`.
        """
        states = (QUEUED, RUNNING) if start else (OPEN,)
        if _count(connection, jobs.c.state.in_(states)) >= self.limits.max_jobs:
            raise RequestError(
                "overloaded",
                f"too many jobs are {' or '.join(states)}",
                expected=f"at most {self.limits.max_jobs} (serve.max_jobs)",
            )

    def check_images(self, connection: Connection, client: str, images: int, size: int) -> None:
        """Refuse images beyond what a client, or all, may have.

        Parameters
        ----------
        connection : Connection
        client : str
        images, size : int
            How many are added, and their sum in bytes.

        Raises
        ------
        RequestError
            `client_quota`, `storage_full`.
        """
        more = size + ITEM_BYTES * images
        self.check_disk(more)
        lock_client(connection, client)
        mine = jobs.c.client == client
        waiting = connection.scalar(
            select(func.coalesce(func.sum(jobs.c.total - jobs.c.done), 0)).where(mine, ARE_UNFINISHED)
        )
        if int(waiting or 0) + images > self.limits.client_images:
            raise _over("waiting images", f"{self.limits.client_images} (serve.client_images)")
        rows = case((jobs.c.state.in_((CANCELLED, FAILED)), jobs.c.done), else_=jobs.c.total)
        stored = func.coalesce(func.sum(jobs.c.img_bytes + ITEM_BYTES * rows), 0)
        if int(connection.scalar(select(stored).where(mine)) or 0) + more > self.limits.client_bytes:
            raise _over("stored bytes", f"{self.limits.client_bytes} (serve.client_bytes)")
        if int(connection.scalar(select(stored)) or 0) + more > self.limits.total_bytes:
            raise RequestError(
                "storage_full",
                "the jobs of all clients have used up the storage",
                expected=f"at most {self.limits.total_bytes} bytes (serve.total_bytes)",
                advice="try again when jobs have expired",
            )


def lock_client(connection: Connection, client: str) -> None:
    """Let the requests of one client take turns until the transaction ends (SQLite has one writer anyway)."""
    insert = insert_for(connection, job_clients).values(client=client, turn=0)
    keep = {"turn": job_clients.c.turn}
    connection.execute(insert.on_conflict_do_update(index_elements=["client"], set_=keep))


def _count(connection: Connection, condition: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(jobs).where(ARE_UNFINISHED, jobs.c.expires_at >= now(), condition)
    return connection.scalar(query) or 0


def _over(what: str, most: str) -> RequestError:
    return RequestError(
        "client_quota",
        f"this client has too many {what}",
        expected=f"at most {most}",
        advice="wait until jobs are done, or delete jobs with their results",
    )
