"""Build a topology step by step: each step knows the shape before it and computes its own.

The steps are those of RMLtools (`nnlayer_input() |> nnlayer_conv() |> ...`); the chain prints as Net# text.

>>> net = input_layer((3, 50, 50)).conv((3, 6, 6), 64, stride=(1, 2, 2)).max_pool((1, 2, 2)).full(128).output(13)
>>> net.shapes
{'pixels': (3, 50, 50), 'conv1': (64, 23, 23), 'pool1': (64, 11, 11), 'hid1': (128,), 'Class': (13,)}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from galclass.errors import TopologyError
from galclass.topology.bundles import windowed_shape
from galclass.topology.check import check
from galclass.topology.faults import Faults
from galclass.topology.network import Activation, Network
from galclass.topology.print_text import print_text
from galclass.topology.tree import (
    Attribute,
    Boolean,
    Bundle,
    BundleKind,
    Expression,
    Layer,
    LayerKind,
    Number,
    Program,
    Tuple,
    Unary,
)

Padding = bool | Sequence[bool] | None
Ints = Sequence[int]


def input_layer(shape: Ints, *, name: str = "pixels") -> Topology:
    """Start a topology.

    Parameters
    ----------
    shape : sequence of int
        Shape of one example, e.g. (3, 50, 50): channel, y, x.
    name : str
        Name of the layer.
    """
    layer = Layer("input", name, _tuple(shape))
    return Topology((layer,), {name: tuple(shape)})


@dataclass(frozen=True)
class Topology:
    """A chain of layers; every step returns a new, longer one.

    Parameters
    ----------
    layers : tuple of Layer
        The declarations so far.
    shapes : dict of str to tuple of int
        Shape of each layer.
    """

    layers: tuple[Layer, ...]
    shapes: dict[str, tuple[int, ...]]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the last layer."""
        return self.shapes[self.layers[-1].name]

    @property
    def program(self) -> Program:
        """The tree, as returned by `parse`."""
        return Program(self.layers)

    def __str__(self) -> str:
        return print_text(self.program)

    def network(self) -> Network:
        """Check the chain; it must end with `output`."""
        return check(self.program)

    def conv(
        self,
        kernel_shape: Ints,
        map_count: int | Ints = 1,
        *,
        stride: Ints | None = None,
        sharing: Padding = None,
        padding: Padding = None,
        lower_pad: Ints | None = None,
        upper_pad: Ints | None = None,
        weights: Sequence[float] | None = None,
        activation: Activation = "rlinear",
        name: str | None = None,
    ) -> Topology:
        """Add a convolutional layer.

        Parameters
        ----------
        kernel_shape, stride, lower_pad, upper_pad : sequence of int
            One number per dimension of the previous shape; stride 1 and no padding by default.
        map_count : int or sequence of int
            Number of maps.
        sharing, padding : bool or sequence of bool, optional
            As in the language; by default weights are shared, without padding.
        weights : sequence of float, optional
            Initial weights, each kernel's bias last.
        activation : str
            Activation of the layer.
        name : str, optional
            By default conv1, conv2, ...
        """
        attributes = _window(self.shape, kernel_shape, stride, padding, lower_pad, upper_pad)
        attributes |= {"Sharing": sharing, "MapCount": map_count, "Weights": weights}
        return self._windowed("convolve", attributes, activation, name or self._next("conv"))

    def response_norm(
        self,
        kernel_shape: Ints,
        *,
        alpha: float = 0.0001,
        beta: float = 0.75,
        offset: float = 1,
        average_over_full_kernel: bool = True,
        stride: Ints | None = None,
        padding: Padding = None,
        lower_pad: Ints | None = None,
        upper_pad: Ints | None = None,
        name: str | None = None,
    ) -> Topology:
        """Add a response norm; its constants default to the original workflow's."""
        attributes = _window(self.shape, kernel_shape, stride, padding, lower_pad, upper_pad)
        attributes |= {"Alpha": alpha, "Beta": beta, "Offset": offset, "AvgOverFullKernel": average_over_full_kernel}
        return self._windowed("response norm", attributes, None, name or self._next("norm"))

    def max_pool(
        self,
        kernel_shape: Ints,
        *,
        stride: Ints | None = None,
        padding: Padding = None,
        lower_pad: Ints | None = None,
        upper_pad: Ints | None = None,
        name: str | None = None,
    ) -> Topology:
        """Add a max pool; its stride defaults to the kernel's shape."""
        window = _window(self.shape, kernel_shape, stride or kernel_shape, padding, lower_pad, upper_pad)
        return self._windowed("max pool", window, None, name or self._next("pool"))

    def mean_pool(
        self,
        kernel_shape: Ints,
        *,
        stride: Ints | None = None,
        padding: Padding = None,
        lower_pad: Ints | None = None,
        upper_pad: Ints | None = None,
        name: str | None = None,
    ) -> Topology:
        """Add a mean pool; its stride defaults to the kernel's shape."""
        window = _window(self.shape, kernel_shape, stride or kernel_shape, padding, lower_pad, upper_pad)
        return self._windowed("mean pool", window, None, name or self._next("pool"))

    def full(self, nodes: int, *, activation: Activation = "rlinear", name: str | None = None) -> Topology:
        """Add a hidden layer connected to every node of the previous layer."""
        return self._added("hidden", name or self._next("hid"), (nodes,), activation, self._bundle("all", {}))

    def output(self, nodes: int, *, activation: Activation = "softmax", name: str = "Class") -> Topology:
        """End the chain with a fully connected output layer."""
        return self._added("output", name, (nodes,), activation, self._bundle("all", {}))

    def _windowed(
        self, kind: BundleKind, attributes: dict[str, Any], activation: Activation | None, name: str
    ) -> Topology:
        bundle = self._bundle(kind, attributes)
        shape = windowed_shape(bundle, self.shape, Faults(""))
        return self._added("hidden", name, shape, activation, bundle)

    def _bundle(self, kind: BundleKind, attributes: dict[str, Any]) -> Bundle:
        given = {name: value for name, value in attributes.items() if value is not None}
        listed = tuple(Attribute(name, _expression(value)) for name, value in given.items())
        return Bundle(self.layers[-1].name, kind, attributes=listed)

    def _added(
        self, kind: LayerKind, name: str, shape: tuple[int, ...], activation: Activation | None, bundle: Bundle
    ) -> Topology:
        if self.layers[-1].kind == "output":
            raise TopologyError("nothing can follow the output layer", got=name)
        if name in self.shapes:
            raise TopologyError(f"layer '{name}' is declared twice")
        layer = Layer(kind, name, _tuple(shape), activation, (bundle,))
        return replace(self, layers=(*self.layers, layer), shapes=self.shapes | {name: shape})

    def _next(self, stem: str) -> str:
        number = 1
        while f"{stem}{number}" in self.shapes:
            number += 1
        return f"{stem}{number}"


def _window(
    shape: tuple[int, ...],
    kernel_shape: Ints,
    stride: Ints | None,
    padding: Padding,
    lower_pad: Ints | None,
    upper_pad: Ints | None,
) -> dict[str, Any]:
    return {
        "InputShape": shape,
        "KernelShape": kernel_shape,
        "Stride": stride,
        "Padding": padding,
        "LowerPad": lower_pad,
        "UpperPad": upper_pad,
    }


def _tuple(values: Sequence[Any]) -> Tuple:
    return Tuple(tuple(map(_expression, values)))


def _expression(value: Any) -> Expression:
    if isinstance(value, bool):
        return Boolean(value)
    if isinstance(value, int | float):
        return Number(value) if value >= 0 else Unary("-", Number(-value))
    return _tuple(value)
