"""A bundle's attributes in, its full geometry out; every rule of the language about one bundle is checked here."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from math import prod
from typing import Any

from galclass.errors import TopologyError
from galclass.topology.expressions import Evaluator, edges_of
from galclass.topology.faults import Faults
from galclass.topology.geometry import Axis, Geometry, centred_axis, covered_axis, padded_axis
from galclass.topology.network import (
    ConvBundle,
    FilteredBundle,
    FullBundle,
    NormBundle,
    PoolBundle,
    ResolvedBundle,
)
from galclass.topology.tree import Attribute, Bundle, BundleKind

_GEOMETRY = ("InputShape", "KernelShape", "Stride", "Padding", "LowerPad", "UpperPad")
_MOST_PAIRS = 1 << 30  # a predicate over more pairs would take minutes
_ALLOWED: dict[BundleKind, tuple[str, ...]] = {
    "all": (),
    "where": ("Weights",),
    "convolve": (*_GEOMETRY, "Sharing", "MapCount", "Weights"),
    "max pool": _GEOMETRY,
    "mean pool": _GEOMETRY,
    "response norm": (*_GEOMETRY, "Alpha", "Beta", "Offset", "AvgOverFullKernel"),
}


@dataclass(frozen=True)
class BundleResult:
    """A resolved bundle and the weights its `Weights` attribute gives, in the language's order (None: not given)."""

    bundle: ResolvedBundle
    given: tuple[float, ...] | None = None


def resolve_bundle(
    bundle: Bundle,
    source_shape: tuple[int, ...],
    shape: tuple[int, ...],
    evaluator: Evaluator,
    faults: Faults,
) -> BundleResult:
    """Return a bundle with all sizes known.

    Parameters
    ----------
    bundle : Bundle
        The declaration.
    source_shape, shape : tuple of int
        Shapes of the source layer and of the layer that holds the bundle.
    evaluator : Evaluator
        Knows the constants.
    faults : Faults
        Makes the errors.

    Raises
    ------
    TopologyError
        On the first rule that the bundle breaks.
    """
    attributes = _Attributes(bundle, evaluator, faults)
    nodes, source_nodes = prod(shape), prod(source_shape)
    if bundle.kind == "all":
        return BundleResult(FullBundle(bundle.source, source_nodes, nodes))
    if bundle.kind == "where":
        return _filtered(bundle, source_shape, shape, evaluator, attributes)
    result = _windowed(bundle, source_shape, attributes)
    _check_output(result.bundle, shape, bundle, faults)
    return result


def windowed_shape(bundle: Bundle, source_shape: tuple[int, ...], faults: Faults) -> tuple[int, ...]:
    """Return the shape that a convolution, pool or response norm gives: what a builder declares for its layer.

    Raises
    ------
    TopologyError
        On the first rule that the bundle breaks.
    """
    result = _windowed(bundle, source_shape, _Attributes(bundle, Evaluator({}, faults), faults)).bundle
    return result.output_shape if isinstance(result, ConvBundle | PoolBundle | NormBundle) else ()


def _windowed(bundle: Bundle, source_shape: tuple[int, ...], attributes: _Attributes) -> BundleResult:
    geometry = _geometry(attributes, source_shape)
    if bundle.kind == "convolve":
        return _convolution(bundle, geometry, attributes)
    if bundle.kind == "response norm":
        return BundleResult(_norm(bundle, geometry, attributes))
    return BundleResult(PoolBundle(bundle.source, geometry, "max" if bundle.kind == "max pool" else "mean"))


def _filtered(
    bundle: Bundle,
    source_shape: tuple[int, ...],
    shape: tuple[int, ...],
    evaluator: Evaluator,
    attributes: _Attributes,
) -> BundleResult:
    predicate = bundle.predicate
    if predicate is None:
        raise attributes.faults.at(bundle, "a filtered bundle needs a predicate")
    if predicate.source == predicate.destination:
        raise attributes.faults.at(predicate, f"both index tuples are called '{predicate.source}'")
    if (pairs := prod(source_shape) * prod(shape)) > _MOST_PAIRS:
        what = f"the predicate would be asked for {pairs:,} pairs of nodes"
        raise attributes.faults.at(predicate, what, expected=f"at most {_MOST_PAIRS:,}")
    edges = edges_of(predicate, source_shape, shape, evaluator)
    if not len(edges):
        raise attributes.faults.at(predicate, f"the predicate connects no node of '{bundle.source}'")
    given = attributes.weights(len(edges), f"one for each of {len(edges)} edges")
    return BundleResult(FilteredBundle(bundle.source, prod(source_shape), prod(shape), edges), given)


