"""Convolutional bundles on torch's kernels: each dimension becomes a channel, group, batch or spatial dimension.

A dimension with one position inside the input is summed over like channels; an unshared dimension with kernel 1 gives
groups (with MapCount maps a group: a depthwise layer); a shared dimension is spatial, or goes into the batch where its
kernel is 1 and there are more than two spatial ones. What is left (unshared positions under larger kernels, four
spatial dimensions) is unfolded.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from galclass.topology.compile.pooling import shaped
from galclass.topology.geometry import Axis
from galclass.topology.network import ConvBundle

_CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


class Convolution(nn.Module):
    """A convolutional bundle.

    Parameters
    ----------
    bundle : ConvBundle
        Geometry, sharing and maps.
    """

    def __init__(self, bundle: ConvBundle) -> None:
        super().__init__()
        self.bundle = bundle
        self.plan = plan_of(bundle)
        self.unfolded = Unfolded(bundle) if self.plan is None else nn.Identity()

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map (n, *source shape) to (n, *output shape).

        `weight` is (kernels, *kernel shape), maps first, then unshared positions row-major; `bias` is (kernels,).
        """
        x = shaped(x, self.bundle.geometry)
        if self.plan is not None:
            return _planned(x, weight, bias, self.bundle, self.plan)
        y: Tensor = self.unfolded(x, weight, bias)
        return y


@dataclass(frozen=True)
class Plan:
    """Which dimensions of the arity play which part; each tuple in increasing order."""

    batch: tuple[int, ...]
    group: tuple[int, ...]
    channel: tuple[int, ...]
    spatial: tuple[int, ...]

    @property
    def order(self) -> tuple[int, ...]:
        """Dimensions in the order torch's kernels want."""
        return (*self.batch, *self.group, *self.channel, *self.spatial)


def plan_of(bundle: ConvBundle) -> Plan | None:
    """Return how a bundle maps to torch's kernels, None if only unfolding does."""
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
    return Plan(**{part: tuple(dimensions) for part, dimensions in parts.items()})


def _part(axis: Axis, shared: bool) -> str | None:
    if axis.positions == 1 and axis.lower <= 0 and axis.upper <= 0:
        return "channel"
    if shared or axis.positions == 1:
        return "spatial"
    return "group" if axis.is_pointwise else None


def _planned(x: Tensor, weight: Tensor, bias: Tensor | None, bundle: ConvBundle, plan: Plan) -> Tensor:
    axes = bundle.geometry.axes
    x = _cropped(x, axes)
    examples, sizes = len(x), x.shape[1:]
    groups, maps = prod(sizes[d] for d in plan.group), bundle.maps
    channels = prod(axes[d].kernel for d in plan.channel)
    spatial = [axes[d] for d in plan.spatial] or [Axis(1, 1, 1, 0, 1)]
    x = _permuted(x, plan.order)
    batch = prod(sizes[d] for d in plan.batch)
    planes = [sizes[d] for d in plan.spatial] or [1]
    x = _reshaped(x, (examples * batch, groups * channels, *planes))
    kernels = _permuted(weight, (*plan.channel, *plan.spatial, *plan.batch, *plan.group))
    kernels = _reshaped(kernels, (maps * groups, channels, *(axis.kernel for axis in spatial)))
    y = _convolved(x, kernels, bias, spatial, groups, maps)
    return _arranged(y, examples, bundle, plan)


def _cropped(x: Tensor, axes: tuple[Axis, ...]) -> Tensor:
    for d, axis in enumerate(axes, start=1):
        last = axis.size + min(0, axis.upper)
        if axis.lower < 0 or (axis.positions == 1 and last < axis.size):
            x = x.narrow(d, max(0, -axis.lower), last - max(0, -axis.lower))
    return x


