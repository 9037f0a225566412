"""The queue of images that wait for a model version, shared by any number of workers.

A worker claims a chunk in one short transaction (SKIP LOCKED on PostgreSQL), scores outside of any, and writes
predictions and removes the chunk in another. A claim lapses after a while, so a killed worker loses nothing.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, TextClause, and_, bindparam, exists, func, literal, or_, select, text

from galclass.database.connection import Database
from galclass.database.schema import images, predictions, score_queue
from galclass.database.statements import insert_new
from galclass.database.types import now, utc_text
from galclass.scoring import ModelId, Prediction

LEASE_S = 60.0
"""How long a claim holds; a chunk takes a tenth of a second."""

FILL_ROWS = 20_000
"""Images looked at in one transaction that fills the queue."""

_Q = score_queue.c
_SETTINGS = {f"enable_{way}": "off" for way in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin")}
_FOR_A_CHUNK = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', true)"
    for name, value in {**_SETTINGS, "jit": "off", "synchronous_commit": "off"}.items()
)
_INSERT_AS_JSON = text(
    """INSERT INTO galaxy_predictions
    SELECT * FROM jsonb_populate_recordset(NULL::galaxy_predictions, CAST(:rows AS jsonb)) ON CONFLICT DO NOTHING"""
)
_PREDICTION_COLUMNS = tuple(column.name for column in predictions.columns)
_INSERT_ROW = (
    f"INSERT INTO galaxy_predictions ({', '.join(_PREDICTION_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(_PREDICTION_COLUMNS))}) ON CONFLICT DO NOTHING"
)
_MINE = "model_name = :name AND model_version = :version"

# The statements of every chunk are text: building and hashing expressions would cost as much as running them.
_FETCH = text("SELECT object_id, img, frame_px FROM galaxy_images WHERE object_id IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
_FETCH_BINARY = "SELECT object_id, img, frame_px FROM galaxy_images WHERE object_id = ANY(%s)"
_REMOVE = text(
    f"DELETE FROM galaxy_score_queue WHERE {_MINE} AND object_id IN :ids AND claimed_by = :worker RETURNING object_id"
).bindparams(bindparam("ids", expanding=True))

# Locked in the order of the ids, as by a statement that replaces images: neither waits for a row behind the other's.
_REMOVE_BY_PLACE = text(
    f"""DELETE FROM galaxy_score_queue WHERE ctid = ANY (ARRAY(
        SELECT queued.place FROM unnest(CAST(:ids AS text[])) AS wanted CROSS JOIN LATERAL (
            SELECT ctid AS place FROM galaxy_score_queue
            WHERE {_MINE} AND object_id = wanted AND claimed_by = :worker LIMIT 1 FOR UPDATE
        ) AS queued)) RETURNING object_id"""
)


def _claim_statement(dialect: str) -> TextClause:
    lock = "FOR UPDATE SKIP LOCKED" if dialect == "postgresql" else ""
    # On PostgreSQL by the server's clock: those of the workers' machines may differ by more than a lease.
    moment, until = ("clock_timestamp()", f"clock_timestamp() + interval '{LEASE_S} s'") if lock else (":now", ":until")
    # By place: by key, PostgreSQL would read the whole queue for each chunk as long as it has no statistics of it.
    row, place = (
        ("ctid = ANY (ARRAY(SELECT place FROM picked))", "ctid AS place")
        if lock
        else (f"{_MINE} AND object_id IN (SELECT object_id FROM picked)", "object_id")
    )
    # MATERIALIZED: a plan that ran the inner query again for every row would lock, and claim, more each time.
    return text(
        f"""WITH picked AS MATERIALIZED (
            SELECT {place} FROM galaxy_score_queue
            WHERE {_MINE} AND object_id > :after AND (claimed_until IS NULL OR claimed_until < {moment})
            ORDER BY object_id LIMIT :size {lock}
        ) UPDATE galaxy_score_queue SET claimed_by = :worker, claimed_until = {until}
        WHERE {row} RETURNING object_id"""
    )


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
        self._key = {"name": model.name, "version": model.version}
        self._claim = _claim_statement(database.dialect)
        self._host = socket.gethostname()
        self.worker = f"{self._host}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    def fill(self) -> int:
        """Queue exactly the images without a prediction of this version; return the number of images.

        Images get predictions also past the queue: from the procedure in the server, or from a restored table.
        """
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
        waiting = (
            select(literal(self._model.name), literal(self._model.version), images.c.object_id)
            .where(images.c.object_id > after, images.c.object_id <= last, ~scored)
            .order_by(images.c.object_id)
        )  # workers that fill at once wait for each other in one order
        insert = insert_new(connection, score_queue)
        connection.execute(insert.from_select(["model_name", "model_version", "object_id"], waiting))
        self._remove_scored(connection, after, last)
        return last, count

    def _remove_scored(self, connection: Connection, after: str, last: str) -> None:
        """Remove from the queue images that have a prediction and are not claimed by a worker, who removes them too."""
        scored = exists().where(
            predictions.c.object_id == _Q.object_id,
            predictions.c.model_name == self._model.name,
            predictions.c.model_version == self._model.version,
        )
        free = or_(_Q.claimed_until.is_(None), _Q.claimed_until < self._now())
        done = select(_Q.object_id).where(self._mine, _Q.object_id > after, _Q.object_id <= last, free, scored)
        # SKIP LOCKED (SQLite has no locks on rows): workers that start together do not wait for each other.
        taken = done.with_for_update(skip_locked=True, of=score_queue).cte("taken")
        # Without statistics PostgreSQL would find, and lock, all of them again for every row of the queue.
        once = taken.prefix_with("MATERIALIZED", dialect="postgresql")
        connection.execute(score_queue.delete().where(self._mine, _Q.object_id.in_(select(once.c.object_id))))

    def count(self) -> int:
        """Count what waits, claimed or not."""
        with self._database.read() as connection:
            return connection.scalar(select(func.count()).select_from(score_queue).where(self._mine)) or 0

    def _now(self) -> Any:
        return func.clock_timestamp() if self._database.dialect == "postgresql" else now()

    def count_claimed(self) -> int:
        """Count what still waits for a prediction while other workers have claimed it."""
        scored = exists().where(
            predictions.c.object_id == _Q.object_id,
            predictions.c.model_name == _Q.model_name,
            predictions.c.model_version == _Q.model_version,
        )
        there = exists().where(images.c.object_id == _Q.object_id)
        query = select(func.count()).select_from(score_queue)
        with self._database.read() as connection:
            return connection.scalar(query.where(self._mine, _Q.claimed_until >= self._now(), there, ~scored)) or 0

    def claim(self, size: int, *, after: str = "") -> list[str]:
        """Take up to `size` waiting object ids beyond `after`; other workers pass over them until the lease ends."""
        moment = now()
        times = {"now": utc_text(moment), "until": utc_text(moment + timedelta(seconds=LEASE_S))}
        if self._database.dialect == "postgresql":
            times = {}
        with self._database.write() as connection:
            _set_for_a_chunk(connection)
            found = connection.scalars(
                self._claim, {**self._key, **times, "after": after, "size": size, "worker": self.worker}
            )
            return sorted(found)

    def fetch(self, object_ids: Sequence[str]) -> list[tuple[str, bytes | None, int | None]]:
        """Read (object_id, img, frame_px) of claimed ids; an image that was deleted meanwhile is left out."""
        with self._database.read() as connection:
            driver = connection.connection.driver_connection
            if self._database.dialect == "postgresql" and driver is not None:
                with driver.cursor(binary=True) as cursor:  # as text, an image would be twice as long
                    cursor.execute(_FETCH_BINARY, [list(object_ids)])
                    return list(cursor.fetchall())
            return [tuple(row) for row in connection.execute(_FETCH, {"ids": object_ids})]

    def finish(self, object_ids: Sequence[str], batch: Sequence[Prediction]) -> list[Prediction]:
        """Take a chunk off the queue and write its predictions, in one transaction; return those that were written.

        Only what this worker still claims: another worker has the others by now, or the image has been replaced.
        """
        with self._database.write() as connection:
            _set_for_a_chunk(connection)
            remove = _REMOVE_BY_PLACE if self._database.dialect == "postgresql" else _REMOVE
            key = {**self._key, "ids": sorted(object_ids), "worker": self.worker}
            held = set(connection.scalars(remove, key))
            written = [prediction for prediction in batch if prediction.object_id in held]
            if written:
                insert_predictions(connection, written)
        return written

    def release(self) -> None:
        """Release what this worker has claimed and not finished."""
        self._unclaim(self.worker)

    def release_dead(self) -> None:
        """Release the claims of this machine's workers whose process is gone."""
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


