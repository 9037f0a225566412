"""galclass: galaxy morphology from survey images, end to end.

The names below are the public Python API; each is imported on first use, so that
`import galclass` computes nothing and needs neither torch nor a web framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "GalclassError": "galclass.errors",
    "CLASSES": "galclass.morphology",
    "GROUPS": "galclass.morphology",
    "Config": "galclass.config",
    "load_config": "galclass.config",
    "run": "galclass.pipeline",
    "cutout": "galclass.preprocess",
    "CutoutParameters": "galclass.preprocess",
    "Scorer": "galclass.scoring",
    "Prediction": "galclass.scoring",
    "open_database": "galclass.database",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604  # the keys are the public names


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'galclass' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
