"""What a model saw in the stored images: embeddings as rows, filled once, read as one matrix.

A row holds d float32 numbers in little-endian order, 4 d bytes (768 for the model in the package), and the class that
the model predicted; no numbers and no class where the image yields no cutout. It stands for the bytes of `img_sha256`;
with other bytes it is computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Join, and_, case, func, or_, select

from galclass.database.connection import Database
from galclass.database.schema import embeddings, images
from galclass.database.statements import insert_for
from galclass.database.types import now
from galclass.scoring import CHUNK, Prediction

MAX_POOL = 50_000
"""Objects whose embeddings are kept in memory, the first by object id."""

_PAGE = 8192
"""Embeddings beyond them that are read at a time."""

_DTYPE = np.dtype("<f4")


class Embeds(Protocol):
    """What is needed of a scorer."""

    sha256: str

    def score(
        self, images: list[bytes | None], *, object_ids: list[str], frame_px: list[int | None]
    ) -> list[Prediction]:
        """Return a prediction with its embedding for each image."""


@dataclass(frozen=True)
class Progress:
    """How many stored images have an embedding of a model; `failed` of those done yielded no cutout."""

    total: int
    done: int
    failed: int

    @property
    def complete(self) -> bool:
        """Whether nothing is left to compute."""
        return self.done >= self.total


@dataclass(frozen=True)
class Pool:
    """Embeddings of one model.

    Attributes
    ----------
    object_ids : tuple of str, (n,)
        In order.
    vectors : float32, (n, d)
    classes : tuple of str, (n,)
        What the model predicted.
    img_sha256s : tuple of str, (n,)
        Of the images' bytes.
    """

    object_ids: tuple[str, ...]
    vectors: NDArray[np.float32]
    classes: tuple[str, ...]
    img_sha256s: tuple[str, ...]

    def rows(self) -> dict[str, int]:
        """Return the row of each object."""
        return {object_id: row for row, object_id in enumerate(self.object_ids)}


class _Lacking(NamedTuple):
    object_id: str
    img: bytes
    sha256: str
    frame_px: int | None


class Embeddings:
    """The embeddings of a database.

    Parameters
    ----------
    database : Database
        With a migrated schema.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def progress(self, model_sha256: str) -> Progress:
        """Count the stored images, and those with an embedding of a model."""
        size = func.length(embeddings.c.embedding)
        done = select(func.count(), func.count().filter(size == 0)).select_from(_joined(model_sha256))
        done = done.where(embeddings.c.object_id.is_not(None))
        with self._database.read() as connection:
            total = connection.scalar(select(func.count(images.c.img))) or 0
            return Progress(total, *connection.execute(done).one())

    def fill(
        self,
        scorer: Embeds,
        *,
        stopped: Callable[[], bool] = lambda: False,
        advance: Callable[[int], object] = lambda count: None,
    ) -> int:
        """Compute missing embeddings, committing chunk by chunk; another call resumes.

        Parameters
        ----------
        scorer : Scorer
        stopped : callable
            Called before each chunk; ends the work by returning true.
        advance : callable
            Called with the number of images of each chunk.

        Returns
        -------
        int
            How many were stored. An image that another one replaced meanwhile is left to the next call.
        """
        computed, after = 0, ""
        while not stopped():
            rows = self._lacking(scorer.sha256, after)
            if not rows:
                break
            ids = [row.object_id for row in rows]
            images: list[bytes | None] = [row.img for row in rows]
            found = scorer.score(images, object_ids=ids, frame_px=[row.frame_px for row in rows])
            computed += self._write(scorer.sha256, rows, found)
            after = ids[-1]
            advance(len(rows))
        return computed

    def pool(self, model_sha256: str) -> Pool:
        """Read the first `MAX_POOL` embeddings of a model, those of objects without a cutout left out."""
        return self._pool(model_sha256, "", MAX_POOL)

    def beyond(self, pool: Pool, model_sha256: str) -> Iterator[Pool]:
        """Yield the embeddings that come after a pool by object id, some thousand at a time."""
        most = MAX_POOL
        while len(pool.object_ids) >= most:
            most, pool = _PAGE, self._pool(model_sha256, pool.object_ids[-1], _PAGE)
            if pool.object_ids:
                yield pool

    def _pool(self, model_sha256: str, after: str, most: int) -> Pool:
        columns = ("object_id", "embedding", "predicted_class", "img_sha256")
        query = (
            select(*(embeddings.c[name] for name in columns))
            .select_from(_joined(model_sha256))
            .where(func.length(embeddings.c.embedding) > 0, images.c.object_id > after)
            .order_by(images.c.object_id)
            .limit(most)
        )
        with self._database.read() as connection:
            found = connection.execute(query).all()
        vectors = np.frombuffer(b"".join(row.embedding for row in found), dtype=_DTYPE).astype(np.float32)
        ids, _, classes, hashes = zip(*found, strict=True) if found else ((), (), (), ())
        return Pool(ids, vectors.reshape(len(found), -1 if found else 1), classes, hashes)

    def state(self, model_sha256: str) -> tuple[object, ...]:
        """Return what changes whenever the pool of a model does."""
        query = select(func.count(), func.max(embeddings.c.embedded_at)).where(
            embeddings.c.model_sha256 == model_sha256
        )
        with self._database.read() as connection:
            stored = connection.execute(select(func.count(), func.max(images.c.object_id)).select_from(images)).one()
            return (*connection.execute(query).one(), *stored)

    def _lacking(self, model_sha256: str, after: str) -> list[_Lacking]:
        columns = (images.c.object_id, images.c.img, images.c.sha256, images.c.frame_px)
        query = (
            select(*columns)
            .select_from(_joined(model_sha256))
            .where(images.c.img.is_not(None), images.c.object_id > after, embeddings.c.object_id.is_(None))
            .order_by(images.c.object_id)
            .limit(CHUNK)
        )
        with self._database.read() as connection:
            return [_Lacking(row[0], bytes(row[1]), row[2] or "", row[3]) for row in connection.execute(query)]

    def _write(self, model_sha256: str, read: list[_Lacking], found: list[Prediction]) -> int:
        """Store embeddings of images that are still those that were read; return how many."""
        moment = now()
        rows = {
            image: {
                "model_sha256": model_sha256,
                "object_id": one.object_id,
                "img_sha256": image.sha256,
                "embedding": b"" if one.embedding is None else np.asarray(one.embedding, dtype=_DTYPE).tobytes(),
                "embedded_at": moment,
                "predicted_class": one.predicted_class,
            }
            for image, one in zip(read, found, strict=True)
        }
        with self._database.write() as connection:
            insert = insert_for(connection, embeddings)
            new = {
                name: insert.excluded[name] for name in ("img_sha256", "embedding", "embedded_at", "predicted_class")
            }
            keys = ["model_sha256", "object_id"]
            still = [rows[image] for image in _unchanged(connection, read)]
            if still:
                connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=new), still)
        return len(still)


