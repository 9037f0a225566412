"""Paths as a configuration may write them."""

from __future__ import annotations

import os


def filled_in(text: str) -> str:
    """Return a path with `~` and the `${NAME}` of the environment filled in; unset names stay."""
    return os.path.expanduser(os.path.expandvars(text))
