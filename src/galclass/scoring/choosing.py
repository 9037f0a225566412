"""Which objects a person should label next, from embeddings and the labels so far; plain numpy, milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galclass.scoring.heads import FEWEST_LABELS

DIFFERENT, LIKELY, UNSURE = "different", "likely", "unsure"
"""Why an object is chosen: unlike all labelled ones, probably of the target class, near the decision boundary."""

_SAME = 0.995
"""Cosine above which two objects are redundant; one of them waits."""


@dataclass(frozen=True)
class Labelled:
    """Labelled rows of a pool: `rows` int64 (m,), `codes` int64 (m,), the index of each label's class."""

    rows: NDArray[np.int64]
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class Choice:
    """A row of the pool, and why it is next."""

    row: int
    reason: str


def standardised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the directions of embeddings from their mean, in units of each dimension's spread, (n, d)."""
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

    Without a label of the target, the objects most unlike all labelled ones come first, as the first of a rare class is
    found by looking everywhere. After it, those most like it alternate with unlike ones; from `FEWEST_LABELS` of each
    class on, those that the head finds most probable alternate with those it is least certain of.

    Parameters
    ----------
    directions : float32, (n, d)
        From `standardised`.
    labelled : Labelled
    target : int
        Index of the class to be found.
    count : int
    probabilities : float32, (n, k), optional
        Of a head fitted to the labels.
    left_out : sequence of int
        Further rows that are not chosen, besides the labelled ones.
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
    """Return the lead of the most probable class over the next, (n,)."""
    top: NDArray[np.float32] = np.partition(probabilities, -2, axis=1)[:, -2:]
    margin: NDArray[np.float32] = top[:, 1] - top[:, 0]
    return margin


def _take_turns(
    directions: NDArray[np.float32],
    free: NDArray[np.bool_],
    ranked: dict[str, NDArray[np.float32]],
    count: int,
) -> list[Choice]:
    """Take the best of each ranking in turn; those redundant with one already taken come after the others."""
    free, choices = free.copy(), list[Choice]()
    waiting = np.zeros(len(free), dtype=bool)
    reasons = list(ranked)
    while len(choices) < count and free.any():
        reason = reasons[len(choices) % len(reasons)]
        can = free & ~waiting if (free & ~waiting).any() else free
        row = int(np.where(can, ranked[reason], -np.inf).argmax())
        if not can[row]:  # the ranking does not order the rest
            row = int(can.argmax())
        choices.append(Choice(row, reason))
        free[row] = False
        waiting |= directions @ directions[row] > _SAME
    return choices


def _farthest(
    directions: NDArray[np.float32], known: NDArray[np.int64], free: NDArray[np.bool_], count: int
) -> list[int]:
    """Return rows each of which is as unlike as possible to those known and those before."""
    free = free.copy()
    chosen: list[int] = []
    nearest = (directions @ directions[known].T).max(axis=1) if len(known) else None
    while len(chosen) < count and free.any():
        if nearest is None:
            row = int(np.where(free, directions @ directions.mean(axis=0), -np.inf).argmax())  # the most typical one
            nearest = np.full(len(directions), -1, dtype=np.float32)
        else:
            row = int(np.where(free, nearest, np.inf).argmin())
        chosen.append(row)
        free[row] = False
        nearest = np.maximum(nearest, directions @ directions[row])
    return chosen


def can_fit(counts: Sequence[int]) -> bool:
    """Return whether at least two classes have enough labels for a head."""
    return sum(count >= FEWEST_LABELS for count in counts) >= 2