def _set_for_a_chunk(connection: Connection) -> None:
    """Set what suits a chunk, for this transaction.

    PostgreSQL is kept from reading the whole queue, as it plans while it has no statistics of it, and need not wait
    for the disk: what a power cut takes away, predictions and queue alike, is scored again.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_FOR_A_CHUNK)


def insert_predictions(connection: Connection, batch: Sequence[Prediction]) -> None:
    """Insert predictions; those that are there already are left alone.

    PostgreSQL gets them as one JSON text in one statement: a statement for each row costs it more than the row.
    """
    if connection.dialect.name == "postgresql":
        rows = [dict(zip(_PREDICTION_COLUMNS, _values(prediction), strict=True)) for prediction in batch]
        connection.execute(_INSERT_AS_JSON, {"rows": json.dumps(rows, default=str)})
        return
    connection.exec_driver_sql(_INSERT_ROW, [_as_sqlite_keeps_it(prediction) for prediction in batch])


def _values(prediction: Prediction) -> tuple[Any, ...]:
    """Return a row of `galaxy_predictions`, in the order of its columns."""
    return (
        prediction.object_id,
        prediction.model.name,
        prediction.model.version,
        prediction.predicted_class,
        prediction.predicted_group,
        prediction.by_class,
        prediction.prediction_set,
        prediction.flags,
        str(prediction.error) if prediction.error else None,
        prediction.scored_at,
        prediction.vote_fractions or None,
        prediction.raw_vote_fractions or None,
    )


def _as_sqlite_keeps_it(prediction: Prediction) -> tuple[Any, ...]:
    """Turn JSON and time into text by hand: through the column types it costs as much as the rest of the row."""
    *plain, probabilities, prediction_set, flags, error, scored_at, votes, raw_votes = _values(prediction)
    sets = (json.dumps(prediction_set), json.dumps(flags))
    return (*plain, _text_of(probabilities), *sets, error, utc_text(scored_at), _text_of(votes), _text_of(raw_votes))


def _text_of(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
