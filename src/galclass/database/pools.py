"""The embeddings of models kept in memory: read from the table again when it or the images changed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from galclass.database.connection import Database
from galclass.database.embeddings import Embeddings, Pool
from galclass.scoring.choosing import standardised
from galclass.scoring.embeddings import directions

_MAX_POOLS = 2


@dataclass(frozen=True)
class KeptPool:
    """The pool of a model, and what is worked out from it once.

    Attributes
    ----------
    state : tuple
        Changes whenever the pool does.
    pool : Pool
    rows : dict of str to int
        The row of each object.
    """

    state: tuple[object, ...]
    pool: Pool
    rows: dict[str, int] = field(repr=False)

    @cached_property
    def standardised(self) -> NDArray[np.float32]:
        """Directions from the mean in units of each number's spread, (n, d)."""
        return standardised(self.pool.vectors)

    @cached_property
    def directions(self) -> NDArray[np.float32]:
        """Embeddings of length 1, (n, d)."""
        return directions(self.pool.vectors)


class Pools:
    """The pools that a process keeps, those used last.

    Parameters
    ----------
    database : Database
        With a migrated schema.
    """

    def __init__(self, database: Database) -> None:
        self.embeddings = Embeddings(database)
        self._lock = threading.Lock()
        self._pools: LRUCache[str, KeptPool] = LRUCache(_MAX_POOLS)

    def get(self, model_sha256: str) -> KeptPool:
        """Return the pool of a model as it is in the table now."""
        with self._lock:
            state = self.embeddings.state(model_sha256)
            kept = self._pools.get(model_sha256)
            if kept is None or kept.state != state:
                pool = self.embeddings.pool(model_sha256)
                kept = self._pools[model_sha256] = KeptPool(state, pool, pool.rows())
            return kept
