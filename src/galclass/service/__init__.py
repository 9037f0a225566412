"""Published, versioned web services over HTTP.

Takes registered models and HTTP requests, gives the records of a prediction; writes rows of
services, jobs, labels and the audit log to the database. Imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galclass.service.app import create_app
    from galclass.service.publish import publish_stage
    from galclass.service.server import serve

_HOME = {"create_app": "app", "publish_stage": "publish", "serve": "server"}

__all__ = ["create_app", "publish_stage", "serve"]


def __getattr__(name: str) -> Any:
    """Import the web framework only when one of the names is first used."""
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