def _convolution(bundle: Bundle, geometry: Geometry, attributes: _Attributes) -> BundleResult:
    arity = len(geometry.axes)
    sharing = attributes.truths("Sharing", arity, default=True)
    map_count = attributes.map_count(arity)
    resolved = ConvBundle(bundle.source, geometry, sharing, map_count)
    per_kernel = 1 + geometry.kernel_nodes
    rule = f"{resolved.kernels} kernels of 1 + {geometry.kernel_nodes} weights = {resolved.kernels * per_kernel}"
    return BundleResult(resolved, attributes.weights(resolved.kernels * per_kernel, rule))


def _norm(bundle: Bundle, geometry: Geometry, attributes: _Attributes) -> NormBundle:
    alpha, beta = attributes.number("Alpha"), attributes.number("Beta")
    offset = attributes.number("Offset", default=1.0)
    if alpha < 0:
        raise attributes.fault("Alpha", "Alpha must not be negative", expected="0 or more", got=alpha)
    if offset <= 0:
        raise attributes.fault("Offset", "Offset must be positive", expected="more than 0", got=offset)
    return NormBundle(bundle.source, geometry, alpha, beta, offset, attributes.truth("AvgOverFullKernel", default=True))


def _geometry(attributes: _Attributes, source_shape: tuple[int, ...]) -> Geometry:
    sizes = attributes.integers("InputShape", None, minimum=1, default=source_shape)
    if prod(sizes) != prod(source_shape):
        raise attributes.fault(
            "InputShape",
            f"InputShape does not fit its source layer '{attributes.bundle.source}'",
            expected=f"{prod(source_shape)} nodes ({_text(source_shape)})",
            got=f"{prod(sizes)} nodes ({_text(sizes)})",
        )
    arity = len(sizes)
    kernels = attributes.integers("KernelShape", arity, minimum=1)
    strides = attributes.integers("Stride", arity, minimum=1, default=(1,) * arity)
    for d, (size, kernel, stride) in enumerate(zip(sizes, kernels, strides, strict=True)):
        if kernel > size:
            what = f"KernelShape[{d}] is larger than InputShape[{d}]"
            raise attributes.fault("KernelShape", what, expected=f"at most {size}", got=kernel)
        if stride > kernel:
            what = f"Stride[{d}] is larger than KernelShape[{d}]"
            raise attributes.fault("Stride", what, expected=f"at most {kernel}", got=stride)
    return Geometry(_axes(attributes, sizes, kernels, strides))


