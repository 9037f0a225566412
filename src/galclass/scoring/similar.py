"""The prepared galaxies nearest to an image: exact, offline, by cosine distance between embeddings.

The embeddings of a prepared folder are computed once per model and kept beside it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galclass.errors import ModelError
from galclass.preprocess import Store
from galclass.scoring.scorer import Scorer

_ROWS = 4096


@dataclass(frozen=True)
class Neighbour:
    """A prepared galaxy and its cosine distance, in [0, 2]."""

    object_id: str
    asset_id: str
    label: str
    split: str
    distance: float


def find_similar(
    image: Path, scorer: Scorer, prepared: Path, *, count: int = 8, frame_px: int | None = None
) -> list[Neighbour]:
    """Give the prepared galaxies most like an image, nearest first.

    Raises
    ------
    ModelError
        If the image is faulty or the folder was prepared for another cutout.
    StoreError
        If the folder is not whole.
    """
    store = Store.open(prepared)
    if store.parameters != scorer.parameters:
        raise ModelError("the folder was prepared for another model", where=str(prepared), expected=scorer.parameters)
    (answer,) = scorer.score([_read(image)], frame_px=frame_px)
    if answer.embedding is None:
        raise ModelError("it is no image to compare with", where=str(image), got=answer.error)
    distances = 1.0 - _unit(embeddings(store, scorer, prepared)) @ _unit(answer.embedding[np.newaxis])[0]
    nearest = np.argsort(distances, kind="stable")[:count]
    rows = store.index.select(["object_id", "asset_id", "label", "split"]).take(nearest).to_pylist()
    return [
        Neighbour(**{name: str(value) for name, value in row.items()}, distance=float(distance))
        for row, distance in zip(rows, distances[nearest], strict=True)
    ]


def embeddings(store: Store, scorer: Scorer, prepared: Path) -> NDArray[np.float32]:
    """Give the embeddings of all prepared objects, (n, d), from the file beside them or computed and kept."""
    path = prepared / f"embeddings-{scorer.sha256[:16]}.npy"
    newest = (prepared / "prepared.json").stat().st_mtime
    if path.is_file() and path.stat().st_mtime > newest:
        kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return kept
    starts = range(0, len(store), _ROWS)
    parts = [scorer.score_cutouts(store.central(slice(at, at + _ROWS))).embedding for at in starts]
    made = np.concatenate(parts)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.npy")
    np.save(temporary, made, allow_pickle=False)
    os.replace(temporary, path)
    return made


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, 1e-12)
    return unit


def _read(image: Path) -> bytes:
    try:
        return image.read_bytes()
    except OSError as error:
        raise ModelError("it cannot be read", where=str(image), got=error.strerror) from error
