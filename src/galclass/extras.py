"""What each extra of the package contains, so that an error can name the missing one.

`pip install galclass` scores, prepares, registers and publishes; `galclass[serve]` and the like do the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from importlib.util import find_spec

from galclass.errors import ExtraError

MODULES = {
    "serve": (
        "fastapi", "fastapi_offline", "httptools", "httpx2", "orjson", "prometheus_client", "python_multipart",
        "uvicorn", "uvloop", "xxhash",
    ),
    "finetune": ("onnx",),
    "train": ("onnx", "torch"),
    "evaluate": ("jinja2", "matplotlib", "scipy", "sklearn"),
    "astro": ("astropy", "astropy_healpix"),
    "postgres": ("psycopg",),
    "cluster": ("ray",),
    "timm": ("timm",),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow",),
}  # fmt: skip
"""Extra -> modules that its distributions bring; a test compares them with pyproject.toml."""

_NOT_ON_WINDOWS = {"uvloop"}


def require(*extras: str, what: str, modules: Collection[str] | None = None) -> None:
    """Check that extras are installed, before anything is begun.

    Parameters
    ----------
    extras : str
        Names in `MODULES`.
    what : str
        What needs them, as the subject of a sentence.
    modules : collection of str, optional
        Those of their modules that it needs; left out, all.

    Raises
    ------
    ExtraError
        If a module of one is not installed; names all extras that lack one.
    """
    wanted = {extra: [one for one in _modules(extra) if modules is None or one in modules] for extra in extras}
    lacking = {extra: [one for one in own if find_spec(one) is None] for extra, own in wanted.items()}
    lacking = {extra: own for extra, own in lacking.items() if own}
    if lacking:
        raise ExtraError(what, list(lacking), [name for own in lacking.values() for name in own])


def missing_extra(error: ModuleNotFoundError, what: str) -> ExtraError | None:
    """Return the error for a module that could not be imported; None if no extra provides it."""
    module = (error.name or "").partition(".")[0]
    extras = [extra for extra, modules in MODULES.items() if module in modules]
    return ExtraError(what, extras[:1], [module]) if extras else None


def _modules(extra: str) -> tuple[str, ...]:
    skipped = _NOT_ON_WINDOWS if sys.platform == "win32" else set()
    return tuple(module for module in MODULES[extra] if module not in skipped)
