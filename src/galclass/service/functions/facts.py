"""The definition of a service over code: its function, files, requirements, models and limits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from galclass.scoring import ModelId

DEADLINE_S, MEMORY_MIB = 10.0, 4096
"""Default longest run of a call and most address space of the process."""


@dataclass(frozen=True)
class FunctionFacts:
    """A published function; its sha256 covers everything but the examples.

    Attributes
    ----------
    function : str
        Import path, such as "galaxies.api:classify".
    files : mapping of str to str
        sha256 of each file of the function's top-level module, by its path beside that module.
    python : str
        Version of Python, such as "3.11".
    requirements : mapping of str to str
        Installed version of each declared requirement.
    models : mapping of str to ModelId
        The registered model behind each parameter that is a `Scorer`.
    inputs, outputs : mapping
        JSON schemas.
    deadline_s : float
        Longest run of one call.
    memory_mib : int
        Most address space of the process.
    examples : tuple of mapping
        {"inputs", "output"} of calls that were run when it was published.
    """

    function: str
    files: Mapping[str, str]
    python: str
    requirements: Mapping[str, str]
    models: Mapping[str, ModelId]
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    deadline_s: float = DEADLINE_S
    memory_mib: int = MEMORY_MIB
    examples: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    @property
    def sha256(self) -> str:
        """The hash of everything that determines its results."""
        facts = asdict(self)
        del facts["examples"]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Return the facts as they are stored, with their hash."""
        return {**asdict(self), "examples": list(self.examples), "sha256": self.sha256}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FunctionFacts:
        """Read what `as_json` returned."""
        facts = {key: value for key, value in stored.items() if key != "sha256"}
        models = {name: ModelId(**one) for name, one in facts.pop("models").items()}
        return cls(**{**facts, "models": models, "examples": tuple(facts["examples"])})
