"""Where an alias stood before: a log of moves read as a stack, so that rolling back twice goes back two steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Version = TypeVar("Version", int, str)


def previous_version(moves: Iterable[Version | None], existing: set[Version]) -> Version | None:
    """Give the version an alias pointed at before its present one.

    Parameters
    ----------
    moves : iterable
        Versions the alias was set to, oldest first; None where it was taken away.
    existing : set
        Versions that are still there; others are passed over.

    Returns
    -------
    version or None
        None where there is nothing to go back to.
    """
    stack: list[Version] = []
    for version in moves:
        if version is None or version not in existing or (stack and stack[-1] == version):
            continue
        if len(stack) > 1 and stack[-2] == version:
            stack.pop()
        else:
            stack.append(version)
    return stack[-2] if len(stack) > 1 else None
