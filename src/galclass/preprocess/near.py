"""Pictures that were compressed again: pairs of cutouts that differ by less than two galaxies do.

Takes the pixel file and the index, gives a table of pairs. Nothing is decoded again.
"""

from __future__ import annotations

from collections.abc import Mapping
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
"""Of the fainter cutout's own standard deviation: two empty pictures are alike without being copies."""

_COARSE = 8  # blocks along a side
_MAX_COARSE = 6.0  # levels: how far two copies' luminances of the blocks are apart as a vector; 4.2 at most measured
_MAX_NEIGHBOURS = 20_000  # along the first component that a cutout is compared with
_MAX_PAIRS = 100_000
_SLAB = 24.0  # levels: width of a slab across the second and third components
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of objects whose pictures are nearly the same.

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
    more = "" if facts["whole"] else "; so many pictures look alike that the search was cut short"
    return [f"{facts['count']:,} pairs of objects with nearly the same picture{names}, see {NEAR_DUPLICATES}{more}"]


def near_duplicates(path: Path, shape: tuple[int, int], index: pa.Table) -> NearDuplicates:
    """Find objects whose pictures are re-encodings of one another.

    Parameters
    ----------
    path : Path
        The pixel file.
    shape : (int, int)
        Places, and bytes of a cutout.
    index : pyarrow.Table
        object_id and row (place) of the objects.
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

    Slabs across the second and third principal components overlap by that distance; within one, points are sorted along
    the first component, and each is compared with those that follow within that distance.

    Parameters
    ----------
    points : float32, (n, d)

    Returns
    -------
    int64, (pairs, 2)
        Numbers of points, the smaller first.
    bool
    """
    centred = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    turned = (centred @ axes[:, ::-1]).astype(np.float32)
    found, whole = [np.empty((0, 2), np.int64)], True
    for slab in _slabs(turned[:, 1], np.arange(len(turned))):
        for cell in _slabs(turned[:, 2], slab):
            order = cell[np.argsort(turned[cell, 0], kind="stable")]
            pairs, all_of_them = _close_in_order(turned[order], _MAX_PAIRS - sum(map(len, found)))
            found.append(np.sort(order[pairs], axis=1))
            whole &= all_of_them
    return np.unique(np.concatenate(found), axis=0), whole


def _slabs(values: NDArray[np.float32], chosen: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split points by one component so that two within `_MAX_COARSE` are together in a slab."""
    order = chosen[np.argsort(values[chosen], kind="stable")]
    own = values[order]
    starts = np.arange(own[0], own[-1] + _SLAB, _SLAB)
    begins, ends = np.searchsorted(own, starts), np.searchsorted(own, starts + _SLAB + _MAX_COARSE, side="right")
    return [order[begin:end] for begin, end in zip(begins, ends, strict=True) if end - begin > 1]


def _close_in_order(points: NDArray[np.float32], most: int) -> tuple[NDArray[np.int64], bool]:
    """Find the close pairs of points that are sorted by their first component, up to about `most`."""
    first = np.ascontiguousarray(points[:, 0])
    active = np.arange(len(points) - 1)
    found, total = [np.empty((0, 2), np.int64)], 0
    for step in range(1, len(points)):
        active = active[active + step < len(points)]
        active = active[first[active + step] - first[active] <= _MAX_COARSE]
        if not len(active):
            break
        if step > _MAX_NEIGHBOURS or total > most:
            return np.concatenate(found), False
        here = active
        for axis in (3, 4):
            here = here[np.abs(points[here + step, axis] - points[here, axis]) <= _MAX_COARSE]
        here = here[((points[here + step] - points[here]) ** 2).sum(axis=1) <= _MAX_COARSE**2]
        total += len(here)
        found.append(np.stack([here, here + step], axis=1))
    return np.concatenate(found), True


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
    """Return the rms difference of each pair of places, and the smaller standard deviation of the two."""
    rms, contrast = np.empty(len(pairs)), np.empty(len(pairs))
    for at, (one, other) in enumerate(pairs):
        ours, theirs = pixels[one].astype(np.float32), pixels[other].astype(np.float32)
        rms[at] = np.sqrt(np.mean((ours - theirs) ** 2))
        contrast[at] = min(ours.std(), theirs.std())
    return rms, contrast
