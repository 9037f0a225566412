"""From a checked network and its weights to an ONNX model with the same values; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galclass.atomic_files import write_bytes
from galclass.errors import TopologyError
from galclass.topology.geometry import Axis, Geometry
from galclass.topology.network import (
    Activation,
    ConvBundle,
    FilteredBundle,
    FullBundle,
    Network,
    NormBundle,
    PoolBundle,
    ResolvedBundle,
    ResolvedLayer,
)
from galclass.topology.onnx_graph import OnnxGraph
from galclass.topology.plan import conv_plan, unfolded_taps

Array = NDArray[Any]
POINT = Axis(size=1, kernel=1, stride=1, lower=0, positions=1)
_SIMPLE = {"rlinear": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "srlinear": "Softplus", "abs": "Abs"}


def export_onnx(
    network: Network,
    arrays: Mapping[str, ArrayLike],
    path: Path | None = None,
    *,
    activated: bool = True,
    input_name: str = "x",
    output_name: str = "y",
) -> bytes:
    """Return a network as an ONNX model, and write it if a path is given.

    Parameters
    ----------
    network : Network
        The checked topology.
    arrays : mapping of str to array
        A value for each of `network.parameters`, by key, in its shape; stored as float32.
    path : Path, optional
        File to write, atomically.
    activated : bool
        Whether the graph ends with the output layer's activation.
    input_name, output_name : str
        Names of the graph's input, float32 (n, *input shape), or (n, input nodes) where there are several inputs, and
        of its output, float32 (n, output nodes).

    Raises
    ------
    TopologyError
        If an array is missing or has another shape than its parameter.
    """
    checked = {spec.key: _array(arrays, spec.key, spec.shape) for spec in network.parameters}
    graph = OnnxGraph()
    values = _inputs(graph, network, input_name)
    for layer in network.layers:
        if layer.kind == "input":
            continue
        x = _sums(graph, layer, checked, values, network)
        is_last = layer.kind == "output"
        values[layer.name] = _activated(graph, x, layer, layer.activation if activated or not is_last else "linear")
    graph.add("Flatten", values[network.output.name], output=output_name, axis=1)
    inputs = network.inputs
    shape = inputs[0].shape if len(inputs) == 1 else (network.input_nodes,)
    model = graph.serialised(shape, network.output.nodes, input_name, output_name)
    if path is not None:
        write_bytes(path, model)
    return model


def _array(arrays: Mapping[str, ArrayLike], key: str, shape: tuple[int, ...]) -> Array:
    if key not in arrays:
        raise TopologyError("weights are missing", where=key, expected=f"an array of shape {shape}")
    array = np.asarray(arrays[key], dtype=np.float32)
    if array.shape != shape:
        raise TopologyError("weights have a wrong shape", where=key, expected=shape, got=array.shape)
    return array


def _inputs(graph: OnnxGraph, network: Network, name: str) -> dict[str, str]:
    if len(network.inputs) == 1:
        return {network.inputs[0].name: name}
    values, first = {}, 0
    for layer in network.inputs:
        part = graph.cut(name, {0: (first, first + layer.nodes, 1)})
        values[layer.name] = graph.reshape(part, layer.shape)
        first += layer.nodes
    return values


def _sums(
    graph: OnnxGraph, layer: ResolvedLayer, arrays: Mapping[str, Array], values: Mapping[str, str], network: Network
) -> str:
    bias = arrays[layer.bias_key] if layer.bias_key is not None else None
    alone = len(layer.bundles) == 1
    parts = []
    for bundle, key in zip(layer.bundles, layer.weight_keys, strict=True):
        weights = arrays[key] if key is not None else np.zeros(0, np.float32)
        source_shape = network.by_name[bundle.source].shape
        x, shape = _bundle(graph, bundle, values[bundle.source], source_shape, weights, bias if alone else None)
        parts.append(x if shape == layer.shape else graph.reshape(x, layer.shape))
    if alone:
        return parts[0]
    total = parts[0]
    for part in parts[1:]:
        total = graph.add("Add", total, part)
    return total if bias is None else graph.add("Add", total, graph.constant(bias.reshape(layer.shape)))


def _bundle(
    graph: OnnxGraph,
    bundle: ResolvedBundle,
    x: str,
    source_shape: tuple[int, ...],
    weights: Array,
    bias: Array | None,
) -> tuple[str, tuple[int, ...]]:
    """Add a bundle; return its output and shape."""
    if isinstance(bundle, FullBundle | FilteredBundle):
        return _product(graph, bundle, x, weights, bias), (bundle.nodes,)
    x = x if source_shape == bundle.geometry.input_shape else graph.reshape(x, bundle.geometry.input_shape)
    if isinstance(bundle, ConvBundle):
        return _convolution(graph, bundle, x, weights, bias), bundle.output_shape
    y = _pool(graph, bundle, x) if isinstance(bundle, PoolBundle) else _norm(graph, bundle, x)
    return y, bundle.output_shape


def _product(graph: OnnxGraph, bundle: FullBundle | FilteredBundle, x: str, weights: Array, bias: Array | None) -> str:
    matrix = weights
    if isinstance(bundle, FilteredBundle):
        matrix = np.zeros((bundle.nodes, bundle.source_nodes), np.float32)
        matrix[bundle.edges[:, 0], bundle.edges[:, 1]] = weights
    flat = graph.add("Flatten", x, axis=1)
    extra = [] if bias is None else [graph.constant(bias)]
    return graph.add("Gemm", flat, graph.constant(matrix), *extra, transB=1)


def _convolution(graph: OnnxGraph, bundle: ConvBundle, x: str, weights: Array, bias: Array | None) -> str:
    plan = conv_plan(bundle)
    if plan is None:
        return _unfolded(graph, bundle, x, weights, bias)
    x = graph.cut(x, {d: (first, first + length, 1) for d, (first, length) in plan.crops.items()})
    x = x if plan.order is None else graph.add("Transpose", x, perm=plan.order)
    x = graph.reshape(x, plan.folded_shape)
    x = x if plan.copies == 1 else graph.add("Concat", *[x] * plan.copies, axis=1)
    kernels = weights if plan.kernel_order is None else weights.transpose(plan.kernel_order)
    extra = [] if bias is None else [graph.constant(bias)]
    y = graph.add(
        "Conv",
        x,
        graph.constant(kernels.reshape(plan.kernel_shape)),
        *extra,
        kernel_shape=plan.kernel_shape[2:],
        strides=plan.stride,
        pads=(*plan.lower, *plan.upper),
        group=plan.groups,
    )
    if plan.arrangement is not None:
        y = graph.add("Transpose", graph.reshape(y, plan.split_shape), perm=plan.arrangement)
    return graph.reshape(y, plan.output_shape)


def _unfolded(graph: OnnxGraph, bundle: ConvBundle, x: str, weights: Array, bias: Array | None) -> str:
    taps = unfolded_taps(bundle)
    unshared, _, nodes = taps.index.shape
    flat = graph.add("Flatten", x, axis=1)
    flat = graph.add("Pad", flat, graph.constant([0, 0, 0, 1], np.int64))
    gathered = graph.add("Gather", flat, graph.constant(taps.index, np.int64), axis=1)
    kernels = graph.constant(weights.reshape(bundle.maps, unshared, nodes))
    y = graph.add("Einsum", gathered, kernels, equation="nuqt,mut->nmuq")
    if bias is not None:
        y = graph.add("Add", y, graph.constant(bias.reshape(bundle.maps, unshared, 1)))
    y = graph.add("Transpose", graph.reshape(y, taps.split_shape), perm=taps.arrangement)
    return graph.reshape(y, bundle.output_shape)


def _pool(graph: OnnxGraph, bundle: PoolBundle, x: str) -> str:
    if bundle.kind == "max":
        return _windows(graph, x, bundle.geometry, "MaxPool")
    return _mean_of_real(graph, x, bundle.geometry)


def _norm(graph: OnnxGraph, bundle: NormBundle, x: str) -> str:
    squares = graph.add("Mul", x, x)
    of_all = bundle.average_over_full_kernel
    mean = (_mean_of_all if of_all else _mean_of_real)(graph, squares, bundle.geometry)
    scaled = graph.add("Mul", mean, graph.constant(bundle.alpha))
    base = graph.add("Add", scaled, graph.constant(bundle.offset))
    centre = graph.cut(x, {d: part for d, axis in enumerate(bundle.geometry.axes) if (part := _centres(axis))})
    if bundle.beta != 0.75:
        return graph.add("Mul", centre, graph.add("Pow", base, graph.constant(-bundle.beta)))
    root = graph.add("Sqrt", base)
    return graph.add("Div", centre, graph.add("Mul", root, graph.add("Sqrt", root)))


def _centres(axis: Axis) -> tuple[int, int, int] | None:
    if axis.is_pointwise:
        return None
    first = axis.start(0) + axis.centre
    return first, first + (axis.positions - 1) * axis.stride + 1, axis.stride


def _mean_of_all(graph: OnnxGraph, x: str, geometry: Geometry) -> str:
    return _windows(graph, x, geometry, "AveragePool", count_include_pad=1)


def _mean_of_real(graph: OnnxGraph, x: str, geometry: Geometry) -> str:
    mean = _mean_of_all(graph, x, geometry)
    if not geometry.is_padded:
        return mean
    return graph.add("Mul", mean, graph.constant(geometry.kernel_nodes / geometry.real_nodes()))


def _windows(graph: OnnxGraph, x: str, geometry: Geometry, operator: str, **attributes: Any) -> str:
    """Pool (n, *InputShape): one dimension after the other, but the last two at once."""
    axes = geometry.axes if len(geometry.axes) > 1 else (POINT, *geometry.axes)
    *leading, above, last = axes
    shape = [axis.size for axis in axes]
    for d, axis in enumerate(leading):
        if not axis.is_pointwise:
            after = prod(shape[d + 1 :])
            x = graph.reshape(x, (prod(shape[:d]), shape[d], after))
            x = _plane(graph, x, axis, Axis(after, 1, 1, 0, after), operator, attributes)
            shape[d] = axis.positions
    if not (above.is_pointwise and last.is_pointwise):
        x = graph.reshape(x, (prod(shape[:-2]), *shape[-2:]))
        x = _plane(graph, x, above, last, operator, attributes)
    return graph.reshape(x, geometry.positions)


def _plane(graph: OnnxGraph, x: str, height: Axis, width: Axis, operator: str, attributes: Mapping[str, Any]) -> str:
    axes = {1: height, 2: width}
    x = graph.cut(x, {d: (-axis.lower, axis.size, 1) for d, axis in axes.items() if axis.lower < 0})
    return graph.add(
        operator,
        x,
        kernel_shape=(height.kernel, width.kernel),
        strides=(height.stride, width.stride),
        pads=[max(0, pad) for pad in (height.lower, width.lower, height.upper, width.upper)],
        **attributes,
    )


def _activated(graph: OnnxGraph, x: str, layer: ResolvedLayer, activation: Activation) -> str:
    if activation in _SIMPLE:
        return graph.add(_SIMPLE[activation], x)
    match activation:
        case "softmax":
            return graph.reshape(graph.add("Softmax", graph.add("Flatten", x, axis=1), axis=1), layer.shape)
        case "square":
            return graph.add("Mul", x, x)
        case "sqrt":
            return graph.add("Sqrt", graph.add("Relu", x))
        case "brlinear":
            return graph.add("Clip", x, graph.constant(0.0), graph.constant(1.0))
        case _:
            return x
