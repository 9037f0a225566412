"""Checks of untrusted JSON values that collect faults; takes plain values, gives typed ones."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

_SHA256 = re.compile(r"[0-9a-f]{64}")
_T = TypeVar("_T")


class Checker:
    """Collects what is wrong with a JSON document, so that one error can name every fault.

    Each method takes the name of a value and the value, notes a fault where it is wrong, and gives a
    value of the right type in any case; the caller looks at `faults` before it uses anything.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []

    def keys(self, name: str, values: Mapping[str, Any], known: Sequence[str]) -> None:
        """Note missing and unknown keys."""
        self.faults += [f"{name} lacks {key!r}" for key in known if key not in values]
        self.faults += [f"{name} has the unknown key {key!r}" for key in values if key not in known]

    def mapping(self, name: str, value: Any, known: Sequence[str] | None = None) -> dict[str, Any]:
        """Take an object, with exactly the known keys if they are given."""
        if not isinstance(value, Mapping):
            return self._fault(name, "an object", value, {})
        if known is not None:
            self.keys(name, value, known)
        return dict(value)

    def equal(self, name: str, value: Any, expected: Any) -> None:
        """Note a value that is not the expected one."""
        if value != expected:
            self._fault(name, repr(expected), value, None)

    def choice(self, name: str, value: Any, known: Sequence[str]) -> str:
        """Take one of a few texts."""
        if isinstance(value, str) and value in known:
            return value
        return self._fault(name, f"one of {', '.join(known)}", value, known[0])

    def integer(self, name: str, value: Any, low: int, high: int) -> int:
        """Take an integer in [low, high]."""
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        return self._fault(name, f"an integer from {low} to {high}", value, low)

    def number(self, name: str, value: Any, low: float, high: float) -> float:
        """Take a finite number in [low, high]."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number) and low <= number <= high:
                return number
        return self._fault(name, f"a number from {low} to {high}", value, low)

    def numbers(self, name: str, value: Any, length: Any) -> tuple[float, ...]:
        """Take a list of so many finite numbers."""
        if isinstance(value, list) and len(value) == length:
            return tuple(self.number(name, item, -math.inf, math.inf) for item in value)
        return self._fault(name, f"a list of {length} numbers", value, ())

    def text(self, name: str, value: Any) -> str:
        """Take a text."""
        return value if isinstance(value, str) else self._fault(name, "a text", value, "")

    def texts(self, name: str, value: Any) -> tuple[str, ...]:
        """Take a list of different texts."""
        if isinstance(value, list) and all(isinstance(item, str) for item in value) and len(set(value)) == len(value):
            return tuple(value)
        return self._fault(name, "a list of different texts", value, ())

    def sha256(self, name: str, value: Any) -> str:
        """Take 64 hexadecimal digits."""
        if isinstance(value, str) and _SHA256.fullmatch(value):
            return value
        return self._fault(name, "64 hexadecimal digits", value, "")

    def _fault(self, name: str, expected: str, got: Any, instead: _T) -> _T:
        shown = repr(got)
        self.faults.append(f"{name} must be {expected}, not {shown if len(shown) <= 60 else shown[:57] + '...'}")
        return instead
