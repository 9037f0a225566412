"""From a bundle's attributes to its full geometry; every rule of the language about one bundle is checked here."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from galclass.topology.attributes import BundleAttributes, value_text
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
from galclass.topology.tree import Bundle

_MOST_PAIRS = 1 << 30  # a predicate over more pairs would take minutes


@dataclass(frozen=True)
class BundleResult:
    """A resolved bundle and the weights in its `Weights` attribute, in the language's order (None: not given)."""

    bundle: ResolvedBundle
    given: tuple[float, ...] | None = None


def resolve_bundle(
    bundle: Bundle,
    source_shape: tuple[int, ...],
    shape: tuple[int, ...],
    evaluator: Evaluator,
    faults: Faults,
    *,
    has_biases: bool = False,
) -> BundleResult:
    """Return a bundle with all sizes known.

    Parameters
    ----------
    bundle : Bundle
        The declaration.
    source_shape, shape : tuple of int
        Shapes of the source layer and of the layer that contains the bundle.
    evaluator : Evaluator
        Knows the constants.
    faults : Faults
        Makes the errors.
    has_biases : bool
        Whether the layer has `Biases`: a convolution's `Weights` then contain none.

    Raises
    ------
    TopologyError
        On the first rule that the bundle breaks.
    """
    attributes = BundleAttributes(bundle, evaluator, faults)
    nodes, source_nodes = prod(shape), prod(source_shape)
    if bundle.kind == "all":
        rule = f"one for each of {nodes} x {source_nodes} pairs of nodes"
        given = attributes.weights(nodes * source_nodes, rule)
        return BundleResult(FullBundle(bundle.source, source_nodes, nodes), given)
    if bundle.kind == "where":
        return _filtered(bundle, source_shape, shape, evaluator, attributes)
    result = _windowed(bundle, source_shape, attributes, has_biases)
    _check_output(result.bundle, shape, bundle, faults)
    return result


def windowed_shape(bundle: Bundle, source_shape: tuple[int, ...], faults: Faults) -> tuple[int, ...]:
    """Return the output shape of a convolution, pool or response norm, which a builder declares for its layer.

    Raises
    ------
    TopologyError
        On the first rule that the bundle breaks.
    """
    result = _windowed(bundle, source_shape, BundleAttributes(bundle, Evaluator({}, faults), faults)).bundle
    return result.output_shape if isinstance(result, ConvBundle | PoolBundle | NormBundle) else ()


def _windowed(
    bundle: Bundle, source_shape: tuple[int, ...], attributes: BundleAttributes, has_biases: bool = False
) -> BundleResult:
    geometry = _geometry(attributes, source_shape)
    if bundle.kind == "convolve":
        return _convolution(bundle, geometry, attributes, has_biases)
    if bundle.kind == "response norm":
        return BundleResult(_norm(bundle, geometry, attributes))
    return BundleResult(PoolBundle(bundle.source, geometry, "max" if bundle.kind == "max pool" else "mean"))


def _filtered(
    bundle: Bundle,
    source_shape: tuple[int, ...],
    shape: tuple[int, ...],
    evaluator: Evaluator,
    attributes: BundleAttributes,
) -> BundleResult:
    predicate = bundle.predicate
    if predicate is None:
        raise attributes.faults.at(bundle, "a filtered bundle needs a predicate")
    if predicate.source == predicate.destination:
        raise attributes.faults.at(predicate, f"both index tuples are called '{predicate.source}'")
    if (pairs := prod(source_shape) * prod(shape)) > _MOST_PAIRS:
        what = f"the predicate would be evaluated for {pairs:,} pairs of nodes"
        raise attributes.faults.at(predicate, what, expected=f"at most {_MOST_PAIRS:,}")
    edges = edges_of(predicate, source_shape, shape, evaluator)
    if not len(edges):
        raise attributes.faults.at(predicate, f"the predicate connects no node of '{bundle.source}'")
    given = attributes.weights(len(edges), f"one for each of {len(edges)} edges")
    return BundleResult(FilteredBundle(bundle.source, prod(source_shape), prod(shape), edges), given)


def _convolution(bundle: Bundle, geometry: Geometry, attributes: BundleAttributes, has_biases: bool) -> BundleResult:
    arity = len(geometry.axes)
    sharing = attributes.truths("Sharing", arity, default=True)
    map_count = attributes.map_count(arity)
    resolved = ConvBundle(bundle.source, geometry, sharing, map_count)
    per_kernel = geometry.kernel_nodes + (not has_biases)
    parts = f"{geometry.kernel_nodes}, as the layer has Biases," if has_biases else f"1 + {geometry.kernel_nodes}"
    rule = f"{resolved.kernels} kernels of {parts} weights = {resolved.kernels * per_kernel}"
    return BundleResult(resolved, attributes.weights(resolved.kernels * per_kernel, rule))


def _norm(bundle: Bundle, geometry: Geometry, attributes: BundleAttributes) -> NormBundle:
    alpha, beta = attributes.number("Alpha"), attributes.number("Beta")
    offset = attributes.number("Offset", default=1.0)
    if alpha < 0:
        raise attributes.fault("Alpha", "Alpha must not be negative", expected="0 or more", got=alpha)
    if offset <= 0:
        raise attributes.fault("Offset", "Offset must be positive", expected="more than 0", got=offset)
    return NormBundle(bundle.source, geometry, alpha, beta, offset, attributes.truth("AvgOverFullKernel", default=True))


def _geometry(attributes: BundleAttributes, source_shape: tuple[int, ...]) -> Geometry:
    sizes = attributes.integers("InputShape", None, minimum=1, default=source_shape)
    if prod(sizes) != prod(source_shape):
        raise attributes.fault(
            "InputShape",
            f"InputShape does not fit its source layer '{attributes.bundle.source}'",
            expected=f"{prod(source_shape)} nodes ({value_text(source_shape)})",
            got=f"{prod(sizes)} nodes ({value_text(sizes)})",
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
    attributes: BundleAttributes, sizes: tuple[int, ...], kernels: tuple[int, ...], strides: tuple[int, ...]
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


def _check_pads(attributes: BundleAttributes, d: int, kernel: int, lower: int, upper: int) -> None:
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
            expected=f"{prod(computed)} nodes ({value_text(computed)}, from the geometry)",
            got=f"{prod(shape)} nodes ({value_text(shape)}, as declared)",
        )
