"""The most similar galaxies of the database by the model's embedding.

Takes the stored images and a scorer, gives neighbours; the embeddings of one model are kept in memory.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select

from galclass.database import Database
from galclass.database.schema import images
from galclass.errors import CutoutError
from galclass.label_words import classes_of
from galclass.scoring import Prediction, Scorer
from galclass.scoring.embeddings import directions

MAX_OBJECTS = 2000
"""Stored images that are compared; the first by object id."""

_MAX_INDEXES = 2
_READ_ROWS = 64


@dataclass(frozen=True)
class Neighbour:
    """A stored galaxy and how similar it is: the cosine of the embeddings, in [-1, 1]."""

    object_id: str
    similarity: float
    predicted_class: str


@dataclass(frozen=True)
class _Index:
    state: tuple[object, ...]  # of the stored images it was made from
    object_ids: list[str]
    sha256s: list[str]
    classes: list[str]
    directions: NDArray[np.float32]


class Found(NamedTuple):
    """The nearest galaxies, and the nearest of each of the two most probable classes."""

    nearest: list[Neighbour]
    by_class: dict[str, list[Neighbour]]


class SimilarGalaxies:
    """Finds neighbours among the stored images; the index of a model is rebuilt when the stored images change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._indexes: OrderedDict[str, _Index] = OrderedDict()

    def find(
        self, scorer: Scorer, data: bytes, frame_px: int | None, count: int, labels: Mapping[str, str] | None = None
    ) -> Found:
        """Return the most similar stored galaxies, nearest first; the image itself is left out.

        Parameters
        ----------
        scorer : Scorer
        data : bytes
            JPEG, PNG, BMP or FITS file.
        frame_px : int or None
        count : int
            Neighbours in all, and of each of the two most probable classes.
        labels : mapping, optional
            What is known of objects by id; a galaxy's class is that of its label, or else the model's.

        Raises
        ------
        CutoutError
            If the bytes give no cutout.
        """
        (prediction,) = scorer.score([data], frame_px=frame_px)
        if prediction.error is not None:
            raise CutoutError(prediction.error.code, prediction.error.message)
        index = self._index(scorer)
        if not index.object_ids:
            return Found([], {})
        cosines = index.directions @ _directions([prediction])[0]
        own = hashlib.sha256(data).hexdigest()
        ranked = [row for row in np.argsort(-cosines, kind="stable") if index.sha256s[row] != own]
        all_of = [Neighbour(index.object_ids[row], round(float(cosines[row]), 6), index.classes[row]) for row in ranked]
        by_class = prediction.by_class or {}
        first = str(prediction.predicted_class)
        second = max((leaf for leaf in by_class if leaf != first), key=lambda leaf: by_class[leaf])
        return Found(all_of[:count], {leaf: _of_class(all_of, leaf, labels or {}, count) for leaf in (first, second)})

    def _index(self, scorer: Scorer) -> _Index:
        with self._lock:
            state = self._state()
            index = self._indexes.get(scorer.sha256)
            if index is None or index.state != state:
                index = self._make(scorer, state)
                self._indexes[scorer.sha256] = index
                while len(self._indexes) > _MAX_INDEXES:
                    self._indexes.popitem(last=False)
            return index

    def _state(self) -> tuple[object, ...]:
        query = select(func.count(images.c.img), func.max(images.c.added_at), func.max(images.c.object_id))
        with self._database.read() as connection:
            return tuple(connection.execute(query).one())

    def _make(self, scorer: Scorer, state: tuple[object, ...]) -> _Index:
        columns = (images.c.object_id, images.c.sha256, images.c.frame_px, images.c.img)
        query = select(*columns).where(images.c.img.is_not(None)).order_by(images.c.object_id).limit(MAX_OBJECTS)
        sha256s: list[str] = []
        found: list[Prediction] = []
        with self._database.read() as connection:
            for rows in connection.execution_options(yield_per=_READ_ROWS).execute(query).partitions():
                scored = scorer.score(
                    [bytes(row.img) for row in rows],
                    object_ids=[row.object_id for row in rows],
                    frame_px=[row.frame_px for row in rows],
                )
                good = [(row.sha256, one) for row, one in zip(rows, scored, strict=True) if one.error is None]
                sha256s += [sha256 for sha256, _ in good]
                found += [one for _, one in good]
        classes = [str(one.predicted_class) for one in found]
        return _Index(state, [one.object_id for one in found], sha256s, classes, _directions(found))


def _directions(predictions: list[Prediction]) -> NDArray[np.float32]:
    vectors = [one.embedding for one in predictions if one.embedding is not None]
    return directions(np.stack(vectors)) if vectors else np.zeros((0, 1), np.float32)


def _of_class(ranked: list[Neighbour], leaf: str, labels: Mapping[str, str], count: int) -> list[Neighbour]:
    found = []
    for one in ranked:
        known = classes_of(labels[one.object_id]) if one.object_id in labels else ()
        if (known or (one.predicted_class,)) == (leaf,):
            found.append(one)
            if len(found) == count:
                break
    return found
