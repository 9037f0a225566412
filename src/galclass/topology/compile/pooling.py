"""Pools and response norms: separable windows, so that any arity runs on torch's two-dimensional pools."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from galclass.topology.geometry import Axis, Geometry
from galclass.topology.network import NormBundle, PoolBundle

PlanePool = Callable[[Tensor, Axis, Axis], Tensor]
POINT = Axis(size=1, kernel=1, stride=1, lower=0, positions=1)


class Pool(nn.Module):
    """A max or mean pool.

    Parameters
    ----------
    bundle : PoolBundle
        Kind and geometry.
    """

    real: Tensor  # nodes that each position sees: integers, so exact in every precision

    def __init__(self, bundle: PoolBundle) -> None:
        super().__init__()
        self.geometry = bundle.geometry
        self.kind = bundle.kind
        self.register_buffer("real", _real_nodes(bundle.geometry), persistent=False)

    def forward(self, x: Tensor, weight: None = None, bias: None = None) -> Tensor:
        """Map (n, *source shape) to (n, *positions)."""
        del weight, bias  # a pool has no weights
        x = shaped(x, self.geometry)
        if self.kind == "max":
            return over_planes(x, self.geometry, _max_plane)
        return over_planes(x, self.geometry, _sum_plane) / self.real


class ResponseNorm(nn.Module):
    """A response norm.

    Parameters
    ----------
    bundle : NormBundle
        Geometry and constants.
    """

    real: Tensor

    def __init__(self, bundle: NormBundle) -> None:
        super().__init__()
        self.geometry = bundle.geometry
        self.beta, self.offset = bundle.beta, bundle.offset
        self.pointwise = all(axis.is_pointwise for axis in bundle.geometry.axes)
        self.alpha, self.alpha_per_node = bundle.alpha, bundle.alpha / bundle.geometry.kernel_nodes
        self.uniform = bundle.average_over_full_kernel or not bundle.geometry.is_padded
        self.register_buffer("real", _real_nodes(bundle.geometry), persistent=False)

    def forward(self, x: Tensor, weight: None = None, bias: None = None) -> Tensor:
        """Map (n, *source shape) to (n, *positions)."""
        del weight, bias  # a norm has no weights
        x = shaped(x, self.geometry)
        if self.pointwise:
            return self.of_nodes(x)
        squares = over_planes(x * x, self.geometry, _sum_plane)
        centres = x[(slice(None), *map(_centres, self.geometry.axes))]
        mean = squares * self.alpha_per_node if self.uniform else squares * self.alpha / self.real
        return centres * inverse_power(self.offset + mean, self.beta)

    def of_nodes(self, x: Tensor) -> Tensor:
        """Normalise every node by itself, like a kernel of one node."""
        return x * inverse_power(self.offset + self.alpha_per_node * x * x, self.beta)


def inverse_power(x: Tensor, beta: float) -> Tensor:
    """Return x ** -beta for positive x, by square roots where possible: far cheaper than a general power."""
    if beta == 0.75:
        root = torch.rsqrt(x)
        return root * torch.sqrt(root)
    if beta == 0.5:
        return torch.rsqrt(x)
    if beta == 1.0:
        return torch.reciprocal(x)
    return torch.pow(x, -beta)


def shaped(x: Tensor, geometry: Geometry) -> Tensor:
    """View (n, *source shape) as (n, *InputShape); unchanged if they are equal."""
    shape = geometry.input_shape
    return x if x.shape[1:] == shape else x.reshape(x.shape[0], *shape)


def over_planes(x: Tensor, geometry: Geometry, pool: PlanePool) -> Tensor:
    """Pool over the last two dimensions at once and over the others one by one.

    Parameters
    ----------
    x : floating, (n, *InputShape)
        Values.
    geometry : Geometry
        The windows.
    pool : callable
        Pools (n, maps, height, width) over height and width.
    """
    *leading, last = geometry.axes
    above = leading.pop() if leading else None
    for d, axis in enumerate(leading, start=1):
        if not axis.is_pointwise:
            x = _along(x, d, axis, pool)
    if last.is_pointwise and (above is None or above.is_pointwise):
        return x
    plane = x.shape[-2:] if above is not None else (1, x.shape[-1])
    pooled = pool(_as_planes(x, plane), above or POINT, last)
    sizes = [last.positions] if above is None else [above.positions, last.positions]
    kept = x.shape[: x.ndim - len(sizes)]
    return pooled if pooled.shape == (*kept, *sizes) else pooled.reshape(*kept, *sizes)


def _real_nodes(geometry: Geometry) -> Tensor:
    return torch.from_numpy(geometry.real_nodes()).to(torch.get_default_dtype())


def _as_planes(x: Tensor, plane: Sequence[int]) -> Tensor:
    return x if x.ndim == 4 else x.reshape(x.shape[0], -1, *plane)


def _along(x: Tensor, d: int, axis: Axis, pool: PlanePool) -> Tensor:
    moved = x.movedim(d, -1)
    pooled = pool(moved.reshape(x.shape[0], 1, -1, axis.size), _points(moved.numel() // x.shape[0] // axis.size), axis)
    return pooled.reshape(*moved.shape[:-1], axis.positions).movedim(-1, d)


def _points(size: int) -> Axis:
    return Axis(size=size, kernel=1, stride=1, lower=0, positions=size)


def _centres(axis: Axis) -> slice:
    first = axis.start(0) + axis.centre
    return slice(first, first + (axis.positions - 1) * axis.stride + 1, axis.stride)


def _max_plane(x: Tensor, height: Axis, width: Axis) -> Tensor:
    kernel, stride = (height.kernel, width.kernel), (height.stride, width.stride)
    x = _cropped(x, height, width)
    pads = (max(0, height.lower), max(0, width.lower))
    for ceil in (False, True):
        if all(map(_gives, (height, width), x.shape[-2:], (ceil, ceil))):
            return functional.max_pool2d(x, kernel, stride, pads, ceil_mode=ceil)
    return functional.max_pool2d(functional.pad(x, _pads(height, width), value=float("-inf")), kernel, stride)


def _gives(axis: Axis, size: int, ceil: bool) -> bool:
    """Return whether torch's pool with the lower pad on both sides has exactly our positions."""
    pad = max(0, axis.lower)
    span = size + 2 * pad - axis.kernel
    count = (span + (axis.stride - 1 if ceil else 0)) // axis.stride + 1
    if ceil and (count - 1) * axis.stride >= size + pad:
        count -= 1
    return 2 * pad <= axis.kernel and count == axis.positions


def _sum_plane(x: Tensor, height: Axis, width: Axis) -> Tensor:
    x = functional.pad(_cropped(x, height, width), _pads(height, width))
    kernel, stride = (height.kernel, width.kernel), (height.stride, width.stride)
    if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]  # ONNX knows no other divisor than the size
        return functional.avg_pool2d(x, kernel, stride) * (height.kernel * width.kernel)
    return functional.avg_pool2d(x, kernel, stride, divisor_override=1)


def _cropped(x: Tensor, height: Axis, width: Axis) -> Tensor:
    if height.lower < 0 or width.lower < 0:
        return x[..., max(0, -height.lower) :, max(0, -width.lower) :]
    return x


def _pads(height: Axis, width: Axis) -> tuple[int, int, int, int]:
    lower, upper = max(0, width.lower), max(0, width.upper)
    return lower, upper, max(0, height.lower), max(0, height.upper)
