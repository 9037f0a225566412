"""How a convolutional bundle maps onto a library's kernels: shapes and permutations, computed without the library.

Each dimension becomes a channel, group, batch or spatial dimension. A dimension with one position inside the input is
summed over like channels; an unshared dimension with kernel 1 becomes groups (MapCount maps per group: a depthwise
layer); a shared dimension is spatial, or goes into the batch if its kernel is 1 and there are more than two spatial
ones. The rest (unshared positions under larger kernels, four spatial dimensions) is unfolded.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from galclass.topology.geometry import Axis
from galclass.topology.network import ConvBundle


@dataclass(frozen=True)
class ConvPlan:
    """A convolution of (n, channels, *spatial) arrays that computes a bundle.

    Parameters
    ----------
    crops : dict of int to (first, length)
        Dimensions of InputShape of which only a part is covered, to be cut out first.
    order : tuple of int or None
        Permutation of (n, *InputShape); None: unchanged.
    folded_shape : tuple of int
        (channels, *spatial) to reshape to; the rest goes into the batch.
    copies : int
        How often the channels are repeated: libraries order output channels group first, the language map first, so
        with several maps per group each map gets its own copy of the groups.
    kernel_order, kernel_shape
        Permutation and shape of the weights, (kernels, channels per group, *spatial).
    groups : int
        Groups of the repeated channels.
    stride, lower, upper, positions : tuple of int
        For each spatial dimension the step, the zeros below and above, and the number of positions.
    split_shape, arrangement
        Factors and permutation (None: unchanged) that bring the result into the language's order.
    output_shape : tuple of int
        Shape of the result.
    """

    crops: dict[int, tuple[int, int]]
    order: tuple[int, ...] | None
    folded_shape: tuple[int, ...]
    copies: int
    kernel_order: tuple[int, ...] | None
    kernel_shape: tuple[int, ...]
    groups: int
    stride: tuple[int, ...]
    lower: tuple[int, ...]
    upper: tuple[int, ...]
    positions: tuple[int, ...]
    split_shape: tuple[int, ...]
    arrangement: tuple[int, ...] | None
    output_shape: tuple[int, ...]


def conv_plan(bundle: ConvBundle) -> ConvPlan | None:
    """Return the plan of a bundle, None if only unfolding computes it."""
    parts = _parts_of(bundle)
    if parts is None:
        return None
    axes = bundle.geometry.axes
    spatial = [axes[d] for d in parts.spatial] or [Axis(1, 1, 1, 0, 1)]
    crops = _crops(axes)
    sizes = [crops[d][1] if d in crops else axis.size for d, axis in enumerate(axes)]
    groups, channels = prod(sizes[d] for d in parts.group), prod(sizes[d] for d in parts.channel)
    copies = bundle.maps if groups > 1 else 1
    split_shape, arrangement = _arrangement(bundle, parts)
    return ConvPlan(
        crops=crops,
        order=_order((*parts.batch, *parts.group, *parts.channel, *parts.spatial)),
        folded_shape=(groups * channels, *([sizes[d] for d in parts.spatial] or [1])),
        copies=copies,
        kernel_order=_order((*parts.channel, *parts.spatial, *parts.batch, *parts.group)),
        kernel_shape=(bundle.kernels, channels, *(axis.kernel for axis in spatial)),
        groups=groups * copies,
        stride=tuple(axis.stride for axis in spatial),
        lower=tuple(max(0, axis.lower) for axis in spatial),
        upper=tuple(max(0, axis.upper) for axis in spatial),
        positions=tuple(axis.positions for axis in spatial),
        split_shape=split_shape,
        arrangement=arrangement,
        output_shape=bundle.output_shape,
    )


@dataclass(frozen=True)
class _Parts:
    """The role of each dimension; each tuple in increasing order."""

    batch: tuple[int, ...]
    group: tuple[int, ...]
    channel: tuple[int, ...]
    spatial: tuple[int, ...]


def _parts_of(bundle: ConvBundle) -> _Parts | None:
    parts: dict[str, list[int]] = {"batch": [], "group": [], "channel": [], "spatial": []}
    for d, (axis, shared) in enumerate(zip(bundle.geometry.axes, bundle.sharing, strict=True)):
        part = _part(axis, shared)
        if part is None:
            return None
        parts[part].append(d)
    for d in list(parts["spatial"]):
        if len(parts["spatial"]) > 2 and bundle.geometry.axes[d].is_pointwise:
            parts["spatial"].remove(d)
            parts["batch"].append(d)
    if len(parts["spatial"]) > 3:
        return None
    return _Parts(**{part: tuple(dimensions) for part, dimensions in parts.items()})


def _part(axis: Axis, shared: bool) -> str | None:
    if axis.positions == 1 and axis.lower <= 0 and axis.upper <= 0:
        return "channel"
    if shared or axis.positions == 1:
        return "spatial"
    return "group" if axis.is_pointwise else None


def _crops(axes: tuple[Axis, ...]) -> dict[int, tuple[int, int]]:
    crops = {}
    for d, axis in enumerate(axes):
        if axis.lower < 0 or (axis.positions == 1 and axis.upper < 0):
            first = max(0, -axis.lower)
            crops[d] = (first, axis.size + min(0, axis.upper) - first)
    return crops


def _arrangement(bundle: ConvBundle, parts: _Parts) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the permutation of (n * batch, maps * groups, *spatial): in each dimension map, then position."""
    positions, arity = bundle.geometry.positions, len(bundle.map_count)
    blocks = [*parts.batch, *(arity + d for d in range(arity)), *parts.group, *parts.channel, *parts.spatial]
    sizes = tuple(positions[b] if b < arity else bundle.map_count[b - arity] for b in blocks)
    wanted = [block for d in range(arity) for block in (arity + d, d)]
    real = [block for block, size in zip(blocks, sizes, strict=True) if size > 1]
    if [block for block in wanted if block in real] == real:
        return sizes, None
    return sizes, (0, *(1 + blocks.index(block) for block in wanted))