def _unchanged(connection: Connection, read: list[_Lacking]) -> list[_Lacking]:
    """Return the images that are still as they were read, and keep them so until the transaction ends.

    One that another session is just changing counts as changed.
    """
    unhashed = case((images.c.sha256.is_(None), images.c.img))
    query = select(images.c.object_id, images.c.sha256, images.c.frame_px, unhashed, images.c.img.is_not(None))
    query = query.where(images.c.object_id.in_([one.object_id for one in read]))
    query = query.with_for_update(read=True, skip_locked=True)
    there = {row[0]: tuple(row)[1:] for row in connection.execute(query)}
    facts = ((one, (one.sha256 or None, one.frame_px, None if one.sha256 else one.img, True)) for one in read)
    return [one for one, fact in facts if there.get(one.object_id) == fact]


def _joined(model_sha256: str) -> Join:
    """Return the images, with the embedding that a model has of their bytes beside."""
    same = and_(
        embeddings.c.object_id == images.c.object_id,
        embeddings.c.model_sha256 == model_sha256,
        embeddings.c.img_sha256 == func.coalesce(images.c.sha256, ""),
        or_(embeddings.c.predicted_class.is_not(None), func.length(embeddings.c.embedding) == 0),
    )
    return images.outerjoin(embeddings, same)
