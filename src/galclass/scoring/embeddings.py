"""Embeddings of images as directions, and the one search for the nearest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galclass.errors import ModelError
from galclass.scoring.scorer import Scorer


def directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale embeddings to length 1, (n, d)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def cosines(among: NDArray[np.float32], embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how similar each of the `directions`, (n, d), is to an embedding, (d,): float32, (n,), in [-1, 1]."""
    found: NDArray[np.float32] = among @ directions(embedding[np.newaxis])[0]
    return found


def nearest_first(
    cosines: NDArray[np.float32], count: int | None = None, *, kept: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Return rows by similarity, the most similar first, equal ones in the order they have.

    Parameters
    ----------
    cosines : float32, (n,)
    count : int, optional
        How many at most; left out, all.
    kept : bool, (n,), optional
        False for the rows that are left out.
    """
    ranked = np.argsort(-cosines, kind="stable")
    return (ranked if kept is None else ranked[kept[ranked]])[:count]


def embedding_of(scorer: Scorer, data: bytes, *, where: str, frame_px: int | None = None) -> NDArray[np.float32]:
    """Return the embedding of an image file, (d,).

    Raises
    ------
    ModelError
        If it yields no cutout.
    """
    (prediction,) = scorer.score([data], frame_px=frame_px)
    if prediction.embedding is None:
        raise ModelError("not an image that can be compared", where=where, got=prediction.error)
    return prediction.embedding
