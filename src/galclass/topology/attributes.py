"""Typed access to the attributes of one bundle; missing, unknown or wrong ones are reported with their position."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from galclass.errors import TopologyError
from galclass.topology.expressions import Evaluator
from galclass.topology.faults import Faults
from galclass.topology.tree import Attribute, Bundle, BundleKind, Layer

_LARGEST_WEIGHT = 3.40282356e38  # just below what float32 rounds to infinity
_GEOMETRY = ("InputShape", "KernelShape", "Stride", "Padding", "LowerPad", "UpperPad")
ALLOWED_ATTRIBUTES: dict[BundleKind, tuple[str, ...]] = {
    "all": ("Weights",),
    "where": ("Weights",),
    "convolve": (*_GEOMETRY, "Sharing", "MapCount", "Weights"),
    "max pool": _GEOMETRY,
    "mean pool": _GEOMETRY,
    "response norm": (*_GEOMETRY, "Alpha", "Beta", "Offset", "AvgOverFullKernel"),
}


class BundleAttributes:
    """Typed access to one bundle's attributes; names are accepted in any case."""

    def __init__(self, bundle: Bundle, evaluator: Evaluator, faults: Faults) -> None:
        self.bundle = bundle
        self.faults = faults
        self._evaluator = evaluator
        self._found: dict[str, Attribute] = {}
        allowed = ALLOWED_ATTRIBUTES[bundle.kind]
        canonical = {name.lower(): name for name in allowed}
        for attribute in bundle.attributes:
            name = canonical.get(attribute.name.lower())
            if name is None:
                faults.add(self._unknown(attribute, allowed))
            elif name in self._found:
                faults.add(faults.at(attribute, f"attribute {name} is given twice"))
            else:
                self._found[name] = attribute

    def _unknown(self, attribute: Attribute, allowed: tuple[str, ...]) -> TopologyError:
        near = get_close_matches(attribute.name, allowed, 1)
        advice = f"perhaps '{near[0]}' is meant" if near else None
        if attribute.name.lower() == "biases":
            advice = "biases belong to the layer: LAYER { Biases = ...; from ... }"
        return self.faults.at(
            attribute,
            f"a '{self.bundle.kind}' bundle has no attribute '{attribute.name}'",
            expected=", ".join(allowed),
            advice=advice,
        )

    def has(self, name: str) -> bool:
        """Return whether the attribute is present."""
        return name in self._found

    def fault(self, name: str, what: str, **facts: Any) -> TopologyError:
        """Return the error at the attribute, or at the bundle if the attribute is missing."""
        return self.faults.at(self._found.get(name, self.bundle), what, **facts)

    def _value(self, name: str) -> Any:
        return self._evaluator.value(self._found[name].value)

    def _required(self, name: str) -> None:
        if name not in self._found:
            raise self.faults.at(self.bundle, f"attribute {name} is missing from this '{self.bundle.kind}' bundle")

    def integers(
        self, name: str, arity: int | None, *, minimum: int, default: tuple[int, ...] | None = None
    ) -> tuple[int, ...]:
        """Return a tuple of integers; without a default the attribute is required."""
        if name not in self._found and default is not None:
            return default
        self._required(name)
        value = self._value(name)
        ok = isinstance(value, tuple) and all(type(item) is int and item >= minimum for item in value)
        if not ok or not value:
            kind = "positive integers" if minimum else "integers from 0"
            raise self.fault(name, f"{name} has a wrong value", expected=f"a tuple of {kind}", got=value_text(value))
        self._check_arity(name, value, arity)
        return tuple(value)

    def _check_arity(self, name: str, value: tuple[Any, ...], arity: int | None) -> None:
        if arity is not None and len(value) != arity:
            expected = f"{arity} components, as InputShape has"
            raise self.fault(name, f"{name} has a wrong number of components", expected=expected, got=len(value))

    def truths(self, name: str, arity: int, *, default: bool) -> tuple[bool, ...]:
        """Return a tuple of truth values; a single one applies to every dimension."""
        if name not in self._found:
            return (default,) * arity
        value = self._value(name)
        value = (value,) * arity if isinstance(value, bool) else value
        if not isinstance(value, tuple) or not all(isinstance(item, bool) for item in value):
            raise self.fault(
                name, f"{name} has a wrong value", expected="true, false or a tuple of them", got=value_text(value)
            )
        self._check_arity(name, value, arity)
        return value

    def truth(self, name: str, *, default: bool) -> bool:
        """Return a truth value."""
        if name not in self._found:
            return default
        value = self._value(name)
        if not isinstance(value, bool):
            raise self.fault(name, f"{name} has a wrong value", expected="true or false", got=value_text(value))
        return value

    def number(self, name: str, *, default: float | None = None) -> float:
        """Return a number; without a default the attribute is required."""
        if name not in self._found and default is not None:
            return default
        self._required(name)
        value = self._value(name)
        if type(value) not in (int, float):
            raise self.fault(name, f"{name} has a wrong value", expected="a number", got=value_text(value))
        return float(value)

    def map_count(self, arity: int) -> tuple[int, ...]:
        """Return MapCount; an integer applies to the first dimension."""
        if "MapCount" in self._found and type(count := self._value("MapCount")) is int and count > 0:
            return (count, *(1,) * (arity - 1))
        return self.integers("MapCount", arity, minimum=1, default=(1,) * arity)

    def weights(self, count: int, rule: str) -> tuple[float, ...] | None:
        """Return Weights, None if they are not given; `rule` explains how many there must be."""
        if "Weights" not in self._found:
            return None
        return given_numbers("Weights", self._found["Weights"], count, rule, self._evaluator, self.faults)


