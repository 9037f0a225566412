"""Positions of the kernels of a convolution, pool or response norm: integer arithmetic, one dimension at a time."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """One dimension of a bundle's geometry.

    Parameters
    ----------
    size : int
        Nodes of the input along this dimension.
    kernel, stride : int
        Kernel nodes and step, in nodes.
    lower : int
        Position of the first kernel's first node is `-lower`; positive: padding, negative: nodes left uncovered.
    positions : int
        Number of kernel positions.
    """

    size: int
    kernel: int
    stride: int
    lower: int
    positions: int

    @property
    def upper(self) -> int:
        """Nodes that the last kernel reaches beyond the input; negative: nodes left uncovered at the upper end."""
        return (self.positions - 1) * self.stride + self.kernel - self.size - self.lower

    @property
    def centre(self) -> int:
        """Index of the kernel's central node inside the kernel."""
        return (self.kernel - 1) // 2

    def start(self, position: int) -> int:
        """Return the input index of a kernel's first node; outside 0..size-1 means padding."""
        return position * self.stride - self.lower

    @property
    def is_pointwise(self) -> bool:
        """Whether each position sees exactly its own node."""
        return self.kernel == 1 and self.stride == 1 and self.lower == 0 and self.positions == self.size


@dataclass(frozen=True)
class Geometry:
    """All dimensions of a convolution, pool or response norm."""

    axes: tuple[Axis, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Nodes of the source along each dimension."""
        return tuple(axis.size for axis in self.axes)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """Nodes of the kernel along each dimension."""
        return tuple(axis.kernel for axis in self.axes)

    @property
    def stride(self) -> tuple[int, ...]:
        """Step between kernel positions along each dimension."""
        return tuple(axis.stride for axis in self.axes)

    @property
    def positions(self) -> tuple[int, ...]:
        """Number of kernel positions along each dimension."""
        return tuple(axis.positions for axis in self.axes)

    @property
    def kernel_nodes(self) -> int:
        """Nodes of one kernel."""
        return prod(self.kernel_shape)

    @property
    def is_padded(self) -> bool:
        """Whether any kernel reaches beyond the input."""
        return any(axis.lower > 0 or axis.upper > 0 for axis in self.axes)

    def real_nodes(self) -> NDArray[np.int64]:
        """Return how many real (not padded) nodes each kernel position sees, shape `positions`."""
        counts = np.ones((), dtype=np.int64)
        for axis in self.axes:
            starts = np.arange(axis.positions) * axis.stride - axis.lower
            real = np.minimum(starts + axis.kernel, axis.size) - np.maximum(starts, 0)
            counts = np.multiply.outer(counts, real)
        return counts


def padded_axis(size: int, kernel: int, stride: int, lower: int, upper: int) -> Axis:
    """Return the axis with given pads: D = (I + L + U - K) div S + 1, first kernel at -L."""
    return Axis(size, kernel, stride, lower, (size + lower + upper - kernel) // stride + 1)


def centred_axis(size: int, kernel: int, stride: int) -> Axis:
    """Return the axis of `Padding = true`: kernel n is centred on node n*S, for all n*S <= I - 1."""
    return Axis(size, kernel, stride, (kernel - 1) // 2, (size - 1) // stride + 1)


def covered_axis(size: int, kernel: int, stride: int) -> Axis:
    """Return the axis without padding: the remainder that no kernel covers is split, an odd node remains at the top."""
    return Axis(size, kernel, stride, -((size - kernel) % stride // 2), (size - kernel) // stride + 1)
