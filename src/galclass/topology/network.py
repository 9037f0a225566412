"""A checked topology: every size known, every bundle with its geometry, every weight counted.

`check` makes these objects; compile, reference and draw read them. They no longer refer to the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from galclass.topology.geometry import Geometry
from galclass.topology.tree import LayerKind

Activation: TypeAlias = Literal[
    "sigmoid", "linear", "softmax", "rlinear", "square", "sqrt", "srlinear", "abs", "tanh", "brlinear"
]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)


@dataclass(frozen=True)
class FullBundle:
    """Every source node to every destination node; weights destination-major."""

    source: str
    source_nodes: int
    nodes: int

    @property
    def weight_shape(self) -> tuple[int, int]:
        """(destination nodes, source nodes)."""
        return self.nodes, self.source_nodes

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one example."""
        return self.nodes * self.source_nodes


@dataclass(frozen=True, eq=False)
class FilteredBundle:
    """The edges that a predicate selects.

    Parameters
    ----------
    source : str
        Source layer.
    source_nodes, nodes : int
        Sizes of source and destination.
    edges : int64 array, (edges, 2)
        Rows (destination node, source node), by destination and then by source: the order of the weights.
    """

    source: str
    source_nodes: int
    nodes: int
    edges: NDArray[np.int64]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FilteredBundle):
            return NotImplemented
        sizes = (self.source, self.source_nodes, self.nodes) == (other.source, other.source_nodes, other.nodes)
        return sizes and np.array_equal(self.edges, other.edges)

    __hash__ = None  # type: ignore[assignment]  # holds an array

    @property
    def weight_shape(self) -> tuple[int]:
        """(edges,)."""
        return (len(self.edges),)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one example."""
        return len(self.edges)


@dataclass(frozen=True)
class ConvBundle:
    """A convolution, its kernels shared or not along each dimension.

    Kernels are ordered map first (maps row-major), then the unshared positions row-major; in the destination,
    dimension d counts map index times positions plus position.
    """

    source: str
    geometry: Geometry
    sharing: tuple[bool, ...]
    map_count: tuple[int, ...]

    @property
    def maps(self) -> int:
        """Number of maps, all dimensions together."""
        return prod(self.map_count)

    @property
    def unshared_positions(self) -> tuple[int, ...]:
        """Positions with a separate kernel along each dimension (1 where the kernel is shared)."""
        return tuple(
            1 if shared else axis.positions for shared, axis in zip(self.sharing, self.geometry.axes, strict=True)
        )

    @property
    def kernels(self) -> int:
        """Number of different kernels, which is also the number of biases in a layer with only this bundle."""
        return self.maps * prod(self.unshared_positions)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Map count times positions along each dimension."""
        return tuple(m * d for m, d in zip(self.map_count, self.geometry.positions, strict=True))

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(kernels, *kernel shape)."""
        return (self.kernels, *self.geometry.kernel_shape)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one example."""
        return prod(self.output_shape) * self.geometry.kernel_nodes

    def kernel_of_node(self) -> NDArray[np.int64]:
        """Return the index of the kernel that feeds each destination node, shape `output_shape`."""
        arity = len(self.map_count)
        kernels = np.arange(self.kernels).reshape(*self.map_count, *self.unshared_positions)
        kernels = np.broadcast_to(kernels, (*self.map_count, *self.geometry.positions))
        order = [axis for d in range(arity) for axis in (d, arity + d)]
        return kernels.transpose(order).reshape(self.output_shape)


@dataclass(frozen=True)
class PoolBundle:
    """Maximum or mean of the real nodes under the kernel."""

    source: str
    geometry: Geometry
    kind: Literal["max", "mean"]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Positions along each dimension."""
        return self.geometry.positions


@dataclass(frozen=True)
class NormBundle:
    """Response norm: x_c * (offset + alpha / n * sum of x_j^2 over the kernel)^(-beta)."""

    source: str
    geometry: Geometry
    alpha: float
    beta: float
    offset: float
    average_over_full_kernel: bool

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Positions along each dimension."""
        return self.geometry.positions


