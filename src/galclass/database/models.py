"""Records of the registry: a version, a version with its bytes, a move of an alias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from galclass.cutouts import LOCAL, DecodeLimits
from galclass.scoring import ModelId, Scorer, Signature
from galclass.scoring.cage import try_model


@dataclass(frozen=True)
class ModelInfo:
    """A registered version without its bytes."""

    name: str
    version: int
    sha256: str
    created_at: datetime
    created_by: str
    aliases: tuple[str, ...] = ()

    @property
    def model(self) -> ModelId:
        """Name, version and sha256, as predictions carry them."""
        return ModelId(self.name, self.version, self.sha256)


@dataclass(frozen=True)
class ModelRecord(ModelInfo):
    """A registered version with everything about it."""

    value: bytes = field(default=b"", repr=False)
    signature: Signature | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""

    def scorer(self, *, threads: int = 1, limits: DecodeLimits = LOCAL) -> Scorer:
        """Load the model; its predictions carry the registered name and version.

        Raises
        ------
        ModelError
            If `try_model` finds that it is not sound: a row inserted with SQL, or before the checks, was never tried.
        """
        try_model(self.value, where=str(self.model))
        return Scorer(self.value, name=self.name, version=self.version, threads=threads, limits=limits)


@dataclass(frozen=True)
class AliasMove:
    """One line of the alias log; `old` or `new` is None where the alias was made or taken away."""

    name: str
    alias: str
    old: int | None
    new: int | None
    set_at: datetime
    set_by: str
