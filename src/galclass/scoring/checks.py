"""Checks of untrusted JSON values that collect faults; takes plain values, returns typed ones."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from galclass.errors import ModelError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNKEPT = re.compile("[\0\ud800-\udfff]")
_T = TypeVar("_T")

MAX_JSON_BYTES = 16 << 20
"""Longest JSON document of a model: its signature or its metrics."""
MAX_JSON_DEPTH = 16
"""Deepest nesting of lists and objects in it."""
MAX_JSON_VALUES = 100_000
"""Most keys and values in it, apart from lists of plain numbers."""
MAX_FAULTS = 100
"""Most faults that one error names."""
MAX_TEXT = 1000
"""Longest text of a signature."""
LARGEST = 1e18
"""Largest number in a list: its square is still finite as float32."""
SMALLEST = 1e-18
"""Smallest unit allowed in a signature."""
_SHOWN = 20


def read_json(text: str, what: str, *, where: str) -> Any:
    """Read a JSON document of a model that may be hostile.

    Parameters
    ----------
    text : str
    what : str
        The document's name in errors, e.g. "its signature".
    where : str
        The model.

    Raises
    ------
    ModelError
        If it is not JSON, is too long or nested too deeply, contains what databases cannot store (numbers that are not
        finite, a NUL, half of a surrogate pair), or has more than `MAX_JSON_VALUES` values.
    """
    if len(text) > MAX_JSON_BYTES:
        expected = f"at most {MAX_JSON_BYTES:,} characters"
        raise ModelError(f"{what} is too long", where=where, expected=expected, got=f"{len(text):,}")
    if text.count("[]") + text.count("{}") + text.count(":") > MAX_JSON_VALUES:  # before they are parsed
        raise _too_many(what, where)
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise _too_deep(what, where) from error
    except ValueError as error:  # not JSON, or an integer of thousands of digits
        raise ModelError(f"{what} is not JSON: {str(error)[:200]}", where=where) from error
    _check_json(document, what, where)
    return document


def _check_json(document: Any, what: str, where: str) -> None:
    waiting, seen = [(document, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_JSON_DEPTH:
            raise _too_deep(what, where)
        plain = isinstance(value, list) and _all_finite(value)
        seen += len(value) if isinstance(value, (dict, list)) and not plain else 0
        if seen > MAX_JSON_VALUES:
            raise _too_many(what, where)
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for pair in value.items() for item in pair]
        elif isinstance(value, list):
            waiting += [] if plain else [(item, depth + 1) for item in value]
        elif isinstance(value, str):
            if _UNKEPT.search(value):
                raise ModelError(f"{what} has text that databases cannot store", where=where, got=ascii(value[:40]))
        elif isinstance(value, float) and not math.isfinite(value):
            raise ModelError(f"{what} has a number that is not finite", where=where, got=value)


def _all_finite(values: list[Any]) -> bool:
    """Return whether a list contains only finite floats; a signature has tens of thousands of them."""
    return set(map(type, values)) == {float} and math.isfinite(sum(values))


def _too_many(what: str, where: str) -> ModelError:
    return ModelError(f"{what} has too many values", where=where, expected=f"at most {MAX_JSON_VALUES:,}")


def _too_deep(what: str, where: str) -> ModelError:
    return ModelError(f"{what} is nested too deeply", where=where, expected=f"at most {MAX_JSON_DEPTH} levels")


class Checker:
    """Collects the faults of a JSON document, so that one error can name them all.

    Each method takes the name of a value and the value, notes a fault if it is wrong, and returns a value of the right
    type in any case; the caller checks `faults` before it uses anything.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []

    def keys(self, name: str, values: Mapping[str, Any], known: Sequence[str]) -> None:
        """Note missing and unknown keys."""
        self.faults += [f"{name} lacks {key!r}" for key in known if key not in values]
        unknown = [key for key in values if key not in known]
        self.faults += [f"{name} has the unknown key {key[:MAX_TEXT]!r}" for key in unknown[:_SHOWN]]
        if len(unknown) > _SHOWN:
            self.faults.append(f"{name} has {len(unknown) - _SHOWN:,} further unknown keys")

    def mapping(self, name: str, value: Any, known: Sequence[str] | None = None) -> dict[str, Any]:
        """Read an object, with exactly the known keys if they are given."""
        if not isinstance(value, Mapping):
            return self._fault(name, "an object", value, {})
        if known is not None:
            self.keys(name, value, known)
        return dict(value)

    def equal(self, name: str, value: Any, expected: Any) -> None:
        """Note a value other than the expected one."""
        if value != expected:
            self._fault(name, repr(expected), value, None)

    def choice(self, name: str, value: Any, known: Sequence[str]) -> str:
        """Read one of a few texts."""
        if isinstance(value, str) and value in known:
            return value
        return self._fault(name, f"one of {', '.join(known)}", value, known[0])

    def flag(self, name: str, value: Any) -> bool:
        """Read true or false."""
        return value if isinstance(value, bool) else self._fault(name, "true or false", value, False)

    def integer(self, name: str, value: Any, low: int, high: int) -> int:
        """Read an integer in [low, high]."""
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        return self._fault(name, f"an integer from {low} to {high}", value, low)

    def number(self, name: str, value: Any, low: float, high: float) -> float:
        """Read a finite number in [low, high]."""
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < sys.float_info.max:
            number = float(value)
            if math.isfinite(number) and low <= number <= high:
                return number
        return self._fault(name, f"a number from {low} to {high}", value, low)

    def numbers(self, name: str, value: Any, length: Any) -> tuple[float, ...]:
        """Read a list of a given length of numbers that fit float32, with room for arithmetic."""
        if isinstance(value, list) and len(value) == length:
            if _all_finite(value) and min(value) >= -LARGEST and max(value) <= LARGEST:
                return tuple(value)
            before, numbers = len(self.faults), []
            for item in value:
                numbers.append(self.number(name, item, -LARGEST, LARGEST))
                if len(self.faults) > before:  # one of many
                    break
            return tuple(numbers)
        return self._fault(name, f"a list of {length} numbers", value, ())

    def text(self, name: str, value: Any) -> str:
        """Read a text of at most `MAX_TEXT` characters."""
        if isinstance(value, str) and len(value) <= MAX_TEXT:
            return value
        return self._fault(name, f"a text of at most {MAX_TEXT} characters", value, "")

    def texts(self, name: str, value: Any, most: int) -> tuple[str, ...]:
        """Read a list of different short texts, of limited length."""
        if isinstance(value, list) and len(value) <= most:
            short = [item for item in value if isinstance(item, str) and 0 < len(item) <= MAX_TEXT]
            if len(set(short)) == len(value):
                return tuple(short)
        return self._fault(name, f"a list of at most {most} different texts", value, ())

    def sha256(self, name: str, value: Any) -> str:
        """Read 64 hexadecimal digits."""
        if isinstance(value, str) and _SHA256.fullmatch(value):
            return value
        return self._fault(name, "64 hexadecimal digits", value, "")

    def _fault(self, name: str, expected: str, got: Any, instead: _T) -> _T:
        if len(self.faults) >= MAX_FAULTS:
            return instead
        shown = repr(got) if not isinstance(got, int) or abs(got) < 1 << 64 else "a larger number"
        self.faults.append(f"{name} must be {expected}, not {shown if len(shown) <= 60 else shown[:57] + '...'}")
        return instead
