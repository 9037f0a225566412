"""The prepared galaxies most similar to an image: exact, offline, by the cosine of the embeddings.

The embeddings of a prepared folder are computed once per model and kept beside it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galclass.atomic_files import replacing
from galclass.cutouts.headers import MAX_BYTES
from galclass.errors import ModelError
from galclass.image_files import ImageFile, read_image
from galclass.prepare.store import Store
from galclass.scoring.embeddings import cosines, directions, embedding_of, nearest_first
from galclass.scoring.scorer import Scorer

_ROWS = 4096


@dataclass(frozen=True)
class Neighbour:
    """A prepared galaxy and how similar it is: the cosine of the embeddings, in [-1, 1]."""

    object_id: str
    asset_id: str
    label: str
    split: str
    similarity: float


def find_similar(
    image: Path, scorer: Scorer, prepared: Path, *, count: int = 8, frame_px: int | None = None
) -> list[Neighbour]:
    """Return the prepared galaxies most similar to an image, nearest first; the image itself is left out.

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
    data = read_one(image)
    asked = embedding_of(scorer, data, where=str(image), frame_px=frame_px)
    found = cosines(directions(embeddings(store, scorer, prepared)), asked)
    own = hashlib.sha256(data).hexdigest()
    others = np.array([sha256 != own for sha256 in store.index["sha256"].to_pylist()], dtype=bool)
    nearest = nearest_first(found, count, kept=others)
    rows = store.index.select(["object_id", "asset_id", "label", "split"]).take(nearest).to_pylist()
    return [
        Neighbour(**{name: str(value) for name, value in row.items()}, similarity=float(cosine))
        for row, cosine in zip(rows, found[nearest], strict=True)
    ]


def embeddings(store: Store, scorer: Scorer, prepared: Path) -> NDArray[np.float32]:
    """Return the embeddings of all prepared objects, (n, d), from the file beside them or computed and kept."""
    model = f"embeddings-{scorer.sha256[:16]}"
    path = prepared / f"{model}-{_sha256_of(store)[:16]}.npy"
    if path.is_file():
        kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return kept
    starts = range(0, len(store), _ROWS)
    parts = [scorer.score_cutouts(store.central(slice(at, at + _ROWS))).embedding for at in starts]
    made = np.concatenate(parts)
    with replacing(path) as temporary:
        np.save(temporary, made, allow_pickle=False)
    for former in set(prepared.glob(f"{model}*.npy")) - {path}:
        former.unlink(missing_ok=True)
    return made


def _sha256_of(store: Store) -> str:
    """Hash what the open store says of itself: by time, a file made while it was prepared again would be the newer."""
    return hashlib.sha256(json.dumps(store.facts, sort_keys=True).encode()).hexdigest()


def read_one(image: Path) -> bytes:
    """Return the bytes of an image file.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    try:
        return read_image(ImageFile("", str(image)), MAX_BYTES)
    except OSError as error:
        raise ModelError("it cannot be read", where=str(image), got=error.strerror) from error
