"""The most similar galaxies of the database by the model's embedding.

Takes the table of embeddings and a scorer, returns neighbours; the embeddings of a model are kept in memory.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from galclass.database.embeddings import Pool
from galclass.database.pools import KeptPool, Pools
from galclass.errors import CutoutError
from galclass.label_words import classes_of
from galclass.scoring import Scorer
from galclass.scoring.embeddings import cosines, directions, nearest_first

MAX_COMPUTED = 2000
"""Stored images without an embedding that one question computes; `galclass db embed` computes them all."""


@dataclass(frozen=True)
class Neighbour:
    """A stored galaxy and how similar it is: the cosine of the embeddings, in [-1, 1]."""

    object_id: str
    similarity: float
    predicted_class: str


class Found(NamedTuple):
    """The nearest galaxies, and the nearest of each of the two most probable classes.

    `compared` is how many galaxies were looked at, `lacking` how many could not be, as they have no embedding yet.
    """

    nearest: list[Neighbour]
    by_class: dict[str, list[Neighbour]]
    compared: int = 0
    lacking: int = 0


class _Ranked(NamedTuple):
    cosine: float
    neighbour: Neighbour


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
        kept, lacking = self._filled(scorer)
        asked = prediction.embedding
        if not kept.pool.object_ids or asked is None:
            return Found([], {}, 0, lacking)
        own = hashlib.sha256(data).hexdigest()
        by_class = prediction.by_class or {}
        first = str(prediction.predicted_class)
        second = max((leaf for leaf in by_class if leaf != first), key=lambda leaf: by_class[leaf])
        nearest: list[_Ranked] = []
        sides: dict[str, list[_Ranked]] = {first: [], second: []}
        compared = 0
        for pool, among in self._pages(kept, scorer.sha256):
            found = cosines(among, asked)
            ranked = nearest_first(found, kept=np.array([sha256 != own for sha256 in pool.img_sha256s])).tolist()
            compared += len(ranked)
            nearest = _best(nearest, pool, found, ranked[:count], count)
            for leaf in sides:
                rows = _of_class(pool, ranked, leaf, labels or {}, count)
                sides[leaf] = _best(sides[leaf], pool, found, rows, count)
        shown = {leaf: [one.neighbour for one in best] for leaf, best in sides.items()}
        return Found([one.neighbour for one in nearest], shown, compared, lacking)

    def _pages(self, kept: KeptPool, model_sha256: str) -> Iterator[tuple[Pool, NDArray[np.float32]]]:
        """Yield all embeddings of a model with their directions: those kept in memory, then the others."""
        yield kept.pool, kept.directions
        for pool in self._pools.embeddings.beyond(kept.pool, model_sha256):
            yield pool, directions(pool.vectors)

    def _filled(self, scorer: Scorer) -> tuple[KeptPool, int]:
        """Compute what the pool of a model lacks, or as much as one request may; return it and how many it lacks."""
        store = self._pools.embeddings
        progress = store.progress(scorer.sha256)
        if not progress.complete:
            with self._filling:  # those who ask meanwhile wait for what one computes
                computed: list[int] = []
                store.fill(scorer, stopped=lambda: sum(computed) >= MAX_COMPUTED, advance=computed.append)
            progress = store.progress(scorer.sha256)
        return self._pools.get(scorer.sha256), max(0, progress.total - progress.done)


def _best(before: list[_Ranked], pool: Pool, found: NDArray[np.float32], rows: list[int], count: int) -> list[_Ranked]:
    """Return the nearest of those before and of some rows of a page; equal ones in the order of their ids."""
    new = [
        _Ranked(float(found[row]), Neighbour(pool.object_ids[row], round(float(found[row]), 6), pool.classes[row]))
        for row in rows
    ]
    return sorted([*before, *new], key=lambda one: -one.cosine)[:count]


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
