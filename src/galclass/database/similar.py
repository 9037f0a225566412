"""The most similar galaxies of the database by the model's embedding.

Takes the table of embeddings and a scorer, returns neighbours; the embeddings of a model are kept in memory.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from galclass.database.embeddings import Pool
from galclass.database.pools import KeptPool, Pools
from galclass.errors import CutoutError
from galclass.label_words import classes_of
from galclass.scoring import Scorer
from galclass.scoring.embeddings import cosines, nearest_first

MAX_COMPUTED = 2000
"""Stored images without an embedding that one question computes; `galclass db embed` computes them all."""


@dataclass(frozen=True)
class Neighbour:
    """A stored galaxy and how similar it is: the cosine of the embeddings, in [-1, 1]."""

    object_id: str
    similarity: float
    predicted_class: str


class Found(NamedTuple):
    """The nearest galaxies, and the nearest of each of the two most probable classes."""

    nearest: list[Neighbour]
    by_class: dict[str, list[Neighbour]]


class SimilarGalaxies:
    """Finds neighbours among the stored images by their stored embeddings.

    Parameters
    ----------
    pools : Pools
    """

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._filling = threading.Lock()

    def find(
        self, scorer: Scorer, data: bytes, frame_px: int | None, count: int, labels: Mapping[str, str] | None = None
    ) -> Found:
        """Return the most similar stored galaxies, nearest first; the image itself is left out.

        Up to `MAX_COMPUTED` embeddings that the table lacks are computed and stored first.

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
            If the bytes yield no cutout.
        """
        (prediction,) = scorer.score([data], frame_px=frame_px)
        if prediction.error is not None:
            raise CutoutError(prediction.error.code, prediction.error.message)
        kept = self._filled(scorer)
        pool = kept.pool
        if not pool.object_ids or prediction.embedding is None:
            return Found([], {})
        found = cosines(kept.directions, prediction.embedding)
        own = hashlib.sha256(data).hexdigest()
        ranked = nearest_first(found, kept=np.array([sha256 != own for sha256 in pool.img_sha256s])).tolist()

        def neighbour(row: int) -> Neighbour:
            return Neighbour(pool.object_ids[row], round(float(found[row]), 6), pool.classes[row])

        by_class = prediction.by_class or {}
        first = str(prediction.predicted_class)
        second = max((leaf for leaf in by_class if leaf != first), key=lambda leaf: by_class[leaf])
        sides = {leaf: _of_class(pool, ranked, leaf, labels or {}, count) for leaf in (first, second)}
        return Found(
            [neighbour(row) for row in ranked[:count]],
            {leaf: [neighbour(row) for row in rows] for leaf, rows in sides.items()},
        )

    def _filled(self, scorer: Scorer) -> KeptPool:
        """Return the pool of a model once what it lacks is computed, or as much of it as one request may."""
        store = self._pools.embeddings
        if not store.progress(scorer.sha256).complete:
            with self._filling:  # those who ask meanwhile wait for what one computes
                computed: list[int] = []
                store.fill(scorer, stopped=lambda: sum(computed) >= MAX_COMPUTED, advance=computed.append)
        return self._pools.get(scorer.sha256)


def _of_class(pool: Pool, ranked: list[int], leaf: str, labels: Mapping[str, str], count: int) -> list[int]:
    found = []
    for row in ranked:
        label = labels.get(pool.object_ids[row])
        known = classes_of(label) if label is not None else ()
        if (known or (pool.classes[row],)) == (leaf,):
            found.append(row)
            if len(found) == count:
                break
    return found
