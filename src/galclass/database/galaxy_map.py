"""The map of what is stored: the embeddings of a model on a plane, and thumbnails of the objects in sheets.

A map is worked out once for a state of the tables and kept; objects near each other share a sheet, so that a part of
the map needs few of them.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from galclass.database.connection import Database
from galclass.database.pools import KeptPool, Pools
from galclass.database.thumbnails import A_SHEET, sheet
from galclass.scoring.projection import Projection, fit_projection

MAX_POINTS = 20_000
"""Objects on a map; of more, every n-th by object id."""

WAIT_S = 5.0
"""Longest wait for a sheet while others are drawn: a thread that waits is one that other routes lack."""

_MAX_MAPS = 2
_MAX_SHEETS = 200
"""Sheets kept in memory, 40 to 110 kB each."""
_CELLS = 1024
"""Of the grid along a side by which objects are put in order."""


@dataclass(frozen=True)
class DrawnMap:
    """A map of stored objects.

    Attributes
    ----------
    version : str
        Changes whenever an object or a position does.
    total : int
        Objects with an embedding, of which these are drawn.
    object_ids : tuple of str, (n,)
        In the order of the sheets.
    classes : tuple of str, (n,)
        As the model predicted.
    positions : float64, (n, 2)
        In 0..1.
    projection : Projection or None
        None where nothing is drawn.
    """

    version: str
    total: int
    object_ids: tuple[str, ...]
    classes: tuple[str, ...]
    positions: NDArray[np.float64]
    projection: Projection | None

    @property
    def sheets(self) -> int:
        """How many sheets of thumbnails there are."""
        return -(-len(self.object_ids) // A_SHEET)


class GalaxyMaps:
    """The maps and sheets that a process keeps.

    Parameters
    ----------
    database : Database
    pools : Pools
    """

    def __init__(self, database: Database, pools: Pools) -> None:
        self._database = database
        self._pools = pools
        self._lock = threading.Lock()
        self._maps: LRUCache[str, tuple[tuple[object, ...], DrawnMap]] = LRUCache(_MAX_MAPS)
        self._drawing = threading.Lock()
        self._sheets: LRUCache[tuple[str, int], bytes] = LRUCache(_MAX_SHEETS)

    def get(self, model_sha256: str) -> DrawnMap:
        """Return the map of a model as its embeddings are now."""
        kept = self._pools.get(model_sha256)
        with self._lock:
            known = self._maps.get(model_sha256)
            if known is None or known[0] != kept.state:
                known = self._maps[model_sha256] = kept.state, draw_map(kept, model_sha256)
            return known[1]

    def sheet(self, drawn: DrawnMap, number: int) -> bytes | None:
        """Return a sheet of a map as a JPEG; None where others are drawn for longer than `WAIT_S`: one at a time is."""
        key = drawn.version, number
        if (known := self._kept_sheet(key)) is not None:
            return known
        if not self._drawing.acquire(timeout=WAIT_S):
            return None
        try:
            known = self._kept_sheet(key)  # by who drew before
            if known is None:
                known = sheet(self._database, drawn.object_ids[number * A_SHEET : (number + 1) * A_SHEET])
                with self._lock:
                    self._sheets[key] = known
            return known
        finally:
            self._drawing.release()

    def _kept_sheet(self, key: tuple[str, int]) -> bytes | None:
        with self._lock:
            return self._sheets.get(key)


def draw_map(kept: KeptPool, model_sha256: str) -> DrawnMap:
    """Work out the map of a pool."""
    pool = kept.pool
    total = len(pool.object_ids)
    version = hashlib.sha256(repr((model_sha256, kept.state)).encode()).hexdigest()[:16]
    if not total:
        return DrawnMap(version, 0, (), (), np.zeros((0, 2)), None)
    rows = np.unique(np.linspace(0, total - 1, min(total, MAX_POINTS)).round().astype(np.int64))
    rows = rows[np.isfinite(pool.vectors[rows]).all(axis=1)]
    if not len(rows):
        return DrawnMap(version, total, (), (), np.zeros((0, 2)), None)
    vectors = pool.vectors[rows]
    projection = fit_projection(vectors, [pool.classes[row] for row in rows])
    positions = projection.place(vectors)
    order = np.argsort(_along_a_curve(positions), kind="stable")
    chosen = rows[order].tolist()
    return DrawnMap(
        version,
        total,
        tuple(pool.object_ids[row] for row in chosen),
        tuple(pool.classes[row] for row in chosen),
        positions[order],
        projection,
    )


def _along_a_curve(positions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return where positions lie along a Morton curve, on which neighbours are near each other."""
    cells = np.minimum((positions * _CELLS).astype(np.int64), _CELLS - 1)
    code = np.zeros(len(positions), np.int64)
    for bit in range(_CELLS.bit_length() - 1):
        code |= ((cells[:, 0] >> bit) & 1) << (2 * bit) | ((cells[:, 1] >> bit) & 1) << (2 * bit + 1)
    return code
