"""The stored galaxies most similar to an image: exact over all embeddings of a model, in flat memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, func, select

from galclass.database.connection import Database
from galclass.database.embeddings import Embeddings
from galclass.database.schema import embeddings, images, labels
from galclass.errors import DatabaseError
from galclass.scoring import Scorer
from galclass.scoring.embeddings import cosines, directions, embedding_of, nearest_first

_ROWS = 4096


@dataclass(frozen=True)
class StoredNeighbour:
    """A stored galaxy and how similar it is.

    Attributes
    ----------
    object_id : str
    file : str
        What it was added as; "" where that is not known.
    ra, dec : float or None
        In degrees.
    label : str
        What it is labelled, by its first source; "" without labels.
    similarity : float
        Cosine of the embeddings, in [-1, 1].
    """

    object_id: str
    file: str
    ra: float | None
    dec: float | None
    label: str
    similarity: float


def nearest_stored(
    database: Database,
    scorer: Scorer,
    data: bytes,
    *,
    where: str,
    count: int = 8,
    frame_px: int | None = None,
    advance: Callable[[int, int], object] = lambda count, total: None,
) -> list[StoredNeighbour]:
    """Return the stored galaxies most similar to an image, nearest first; the same bytes are left out.

    Embeddings that the table lacks are computed and kept first.

    Parameters
    ----------
    database : Database
    scorer : Scorer
    data : bytes
        An image file.
    where : str
        What errors call it.
    count : int
    frame_px : int, optional
        Side of the survey's frame, where the file holds its centre.
    advance : callable
        Called with the number of further embeddings computed, and the total.

    Raises
    ------
    ModelError
        If the image yields no cutout.
    DatabaseError
        If no image is stored.
    """
    asked = embedding_of(scorer, data, where=where, frame_px=frame_px)
    table = Embeddings(database)
    progress = table.progress(scorer.sha256)
    if not progress.total:
        raise DatabaseError("no image is stored", advice="add some with `galclass images add`")
    lacking = progress.total - progress.done
    table.fill(scorer, advance=lambda done: advance(done, lacking))
    own = hashlib.sha256(data).hexdigest()
    best: list[tuple[str, float]] = []
    for ids, found in _cosines(database, scorer.sha256, own, asked):
        best += zip(ids, found.tolist(), strict=True)
        best = [best[row] for row in nearest_first(np.array([cosine for _, cosine in best]), count)]
    return _described(database, best)


def _cosines(
    database: Database, model_sha256: str, own: str, asked: NDArray[np.float32]
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Yield the ids of stored objects and how similar each is, a few thousand at a time, by id."""
    query = (
        select(embeddings.c.object_id, embeddings.c.embedding)
        .join(images, and_(images.c.object_id == embeddings.c.object_id, images.c.img.is_not(None)))
        .where(
            embeddings.c.model_sha256 == model_sha256,
            embeddings.c.img_sha256 == func.coalesce(images.c.sha256, ""),
            func.length(embeddings.c.embedding) > 0,
            embeddings.c.img_sha256 != own,
        )
        .order_by(embeddings.c.object_id)
    )
    with database.read() as connection:
        for rows in connection.execution_options(yield_per=_ROWS).execute(query).partitions():
            vectors = np.frombuffer(b"".join(row.embedding for row in rows), dtype="<f4").reshape(len(rows), -1)
            yield [row.object_id for row in rows], cosines(directions(vectors.astype(np.float32)), asked)


def _described(database: Database, found: list[tuple[str, float]]) -> list[StoredNeighbour]:
    ids = [object_id for object_id, _ in found]
    columns = (images.c.object_id, images.c.uri, images.c.ra, images.c.dec)
    said = select(labels.c.object_id, labels.c.label).where(labels.c.object_id.in_(ids)).order_by(labels.c.source)
    with database.read() as connection:
        rows = {row.object_id: row for row in connection.execute(select(*columns).where(images.c.object_id.in_(ids)))}
        known: dict[str, str] = {}
        for row in connection.execute(said):
            known.setdefault(row.object_id, _class_of(row.label))
    return [
        StoredNeighbour(key, rows[key].uri or "", rows[key].ra, rows[key].dec, known.get(key, ""), cosine)
        for key, cosine in found
        if key in rows
    ]


def _class_of(label: object) -> str:
    return str(label.get("class", "") or "") if isinstance(label, dict) else str(label or "")
