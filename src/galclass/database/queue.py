"""The queue of images that wait for a model version, shared by any number of workers.

A worker claims a chunk in one short transaction (SKIP LOCKED on PostgreSQL), scores outside of any, and writes
predictions and removes the chunk in another. A claim lapses after a while, so a killed worker loses nothing.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, and_, exists, func, literal, or_, select, tuple_

from galclass.database.connection import Database
from galclass.database.schema import images, predictions, score_queue
from galclass.database.statements import insert_new
from galclass.database.types import now
from galclass.scoring import ModelId, Prediction

LEASE_S = 60.0
"""How long a claim holds; a chunk takes a tenth of a second."""

FILL_ROWS = 20_000
"""Images looked at in one transaction that fills the queue."""

_Q = score_queue.c


class ScoreQueue:
    """The waiting images of one model version, as one worker sees them.

    Parameters
    ----------
    database : Database
    model : ModelId
        Which version's queue.
    """

    def __init__(self, database: Database, model: ModelId) -> None:
        self._database = database
        self._model = model
        self._mine = and_(_Q.model_name == model.name, _Q.model_version == model.version)
        self._host = socket.gethostname()
        self.worker = f"{self._host}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    def fill(self) -> int:
        """Queue every image that has no prediction of this version; gives how many images there are."""
        after, seen = "", 0
        while True:
            with self._database.write() as connection:
                last, count = self._fill_slice(connection, after)
            if last is None:
                return seen
            after, seen = last, seen + count

    def _fill_slice(self, connection: Connection, after: str) -> tuple[str | None, int]:
        part = select(images.c.object_id).where(images.c.object_id > after).order_by(images.c.object_id)
        part_rows = part.limit(FILL_ROWS).subquery()
        last, count = connection.execute(
            select(func.max(part_rows.c.object_id), func.count()).select_from(part_rows)
        ).one()
        if last is None:
            return None, 0
        scored = exists().where(
            predictions.c.object_id == images.c.object_id,
            predictions.c.model_name == self._model.name,
            predictions.c.model_version == self._model.version,
        )
        waiting = select(literal(self._model.name), literal(self._model.version), images.c.object_id).where(
            images.c.object_id > after, images.c.object_id <= last, ~scored
        )
        insert = insert_new(connection, score_queue)
        connection.execute(insert.from_select(["model_name", "model_version", "object_id"], waiting))
        return last, count

    def count(self) -> int:
        """Count what waits, claimed or not."""
        with self._database.read() as connection:
            return connection.scalar(select(func.count()).select_from(score_queue).where(self._mine)) or 0

    def claim(self, size: int, *, after: str = "") -> list[str]:
        """Take up to `size` waiting object ids beyond `after`; other workers pass over them until the lease ends."""
        moment = now()
        free = or_(_Q.claimed_until.is_(None), _Q.claimed_until < moment)
        picked = (
            select(_Q.model_name, _Q.model_version, _Q.object_id)
            .where(self._mine, free, _Q.object_id > after)
            .order_by(_Q.object_id)
            .limit(size)
            .with_for_update(skip_locked=True)
        )
        claim = (
            score_queue.update()
            .where(tuple_(_Q.model_name, _Q.model_version, _Q.object_id).in_(picked))
            .values(claimed_by=self.worker, claimed_until=moment + timedelta(seconds=LEASE_S))
            .returning(_Q.object_id)
        )
        with self._database.write() as connection:
            return sorted(connection.scalars(claim))

    def fetch(self, object_ids: Sequence[str]) -> list[tuple[str, bytes | None, int | None]]:
        """Read (object_id, img, frame_px) of claimed ids; an image that was deleted meanwhile is left out."""
        query = select(images.c.object_id, images.c.img, images.c.frame_px).where(images.c.object_id.in_(object_ids))
        with self._database.read() as connection:
            return [(row.object_id, row.img, row.frame_px) for row in connection.execute(query)]

    def finish(self, object_ids: Sequence[str], answers: Sequence[Prediction]) -> None:
        """Write the predictions of a chunk and take it off the queue, in one transaction."""
        rows = [prediction_row(answer) for answer in answers]
        with self._database.write() as connection:
            if rows:
                connection.execute(insert_new(connection, predictions), rows)
            connection.execute(score_queue.delete().where(self._mine, _Q.object_id.in_(object_ids)))

    def release(self) -> None:
        """Give back what this worker has claimed and not finished."""
        self._unclaim(self.worker)

    def release_dead(self) -> None:
        """Give back what workers of this machine claimed whose process is gone."""
        query = select(_Q.claimed_by).distinct().where(self._mine, _Q.claimed_by.startswith(f"{self._host}:"))
        with self._database.read() as connection:
            holders = connection.scalars(query).all()
        for holder in holders:
            if not _alive(int(holder.split(":")[1])):
                self._unclaim(holder)

    def _unclaim(self, holder: str) -> None:
        free = score_queue.update().where(self._mine, _Q.claimed_by == holder)
        with self._database.write() as connection:
            connection.execute(free.values(claimed_by=None, claimed_until=None))


def prediction_row(answer: Prediction) -> dict[str, object]:
    """Give the row of `galaxy_predictions`."""
    return {
        "object_id": answer.object_id,
        "model_name": answer.model.name,
        "model_version": answer.model.version,
        "predicted_class": answer.predicted_class,
        "predicted_group": answer.predicted_group,
        "probabilities": answer.by_class,
        "prediction_set": list(answer.prediction_set),
        "flags": list(answer.flags),
        "error": str(answer.error) if answer.error else None,
        "scored_at": answer.scored_at,
    }


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
