"""The models that a server has loaded, by name, version and sha256."""

from __future__ import annotations

from collections.abc import Callable

from galclass.cutouts import SERVED, DecodeLimits
from galclass.scoring import Scorer
from galclass.scoring.cage import try_model
from galclass.scoring.loaded import LoadedScorers
from galclass.scoring.prediction import ModelId

MAX_LOADED = 4
"""Models kept in memory; a service's old and new version and two more."""


class LoadedModels:
    """Scorers that are loaded once and shared by all threads.

    Parameters
    ----------
    read : callable
        Returns the ONNX bytes of a model.
    max_loaded : int
        Models kept in memory.
    limits : DecodeLimits
        How long an image may take to decode.
    provider : str
        What runs the graphs.
    """

    def __init__(
        self,
        read: Callable[[ModelId], bytes],
        max_loaded: int = MAX_LOADED,
        limits: DecodeLimits = SERVED,
        provider: str = "cpu",
    ) -> None:
        self._read = read
        self._provider = provider
        self._limits = limits
        self._scorers: LoadedScorers[ModelId] = LoadedScorers(max_loaded)

    def get(self, model: ModelId) -> Scorer:
        """Return the scorer of a model, loading it on first use; concurrent calls share one load.

        Raises
        ------
        GalclassError
            If the model cannot be read or loaded.
        """
        return self._scorers.get(model, lambda: self._load(model))

    def has(self, model: ModelId) -> bool:
        """Return whether a model is loaded."""
        return model in self._scorers

    def _load(self, model: ModelId) -> Scorer:
        value = self._read(model)
        try_model(value, where=str(model))  # a row inserted with SQL, or before the checks, was never tried
        return Scorer(value, name=model.name, version=model.version, limits=self._limits, provider=self._provider)
