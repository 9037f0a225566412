"""A cache of things with processes: what it drops is closed."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol, TypeVar

from cachetools import LRUCache


class _Closable(Protocol):
    def close(self) -> None: ...


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", bound=_Closable)


class ClosingCache(LRUCache[Key, Value]):
    """Keeps as many values as it may, and closes the least recently used one for a further key."""

    def popitem(self) -> tuple[Key, Value]:
        """Remove the least recently used value, closed."""
        key, value = super().popitem()
        value.close()
        return key, value

    def close(self) -> None:
        """Close and remove all values."""
        while self:
            self.popitem()