def biases_attribute(layer: Layer, faults: Faults) -> Attribute | None:
    """Return a layer's `Biases`, None if they are not given; other attributes of a layer are collected as faults."""
    found: Attribute | None = None
    for attribute in layer.attributes:
        if attribute.name.lower() != "biases":
            what = f"a layer has no attribute '{attribute.name}'"
            advice = "attributes of a bundle belong in the bundle's own braces"
            faults.add(faults.at(attribute, what, expected="Biases", advice=advice))
        elif found is not None:
            faults.add(faults.at(attribute, "attribute Biases is given twice"))
        else:
            found = attribute
    return found


def given_numbers(
    name: str, attribute: Attribute, count: int, rule: str, evaluator: Evaluator, faults: Faults
) -> tuple[float, ...]:
    """Return the values of `Weights` or `Biases`.

    Parameters
    ----------
    name : str
        The attribute's name in messages.
    attribute : Attribute
        Contains the values.
    count : int
        How many there must be.
    rule : str
        The reason for `count`.
    evaluator : Evaluator
        Knows the constants.
    faults : Faults
        Makes the errors.

    Raises
    ------
    TopologyError
        If the value is not a tuple of `count` finite numbers (as float32).
    """
    value = evaluator.value(attribute.value)
    if not isinstance(value, tuple) or not all(type(item) in (int, float) for item in value):
        got = "something else in the tuple" if isinstance(value, tuple) else value_text(value)
        raise faults.at(attribute, f"{name} has a wrong value", expected="a tuple of numbers", got=got)
    if len(value) != count:
        raise faults.at(attribute, f"{name} has a wrong number of values", expected=rule, got=len(value))
    for number, item in enumerate(value):
        if not abs(item) <= _LARGEST_WEIGHT:
            what = f"{name}[{number}] does not fit a float32"
            raise faults.at(attribute, what, expected=f"at most {_LARGEST_WEIGHT:.8g} in size", got=item)
    return tuple(float(item) for item in value)


def value_text(value: Any) -> str:
    """Return a value as the language writes it."""
    return f"[{', '.join(map(value_text, value))}]" if isinstance(value, tuple) else str(value).lower()