def _convolved(x: Tensor, kernels: Tensor, bias: Tensor | None, spatial: list[Axis], groups: int, maps: int) -> Tensor:
    convolve = _CONVOLVE[len(spatial)]
    stride = tuple(axis.stride for axis in spatial)
    pads = tuple(max(0, axis.lower) for axis in spatial)
    counts = [
        (size + 2 * pad - axis.kernel) // axis.stride + 1
        for size, pad, axis in zip(x.shape[2:], pads, spatial, strict=True)
    ]
    if any(count < axis.positions for count, axis in zip(counts, spatial, strict=True)):
        x = functional.pad(x, [p for axis in reversed(spatial) for p in (max(0, axis.lower), max(0, axis.upper))])
        pads, counts = (0,) * len(spatial), [axis.positions for axis in spatial]
    if groups > 1 and maps > 1:
        # one depthwise pass a map: torch orders channels group first, the language map first
        parts = zip(kernels.chunk(maps), bias.chunk(maps) if bias is not None else (None,) * maps, strict=True)
        y = torch.cat([convolve(x, part, b, stride, pads, groups=groups) for part, b in parts], dim=1)
    else:
        y = convolve(x, kernels, bias, stride, pads, groups=groups)
    for d, (count, axis) in enumerate(zip(counts, spatial, strict=True), start=2):
        y = y if count == axis.positions else y.narrow(d, 0, axis.positions)
    return y


def _arranged(y: Tensor, examples: int, bundle: ConvBundle, plan: Plan) -> Tensor:
    """Bring (n * batch, maps * groups, *spatial) into the language's order: in each dimension map, then position."""
    shape = (examples, *bundle.output_shape)
    positions = bundle.geometry.positions
    arity = len(positions)
    blocks = [*plan.batch, *(arity + d for d in range(arity)), *plan.group, *plan.channel, *plan.spatial]
    sizes = [positions[b] if b < arity else bundle.map_count[b - arity] for b in blocks]
    wanted = [block for d in range(arity) for block in (arity + d, d)]
    real = [block for block in blocks if sizes[blocks.index(block)] > 1]
    if [block for block in wanted if block in real] != real:
        y = y.reshape(examples, *sizes).permute(0, *(1 + blocks.index(block) for block in wanted))
    return _reshaped(y, shape)


def _permuted(x: Tensor, order: tuple[int, ...]) -> Tensor:
    return x if order == tuple(range(len(order))) else x.permute(0, *(1 + d for d in order))


def _reshaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return x if x.shape == shape else x.reshape(shape)


class Unfolded(nn.Module):
    """Any convolution at all: gather each kernel's nodes, then one product a group of unshared positions.

    Parameters
    ----------
    bundle : ConvBundle
        Geometry, sharing and maps.
    """

    taps: Tensor

    def __init__(self, bundle: ConvBundle) -> None:
        super().__init__()
        self.bundle = bundle
        axes, arity = bundle.geometry.axes, len(bundle.geometry.axes)
        index, real = torch.zeros((1,) * (2 * arity), dtype=torch.int64), torch.ones((), dtype=torch.bool)
        for d, axis in enumerate(axes):
            place = torch.arange(axis.positions)[:, None] * axis.stride - axis.lower + torch.arange(axis.kernel)
            shape = [1] * (2 * arity)
            shape[d], shape[arity + d] = place.shape
            index = index * axis.size + place.view(shape)
            real = real & ((place >= 0) & (place < axis.size)).view(shape)
        index = torch.where(real, index, prod(bundle.geometry.input_shape))  # the node after the last one is a zero
        own = [d for d in range(arity) if not bundle.sharing[d]]
        common = [d for d in range(arity) if bundle.sharing[d]]
        self.order = own + common
        index = index.permute(*self.order, *range(arity, 2 * arity))
        unshared = prod(axes[d].positions for d in own)
        self.register_buffer("taps", index.reshape(unshared, -1, bundle.geometry.kernel_nodes), persistent=False)

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map (n, *InputShape) to (n, *output shape)."""
        bundle, (unshared, _, taps) = self.bundle, self.taps.shape
        nodes = functional.pad(x.flatten(1), (0, 1))[:, self.taps]
        kernels = weight.reshape(bundle.maps, unshared, taps)
        y = torch.einsum("nuqt,mut->nmuq", nodes, kernels)
        if bias is not None:
            y = y + bias.view(bundle.maps, unshared, 1)
        positions, arity = bundle.geometry.positions, len(bundle.map_count)
        y = y.reshape(len(x), *bundle.map_count, *(positions[d] for d in self.order))
        wanted = [axis for d in range(arity) for axis in (1 + d, 1 + arity + self.order.index(d))]
        return y.permute(0, *wanted).reshape(len(x), *bundle.output_shape)
