"""Loaded models of one process, by name, version and sha256; the least recently used is dropped."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from galclass.cutouts import SERVED, DecodeLimits
from galclass.scoring import Scorer
from galclass.scoring.cage import try_model
from galclass.scoring.prediction import ModelId

MAX_LOADED = 4
"""Models kept in memory; a service's old and new version and two more."""


class LoadedModels:
    """Scorers that are loaded once and shared by all threads.

    Parameters
    ----------
    read : callable
        Gives the ONNX bytes of a model.
    max_loaded : int
        Models kept in memory.
    limits : DecodeLimits
        How long an image may take to decode.
    """

    def __init__(
        self, read: Callable[[ModelId], bytes], max_loaded: int = MAX_LOADED, limits: DecodeLimits = SERVED
    ) -> None:
        self._read = read
        self._limits = limits
        self._max_loaded = max_loaded
        self._lock = threading.Lock()
        self._loading: dict[ModelId, threading.Lock] = {}
        self._scorers: OrderedDict[ModelId, Scorer] = OrderedDict()

    def get(self, model: ModelId) -> Scorer:
        """Return the scorer of a model, loading it on first use; others wait for one load, not for a second.

        Raises
        ------
        GalclassError
            What reading or loading the model raises.
        """
        scorer = self._loaded(model)
        if scorer is not None:
            return scorer
        with self._lock:
            loading = self._loading.setdefault(model, threading.Lock())
        with loading:
            scorer = self._loaded(model)
            if scorer is None:
                value = self._read(model)
                try_model(value, where=str(model))  # a row inserted with SQL, or before the checks, was never tried
                scorer = Scorer(value, name=model.name, version=model.version, limits=self._limits)
                self._keep(model, scorer)
        return scorer

    def has(self, model: ModelId) -> bool:
        """Return whether a model is loaded."""
        return model in self._scorers

    def _loaded(self, model: ModelId) -> Scorer | None:
        with self._lock:
            scorer = self._scorers.get(model)
            if scorer is not None:
                self._scorers.move_to_end(model)
            return scorer

    def _keep(self, model: ModelId, scorer: Scorer) -> None:
        with self._lock:
            self._scorers[model] = scorer
            self._loading.pop(model, None)
            while len(self._scorers) > self._max_loaded:
                self._scorers.popitem(last=False)
