"""The slow evaluator: a network computed index by index in float64, straight from the language's definitions.

The compiler is tested against it and shares no arithmetic with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galclass.errors import TopologyError
from galclass.topology.geometry import Geometry
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

Array = NDArray[np.float64]
Arrays = Mapping[str, ArrayLike]


def evaluate_reference(network: Network, arrays: Arrays, x: ArrayLike, *, activated: bool = True) -> Array:
    """Compute a network, one node after the other.

    Parameters
    ----------
    network : Network
        The checked topology.
    arrays : mapping of str to array
        A value for each of `network.parameters`, by key, in its shape.
    x : array, (n, input nodes) or (n, *input shape)
        Examples.
    activated : bool
        Whether the output layer's activation is applied.

    Returns
    -------
    float64, (n, output nodes)

    Raises
    ------
    TopologyError
        If `x` has another number of features than the network has input nodes.
    """
    examples = np.asarray(x, dtype=np.float64)
    examples = examples.reshape(len(examples), -1)
    if examples.shape[1] != network.input_nodes:
        expected = f"{network.input_nodes} features per example"
        raise TopologyError("the input does not fit the network", expected=expected, got=examples.shape[1])
    known = {key: np.asarray(value, dtype=np.float64) for key, value in arrays.items()}
    return np.stack([_example(network, known, example, activated) for example in examples])


def _example(network: Network, arrays: Mapping[str, Array], example: Array, activated: bool) -> Array:
    values: dict[str, Array] = {}
    first = 0
    for layer in network.layers:
        if layer.kind == "input":
            values[layer.name] = example[first : first + layer.nodes].reshape(layer.shape)
            first += layer.nodes
            continue
        sums = _sums(layer, arrays, values)
        values[layer.name] = activation_of(sums, layer.activation) if layer.kind == "hidden" or activated else sums
    return values[network.output.name].ravel()


def _sums(layer: ResolvedLayer, arrays: Mapping[str, Array], values: Mapping[str, Array]) -> Array:
    sums = np.zeros(layer.nodes)
    for bundle, key in zip(layer.bundles, layer.weight_keys, strict=True):
        weights = arrays[key] if key is not None else np.zeros(0)
        sums += _bundle(bundle, weights, values[bundle.source].ravel()).ravel()
    if layer.bias_key is not None:
        biases = arrays[layer.bias_key]
        bundle = layer.bundles[0]
        if layer.bias_per_kernel and isinstance(bundle, ConvBundle):
            biases = np.array([biases[kernel] for _, _, kernel in _destinations(bundle)])[_order(bundle)]
        sums += biases
    return sums.reshape(layer.shape)


def _bundle(bundle: ResolvedBundle, weights: Array, source: Array) -> Array:
    if isinstance(bundle, FullBundle):
        return np.array([sum(w * s for w, s in zip(row, source, strict=True)) for row in weights])
    if isinstance(bundle, FilteredBundle):
        sums = np.zeros(bundle.nodes)
        for weight, (d, s) in zip(weights, bundle.edges, strict=True):
            sums[d] += weight * source[s]
        return sums
    nodes = source.reshape(bundle.geometry.input_shape)
    if isinstance(bundle, ConvBundle):
        return _convolution(bundle, weights, nodes)
    return _pool(bundle, nodes) if isinstance(bundle, PoolBundle) else _norm(bundle, nodes)


def _kernel_nodes(geometry: Geometry, position: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield (index in the kernel, index in the input) of the real nodes under the kernel at one position."""
    for inside in np.ndindex(geometry.kernel_shape):
        node = tuple(axis.start(p) + k for axis, p, k in zip(geometry.axes, position, inside, strict=True))
        if all(0 <= n < axis.size for n, axis in zip(node, geometry.axes, strict=True)):
            yield inside, node


def _destinations(bundle: ConvBundle) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], int]]:
    """Yield (destination index, position, kernel number) of every node of a convolution."""
    positions = bundle.geometry.positions
    own = [d for d, shared in enumerate(bundle.sharing) if not shared]
    for m in np.ndindex(bundle.map_count):
        map_number = 0
        for index, count in zip(m, bundle.map_count, strict=True):
            map_number = map_number * count + index
        for position in np.ndindex(positions):
            kernel = map_number
            for d in own:
                kernel = kernel * positions[d] + position[d]
            yield tuple(m[d] * positions[d] + position[d] for d in range(len(m))), position, kernel


def _order(bundle: ConvBundle) -> NDArray[np.int64]:
    """Return for each destination node, row-major, its index in `_destinations`."""
    order = np.zeros(bundle.output_shape, dtype=np.int64)
    for index, (destination, _, _) in enumerate(_destinations(bundle)):
        order[destination] = index
    return order.ravel()


def _convolution(bundle: ConvBundle, weights: Array, nodes: Array) -> Array:
    sums = np.zeros(bundle.output_shape)
    for destination, position, kernel in _destinations(bundle):
        for inside, node in _kernel_nodes(bundle.geometry, position):
            sums[destination] += weights[(kernel, *inside)] * nodes[node]
    return sums


def _pool(bundle: PoolBundle, nodes: Array) -> Array:
    result = np.zeros(bundle.output_shape)
    for position in np.ndindex(bundle.output_shape):
        real = [nodes[node] for _, node in _kernel_nodes(bundle.geometry, position)]
        result[position] = max(real) if bundle.kind == "max" else sum(real) / len(real)
    return result


def _norm(bundle: NormBundle, nodes: Array) -> Array:
    result = np.zeros(bundle.output_shape)
    for position in np.ndindex(bundle.output_shape):
        real = [nodes[node] for _, node in _kernel_nodes(bundle.geometry, position)]
        count = bundle.geometry.kernel_nodes if bundle.average_over_full_kernel else len(real)
        axes = bundle.geometry.axes
        centre = nodes[tuple(axis.start(p) + axis.centre for axis, p in zip(axes, position, strict=True))]
        mean = sum(value * value for value in real) / count
        result[position] = centre * (bundle.offset + bundle.alpha * mean) ** -bundle.beta
    return result


def activation_of(x: Array, activation: Activation) -> Array:
    """Apply an activation to the sums of one layer of one example."""
    match activation:
        case "linear":
            return x
        case "sigmoid":
            return 1.0 / (1.0 + np.exp(-x))
        case "softmax":
            powers = np.exp(x - x.max())
            return np.asarray(powers / powers.sum())
        case "rlinear":
            return np.maximum(0.0, x)
        case "square":
            return x * x
        case "sqrt":
            return np.sqrt(np.maximum(0.0, x))
        case "srlinear":
            return np.logaddexp(0.0, x)
        case "abs":
            return np.abs(x)
        case "tanh":
            return np.tanh(x)
        case "brlinear":
            return np.minimum(1.0, np.maximum(0.0, x))
