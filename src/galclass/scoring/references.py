"""How a model is named: the one pattern of names and of NAME[@VERSION|@ALIAS], for Python, SQL and HTTP."""

from __future__ import annotations

PRODUCTION = "production"
"""The default alias."""

DEFAULT_MODEL = f"galaxy@{PRODUCTION}"
"""The default model."""

NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""Regular expression of the names of models, aliases and services."""

REFERENCE = f"(?P<name>{NAME})(?:@(?P<rest>{NAME}))?"
"""Regular expression of NAME, NAME@VERSION or NAME@ALIAS."""
