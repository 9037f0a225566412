"""Images that were compressed again: pairs of cutouts that differ by less than two galaxies do.

Takes the pixel file and the index, returns a table of pairs. Nothing is decoded again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

NEAR_DUPLICATES = "near_duplicates.parquet"
SCHEMA = pa.schema([("object_id", pa.string()), ("other_object_id", pa.string()), ("rms", pa.float64())])
MAX_RMS = 2.5
"""Levels: re-encodings at quality 60 to 95 differ by at most 1.7, two galaxies by 4.8 or more (decision 11)."""
MAX_OF_CONTRAST = 0.25
"""Of the fainter cutout's own standard deviation: two empty images are alike without being copies."""

_COARSE = 8  # blocks along a side
_MAX_COARSE = 6.0  # levels: how far two copies' luminances of the blocks are apart as a vector; 4.2 at most measured
_MAX_PAIRS = 100_000
_MAX_COMPARED = 3_000_000_000  # pairs of points
_BLOCK = 512  # points: the smallest cell that is halved, and how many are compared with a cell at a time
_AXES = 24  # components that a cell may be halved across, and that are compared first
_MATRIX = 1 << 22  # comparisons at a time: 16 MB
_PART = 1 << 15  # pairs that are compared in all components at a time: 25 MB
_WORTH_HALVING = 0.9  # of the comparisons in the whole cell
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of objects whose images are nearly the same.

    Attributes
    ----------
    pairs : pyarrow.Table
        object_id, other_object_id, rms (levels, over all pixels and channels of the stored cutouts).
    whole : bool
        False: so many cutouts look alike that the search was cut short.
    """

    pairs: pa.Table
    whole: bool

    def facts(self) -> dict[str, object]:
        """Return what the summary says: how many pairs, a few of them, and whether there may be more."""
        named = zip(*(self.pairs[name].to_pylist()[:3] for name in ("object_id", "other_object_id")), strict=True)
        return {"count": len(self.pairs), "names": [f"{one} and {other}" for one, other in named], "whole": self.whole}


def near_remarks(facts: Mapping[str, Any] | None) -> list[str]:
    """Return what to say of the pairs found: nothing where there is none."""
    if facts is None or (not facts["count"] and facts["whole"]):
        return []
    names = f" ({', '.join(facts['names'])})" if facts["names"] else ""
    more = "" if facts["whole"] else "; so many images look alike that the search was cut short"
    return [f"{facts['count']:,} pairs of objects with nearly the same image{names}, see {NEAR_DUPLICATES}{more}"]


def near_duplicates(path: Path, shape: tuple[int, int], index: pa.Table) -> NearDuplicates:
    """Find objects whose images are re-encodings of one another.

    Parameters
    ----------
    path : Path
        The pixel file.
    shape : (int, int)
        Slots, and bytes of a cutout.
    index : pyarrow.Table
        object_id and row (slot) of the objects.
    """
    if len(index) < 2:
        return NearDuplicates(SCHEMA.empty_table(), True)
    side = round((shape[1] // 3) ** 0.5)
    pixels = np.memmap(path, np.uint8, "r", shape=(shape[0], side, side, 3))
    rows = index["row"].to_numpy()
    pairs, whole = close_pairs(_coarse(pixels, rows))
    ids = index["object_id"].to_pylist()
    pairs = pairs[[ids[one] != ids[other] for one, other in pairs]] if len(pairs) else pairs
    rms, contrast = _differences(pixels, rows[pairs])
    near = (rms <= MAX_RMS) & (rms <= MAX_OF_CONTRAST * contrast)
    found = sorted(
        (float(value), ids[one], ids[other]) for value, (one, other) in zip(rms[near], pairs[near], strict=True)
    )
    columns = {"object_id": [one for _, one, _ in found], "other_object_id": [other for *_, other in found]}
    return NearDuplicates(pa.table(columns | {"rms": [value for value, *_ in found]}, schema=SCHEMA), whole)


def close_pairs(points: NDArray[np.float32]) -> tuple[NDArray[np.int64], bool]:
    """Find all pairs of points that are at most `_MAX_COARSE` apart, and whether the search was whole.

    The points are halved again and again across the widest principal component, the halves overlapping by that
    distance, until a cell is small or halving saves no work; within a cell all are compared with all.

    Parameters
    ----------
    points : float32, (n, d)

    Returns
    -------
    int64, (pairs, 2)
        Numbers of points, the smaller first.
    bool
        False after `_MAX_PAIRS` pairs or `_MAX_COMPARED` comparisons.
    """
    centred = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    turned = np.ascontiguousarray(centred @ axes[:, ::-1], dtype=np.float32)
    found, waiting, compared, total = [np.empty((0, 2), np.int64)], [np.arange(len(turned))], 0, 0
    while waiting:
        cell = waiting.pop()
        halves = _halves(turned, cell)
        if halves:
            waiting += halves
            continue
        for pairs, comparisons in _close_in_cell(turned[cell]):
            total += len(pairs)
            compared += comparisons
            found.append(np.sort(cell[pairs], axis=1))
            if total > _MAX_PAIRS or compared > _MAX_COMPARED:
                return np.unique(np.concatenate(found), axis=0), False
    return np.unique(np.concatenate(found), axis=0), True


def _halves(points: NDArray[np.float32], cell: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Halve a cell so that two points within `_MAX_COARSE` are together in a half; nothing where that saves no work."""
    if len(cell) <= _BLOCK:
        return []
    own = points[cell, :_AXES]
    axis = int(np.argmax(own.std(axis=0)))
    middle = np.median(own[:, axis])
    halves = [cell[own[:, axis] <= middle + _MAX_COARSE / 2], cell[own[:, axis] >= middle - _MAX_COARSE / 2]]
    work = sum(float(len(half)) ** 2 for half in halves)
    return halves if work < _WORTH_HALVING * float(len(cell)) ** 2 else []


