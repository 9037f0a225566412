"""How long a model may run and how much memory it may take; environment variables override both."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache

from galclass.errors import ModelError

SECONDS_VARIABLE = "GALCLASS_MODEL_SECONDS"
"""Environment variable: longest time of one run of a graph on up to 64 images, and of loading it."""
MEMORY_VARIABLE = "GALCLASS_MODEL_MEMORY_MIB"
"""Environment variable: most memory of all loaded models of a process, weights and intermediate values together."""

DEFAULT_SECONDS = 30.0
DEFAULT_MEMORY_BYTES = 4 << 30


@dataclass(frozen=True)
class RunLimits:
    """Limits of one run of a model.

    Attributes
    ----------
    seconds : float
    memory_bytes : int
        Of all models of the process together; by default 4 GiB, and no more than half of the machine's.
    """

    seconds: float
    memory_bytes: int


def run_limits() -> RunLimits:
    """Read the limits from the environment.

    Raises
    ------
    ModelError
        If a variable is not a positive number.
    """
    seconds, memory = _number(SECONDS_VARIABLE), _number(MEMORY_VARIABLE)
    return RunLimits(
        DEFAULT_SECONDS if seconds is None else seconds,
        min(DEFAULT_MEMORY_BYTES, _half_of_machine()) if memory is None else int(memory * (1 << 20)),
    )


def _number(variable: str) -> float | None:
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e9:
        raise ModelError("it is not a positive number", where=variable, got=repr(text[:40]))
    return value


@lru_cache
def _half_of_machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # unknown on this system
        return DEFAULT_MEMORY_BYTES
