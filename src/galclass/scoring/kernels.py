"""The windows of convolutions that do not state them: the shapes of their weights, if these are certain.

Takes the names that a graph defines, with those shapes that the file itself contains; returns the sides of a window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from galclass.scoring.operators import Node

Span = tuple[int, int]
"""Start and end of an attribute in the file."""

_KEEPS_THE_SHAPE = "DequantizeLinear"


class Kernels:
    """Names of all graphs of a file. A name that is defined twice anywhere, also in a branch, has no certain shape.

    Parameters
    ----------
    constant_shape : function
        Reads the shape of the tensor of a `Constant` from the offsets of its attributes; None if it is not certain.
    """

    def __init__(self, constant_shape: Callable[[tuple[Span, ...]], tuple[int, ...] | None]) -> None:
        self._constant_shape = constant_shape
        self._defined: Counter[bytes] = Counter()
        self._initializers: dict[bytes, tuple[int, ...]] = {}
        self._constants: dict[bytes, tuple[Span, ...]] = {}
        self._sources: dict[bytes, bytes] = {}

    def add_input(self, name: bytes) -> None:
        """Note an input, whose shape is not known before the run."""
        self._defined[name] += 1

    def add_initializer(self, name: bytes, shape: tuple[int, ...]) -> None:
        """Note an initializer of a graph; the name of an attribute's tensor means nothing to onnxruntime."""
        self._defined[name] += 1
        self._initializers[name] = shape

    def add_node(self, node: Node, attributes: tuple[Span, ...]) -> None:
        """Note the outputs of an operator."""
        self._defined.update(node.outputs)
        if len(node.outputs) != 1:
            return
        if node.operator == "Constant":
            self._constants[node.outputs[0]] = attributes
        elif node.operator == _KEEPS_THE_SHAPE and node.inputs:
            self._sources[node.outputs[0]] = node.inputs[0]

    def window(self, weights: bytes) -> tuple[int, ...]:
        """Return the sides of the window of such weights; empty if they are not certain."""
        if self._defined[weights] != 1:
            return ()
        source = self._sources.get(weights, weights)
        if self._defined[source] != 1:
            return ()
        shape = self._initializers.get(source)
        if shape is None and source in self._constants:
            shape = self._constant_shape(self._constants[source])
        return () if shape is None else shape[2:]
