"""Which objects a person should label next, from embeddings and the labels so far; plain numpy, milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galclass.scoring.heads import FEWEST_LABELS

DIFFERENT, LIKELY, UNSURE = "different", "likely", "unsure"
"""Why an object is chosen: unlike all that is labelled, probably of the class that is looked for, near the border."""

_SAME = 0.995
"""Cosine above which two objects say the same; one of them waits."""


@dataclass(frozen=True)
class Labelled:
    """Labelled rows of a pool: `rows` int64 (m,), `codes` int64 (m,), the position of each label's class."""

    rows: NDArray[np.int64]
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class Choice:
    """A row of the pool, and why it comes next."""

    row: int
    reason: str


def standardised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the directions of embeddings from their mean, in units of each number's spread, (n, d)."""
    if not len(vectors):
        return vectors
    centred = (vectors - vectors.mean(axis=0)) / np.maximum(vectors.std(axis=0), 1e-6)
    unit: NDArray[np.float32] = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return unit.astype(np.float32)


def choose(
    directions: NDArray[np.float32],
    labelled: Labelled,
    target: int,
    count: int,
    *,
    probabilities: NDArray[np.float32] | None = None,
    left_out: Sequence[int] = (),
) -> list[Choice]:
    """Return the rows to label next, the most informative first; equal arguments give equal rows.

    Without a label of the target the objects most unlike all labelled ones come, as the first of a rare class is
    found by looking everywhere. From the first on, those most like it take turns with the unlike ones; from
    `FEWEST_LABELS` of each class on, those that the head finds most probable take turns with those that it is least
    sure of.

    Parameters
    ----------
    directions : float32, (n, d)
        From `standardised`.
    labelled : Labelled
    target : int
        Position of the class that is looked for.
    count : int
    probabilities : float32, (n, k), optional
        Of a head fitted on the labels.
    left_out : sequence of int
        Rows that are not chosen besides the labelled ones.
    """
    free = np.ones(len(directions), dtype=bool)
    free[labelled.rows] = free[list(left_out)] = False
    if probabilities is not None:
        ranked = {LIKELY: probabilities[:, target], UNSURE: -_margin(probabilities)}
        return _take_turns(directions, free, ranked, count)
    found = labelled.rows[labelled.codes == target]
    if not len(found):
        return [Choice(row, DIFFERENT) for row in _farthest(directions, labelled.rows, free, count)]
    others = labelled.rows[labelled.codes != target]
    towards = directions[found].mean(axis=0) - (directions[others].mean(axis=0) if len(others) else 0)
    alike = directions @ towards
    unlike = _farthest(directions, labelled.rows, free, count)
    far = np.full(len(directions), -np.inf, dtype=np.float32)
    far[unlike] = -np.arange(len(unlike), dtype=np.float32)
    return _take_turns(directions, free, {LIKELY: alike, DIFFERENT: far}, count)


def _margin(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far the most probable class is ahead of the next, (n,)."""
    top: NDArray[np.float32] = np.partition(probabilities, -2, axis=1)[:, -2:]
    margin: NDArray[np.float32] = top[:, 1] - top[:, 0]
    return margin


def _take_turns(
    directions: NDArray[np.float32],
    free: NDArray[np.bool_],
    ranked: dict[str, NDArray[np.float32]],
    count: int,
) -> list[Choice]:
    """Take the best of each ranking in turn; what says the same as one that is taken waits until the others are."""
    free, choices = free.copy(), list[Choice]()
    waiting = np.zeros(len(free), dtype=bool)
    reasons = list(ranked)
    while len(choices) < count and free.any():
        reason = reasons[len(choices) % len(reasons)]
        can = free & ~waiting if (free & ~waiting).any() else free
        row = int(np.where(can, ranked[reason], -np.inf).argmax())
        if not can[row]:  # the ranking has no opinion on what is left
            row = int(can.argmax())
        choices.append(Choice(row, reason))
        free[row] = False
        waiting |= directions @ directions[row] > _SAME
    return choices


def _farthest(
    directions: NDArray[np.float32], known: NDArray[np.int64], free: NDArray[np.bool_], count: int
) -> list[int]:
    """Return rows that are each as unlike as can be to those known and those before."""
    free = free.copy()
    chosen: list[int] = []
    nearest = (directions @ directions[known].T).max(axis=1) if len(known) else None
    while len(chosen) < count and free.any():
        if nearest is None:
            row = int(np.where(free, directions @ directions.mean(axis=0), -np.inf).argmax())  # the most usual one
            nearest = np.full(len(directions), -1, dtype=np.float32)
        else:
            row = int(np.where(free, nearest, np.inf).argmin())
        chosen.append(row)
        free[row] = False
        nearest = np.maximum(nearest, directions @ directions[row])
    return chosen


def can_fit(counts: Sequence[int]) -> bool:
    """Whether there are labels enough of each of at least two classes for a head."""
    return sum(count >= FEWEST_LABELS for count in counts) >= 2