def _order(dimensions: tuple[int, ...]) -> tuple[int, ...] | None:
    return None if dimensions == tuple(range(len(dimensions))) else (0, *(1 + d for d in dimensions))


@dataclass(frozen=True, eq=False)
class Taps:
    """The node under each kernel weight at each position.

    Parameters
    ----------
    index : int64, (unshared positions, shared positions, kernel nodes)
        Number of the input node; one after the last one where the kernel lies outside.
    split_shape, arrangement
        Factors of (n, maps, unshared positions, shared positions) and the permutation into the language's order.
    """

    index: NDArray[np.int64]
    split_shape: tuple[int, ...]
    arrangement: tuple[int, ...]


def unfolded_taps(bundle: ConvBundle) -> Taps:
    """Return the taps of any convolution."""
    axes, arity = bundle.geometry.axes, len(bundle.geometry.axes)
    index = np.zeros((1,) * (2 * arity), dtype=np.int64)
    real = np.ones((1,) * (2 * arity), dtype=bool)
    for d, axis in enumerate(axes):
        source_index = np.arange(axis.positions)[:, None] * axis.stride - axis.lower + np.arange(axis.kernel)
        shape = [1] * (2 * arity)
        shape[d], shape[arity + d] = source_index.shape
        index = index * axis.size + source_index.reshape(shape)
        real = real & ((source_index >= 0) & (source_index < axis.size)).reshape(shape)
    index = np.where(real, index, prod(bundle.geometry.input_shape))
    own = [d for d in range(arity) if not bundle.sharing[d]]
    order = own + [d for d in range(arity) if bundle.sharing[d]]
    index = index.transpose(*order, *range(arity, 2 * arity))
    unshared = prod(axes[d].positions for d in own)
    return Taps(
        np.ascontiguousarray(index.reshape(unshared, -1, bundle.geometry.kernel_nodes)),
        (*bundle.map_count, *(axes[d].positions for d in order)),
        (0, *(axis for d in range(arity) for axis in (1 + d, 1 + arity + order.index(d)))),
    )