def _close_in_cell(points: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Yield the close pairs of a cell, and how many comparisons found them: some points against all that follow."""
    points = points - points.mean(axis=0)
    first = np.ascontiguousarray(points[:, :_AXES])  # no two are nearer than in their first components
    squares = np.einsum("ij,ij->i", first, first)
    rows = max(1, min(_BLOCK, _MATRIX // len(points)))
    for start in range(0, len(points), rows):
        limit = (squares[start : start + rows, None] - _MAX_COARSE**2 - 1) / 2  # 1: for rounding
        inner = first[start : start + rows] @ first[start:].T
        inner -= squares[None, start:] / 2
        one, other = np.nonzero(inner >= limit)
        one, other = one[one < other] + start, other[one < other] + start
        yield from (
            (_checked(points, one[at : at + _PART], other[at : at + _PART]), 0) for at in range(0, len(one), _PART)
        )
        yield np.empty((0, 2), np.int64), inner.size


def _checked(points: NDArray[np.float32], one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    near = ((points[one] - points[other]) ** 2).sum(axis=1) <= _MAX_COARSE**2
    return np.stack([one[near], other[near]], axis=1)


def _coarse(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the luminances of 8 x 8 blocks: float32, (objects, 64)."""
    points = np.empty((len(rows), _COARSE, _COARSE), np.float32)
    for at, row in enumerate(rows):
        grey = cv2.transform(pixels[row].astype(np.float32), _LUMINANCE[None])
        points[at] = cv2.resize(grey, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
    return points.reshape(len(rows), -1)


def _differences(
    pixels: NDArray[np.uint8], pairs: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rms difference of each pair of slots, and the smaller standard deviation of the two."""
    rms, contrast = np.empty(len(pairs)), np.empty(len(pairs))
    for at, (one, other) in enumerate(pairs):
        ours, theirs = pixels[one].astype(np.float32), pixels[other].astype(np.float32)
        rms[at] = np.sqrt(np.mean((ours - theirs) ** 2))
        contrast[at] = min(ours.std(), theirs.std())
    return rms, contrast
