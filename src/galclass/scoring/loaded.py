"""Loaded models of one process: each is loaded once, and the least recently used is dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

from galclass.scoring.scorer import Scorer

Key = TypeVar("Key", bound=Hashable)


class LoadedScorers(Generic[Key]):
    """Scorers by key, shared by all threads.

    Parameters
    ----------
    max_loaded : int
        Models kept in memory.
    """

    def __init__(self, max_loaded: int) -> None:
        self._lock = threading.Lock()
        self._loading: dict[Key, threading.Lock] = {}
        self._scorers: LRUCache[Key, Scorer] = LRUCache(max_loaded)

    def get(self, key: Key, load: Callable[[], Scorer]) -> Scorer:
        """Return a scorer, loading it on first use; other threads wait for that load instead of starting a second.

        Raises
        ------
        GalclassError
            What `load` raises.
        """
        scorer = self._loaded(key)
        if scorer is not None:
            return scorer
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            scorer = self._loaded(key)
            if scorer is None:
                scorer = load()
                self._keep(key, scorer)
        return scorer

    def __contains__(self, key: Key) -> bool:
        return key in self._scorers

    def _loaded(self, key: Key) -> Scorer | None:
        with self._lock:
            return self._scorers.get(key)

    def _keep(self, key: Key, scorer: Scorer) -> None:
        with self._lock:
            self._scorers[key] = scorer
            self._loading.pop(key, None)