TrainableBundle: TypeAlias = FullBundle | FilteredBundle | ConvBundle
ResolvedBundle: TypeAlias = TrainableBundle | PoolBundle | NormBundle


@dataclass(frozen=True)
class Parameter:
    """An array of weights or biases, shared by all layers that name its key.

    Parameters
    ----------
    key : str
        "LAYER/BUNDLE NUMBER/weights" or "LAYER/bias", after the first layer that uses it.
    shape : tuple of int
        As the bundle's `weight_shape`, or (biases,).
    fan_in : int
        Largest number of connections into one node that use this array; 0 for biases.
    initial : tuple of float, optional
        Given values in row-major order; None if they are drawn.
    """

    key: str
    shape: tuple[int, ...]
    fan_in: int = 0
    initial: tuple[float, ...] | None = None

    @property
    def size(self) -> int:
        """Number of weights."""
        return prod(self.shape)


@dataclass(frozen=True)
class ResolvedLayer:
    """A fully resolved layer.

    Parameters
    ----------
    kind, name, shape, activation
        As declared, with `auto` and defaults filled in.
    bundles : tuple
        The layer's bundles; empty for an input.
    weight_keys : tuple of str or None
        For each bundle the key of its weights; None if it has none.
    bias_key : str or None
        Key of the biases; None for inputs and for layers of pools and norms only.
    bias_per_kernel : bool
        True for a layer with a single, convolutional bundle: one bias per kernel; otherwise one per node.
    """

    kind: LayerKind
    name: str
    shape: tuple[int, ...]
    activation: Activation = "linear"
    bundles: tuple[ResolvedBundle, ...] = ()
    weight_keys: tuple[str | None, ...] = ()
    bias_key: str | None = None
    bias_per_kernel: bool = False

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return prod(self.shape)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the trainable bundles for one example."""
        trainable = (FullBundle, FilteredBundle, ConvBundle)
        return sum(bundle.multiply_adds for bundle in self.bundles if isinstance(bundle, trainable))

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all weights and biases that the layer uses."""
        return tuple(key for key in (*self.weight_keys, self.bias_key) if key is not None)


@dataclass(frozen=True)
class Network:
    """A checked topology.

    Parameters
    ----------
    layers : tuple of ResolvedLayer
        In an order in which every source comes before its destination; inputs first, as declared.
    parameters : tuple of Parameter
        Every trainable array once, in the order of the layers.
    """

    layers: tuple[ResolvedLayer, ...]
    parameters: tuple[Parameter, ...]

    @property
    def inputs(self) -> tuple[ResolvedLayer, ...]:
        """The input layers, in the order of declaration, in which features are assigned to them."""
        return tuple(layer for layer in self.layers if layer.kind == "input")

    @property
    def output(self) -> ResolvedLayer:
        """The output layer."""
        return next(layer for layer in self.layers if layer.kind == "output")

    @property
    def input_nodes(self) -> int:
        """Number of features."""
        return sum(layer.nodes for layer in self.inputs)

    @property
    def weight_count(self) -> int:
        """Number of trainable weights and biases, shared ones counted once."""
        return sum(parameter.size for parameter in self.parameters)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the trainable bundles for one example."""
        return sum(layer.multiply_adds for layer in self.layers)

    @cached_property
    def by_name(self) -> dict[str, ResolvedLayer]:
        """Layers by name."""
        return {layer.name: layer for layer in self.layers}

    def own_weight_count(self, layer: ResolvedLayer) -> int:
        """Return the number of weights and biases of a layer, without those shared with an earlier one."""
        prefix = f"{layer.name}/"
        sizes = {parameter.key: parameter.size for parameter in self.parameters}
        return sum(sizes[key] for key in set(layer.keys) if key.startswith(prefix))