def _axes(
    attributes: _Attributes, sizes: tuple[int, ...], kernels: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[Axis, ...]:
    arity = len(sizes)
    pads_given = attributes.has("LowerPad") or attributes.has("UpperPad")
    if attributes.has("Padding") and pads_given:
        advice = "leave out one of them"
        raise attributes.fault("Padding", "Padding excludes LowerPad and UpperPad", advice=advice)
    if pads_given:
        lower = attributes.integers("LowerPad", arity, minimum=0, default=(0,) * arity)
        upper = attributes.integers("UpperPad", arity, minimum=0, default=(0,) * arity)
        for d in range(arity):
            _check_pads(attributes, d, kernels[d], lower[d], upper[d])
        return tuple(padded_axis(*axis) for axis in zip(sizes, kernels, strides, lower, upper, strict=True))
    padding = attributes.truths("Padding", arity, default=False)
    return tuple(
        centred_axis(size, kernel, stride) if padded else covered_axis(size, kernel, stride)
        for size, kernel, stride, padded in zip(sizes, kernels, strides, padding, strict=True)
    )


def _check_pads(attributes: _Attributes, d: int, kernel: int, lower: int, upper: int) -> None:
    if 2 * lower >= kernel:
        what = f"LowerPad[{d}] must be less than half of KernelShape[{d}]"
        raise attributes.fault("LowerPad", what, expected=f"less than {kernel / 2:g}", got=lower)
    if 2 * upper > kernel:
        what = f"UpperPad[{d}] must be at most half of KernelShape[{d}]"
        raise attributes.fault("UpperPad", what, expected=f"at most {kernel / 2:g}", got=upper)


def _check_output(resolved: ResolvedBundle, shape: tuple[int, ...], bundle: Bundle, faults: Faults) -> None:
    if isinstance(resolved, ConvBundle | PoolBundle | NormBundle) and prod(resolved.output_shape) != prod(shape):
        computed = resolved.output_shape
        raise faults.at(
            bundle,
            f"the layer's shape does not fit its bundle from '{bundle.source}'",
            expected=f"{prod(computed)} nodes ({_text(computed)}, from the geometry)",
            got=f"{prod(shape)} nodes ({_text(shape)}, as declared)",
        )


class _Attributes:
    """Typed access to one bundle's attributes; names are accepted in any case."""

    def __init__(self, bundle: Bundle, evaluator: Evaluator, faults: Faults) -> None:
        self.bundle = bundle
        self.faults = faults
        self._evaluator = evaluator
        self._found: dict[str, Attribute] = {}
        allowed = _ALLOWED[bundle.kind]
        canonical = {name.lower(): name for name in allowed}
        for attribute in bundle.attributes:
            name = canonical.get(attribute.name.lower())
            if name is None:
                raise self._unknown(attribute, allowed)
            if name in self._found:
                raise faults.at(attribute, f"attribute {name} is given twice")
            self._found[name] = attribute

    def _unknown(self, attribute: Attribute, allowed: tuple[str, ...]) -> TopologyError:
        near = get_close_matches(attribute.name, allowed, 1)
        return self.faults.at(
            attribute,
            f"a '{self.bundle.kind}' bundle has no attribute '{attribute.name}'",
            expected=", ".join(allowed),
            advice=f"perhaps '{near[0]}' is meant" if near else None,
        )

    def has(self, name: str) -> bool:
        return name in self._found

    def fault(self, name: str, what: str, **facts: Any) -> TopologyError:
        """Return the error at the attribute, or at the bundle where the attribute is left out."""
        return self.faults.at(self._found.get(name, self.bundle), what, **facts)

    def _value(self, name: str) -> Any:
        return self._evaluator.value(self._found[name].value)

    def _required(self, name: str) -> None:
        if name not in self._found:
            raise self.faults.at(self.bundle, f"attribute {name} is missing from this '{self.bundle.kind}' bundle")

    def integers(
        self, name: str, arity: int | None, *, minimum: int, default: tuple[int, ...] | None = None
    ) -> tuple[int, ...]:
        if name not in self._found and default is not None:
            return default
        self._required(name)
        value = self._value(name)
        ok = isinstance(value, tuple) and all(type(item) is int and item >= minimum for item in value)
        if not ok or not value:
            kind = "positive integers" if minimum else "integers from 0"
            raise self.fault(name, f"{name} has a wrong value", expected=f"a tuple of {kind}", got=_text(value))
        self._check_arity(name, value, arity)
        return tuple(value)

    def _check_arity(self, name: str, value: tuple[Any, ...], arity: int | None) -> None:
        if arity is not None and len(value) != arity:
            expected = f"{arity} components, as InputShape has"
            raise self.fault(name, f"{name} has a wrong number of components", expected=expected, got=len(value))

    def truths(self, name: str, arity: int, *, default: bool) -> tuple[bool, ...]:
        if name not in self._found:
            return (default,) * arity
        value = self._value(name)
        value = (value,) * arity if isinstance(value, bool) else value
        if not isinstance(value, tuple) or not all(isinstance(item, bool) for item in value):
            raise self.fault(
                name, f"{name} has a wrong value", expected="true, false or a tuple of them", got=_text(value)
            )
        self._check_arity(name, value, arity)
        return value

    def truth(self, name: str, *, default: bool) -> bool:
        if name not in self._found:
            return default
        value = self._value(name)
        if not isinstance(value, bool):
            raise self.fault(name, f"{name} has a wrong value", expected="true or false", got=_text(value))
        return value

    def number(self, name: str, *, default: float | None = None) -> float:
        if name not in self._found and default is not None:
            return default
        self._required(name)
        value = self._value(name)
        if type(value) not in (int, float):
            raise self.fault(name, f"{name} has a wrong value", expected="a number", got=_text(value))
        return float(value)

    def map_count(self, arity: int) -> tuple[int, ...]:
        if "MapCount" in self._found and type(count := self._value("MapCount")) is int and count > 0:
            return (count, *(1,) * (arity - 1))
        return self.integers("MapCount", arity, minimum=1, default=(1,) * arity)

    def weights(self, count: int, rule: str) -> tuple[float, ...] | None:
        if "Weights" not in self._found:
            return None
        value = self._value("Weights")
        if not isinstance(value, tuple) or not all(type(item) in (int, float) for item in value):
            raise self.fault("Weights", "Weights has a wrong value", expected="a tuple of numbers")
        if len(value) != count:
            raise self.fault("Weights", "Weights has a wrong number of values", expected=rule, got=len(value))
        return tuple(float(item) for item in value)


def _text(value: Any) -> str:
    return f"[{', '.join(map(_text, value))}]" if isinstance(value, tuple) else str(value).lower()
