"""A pool before its response norm: the same values for a quarter of the work.

In `... rlinear` -> response norm of single nodes -> max pool, the pool discards most of what the norm computed. The
norm f(x) = x (o + a x^2)^-b grows up to x* = sqrt(o / (a (2 b - 1))), so as long as no node exceeds x* the largest
f(x) under a kernel is f of the largest x, and rlinear and norm need only be computed for what the pool keeps. The
largest pooled value shows whether that holds; otherwise the layers are computed as declared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf, sqrt
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from galclass.topology.compile.layer import CompiledLayer
from galclass.topology.compile.pooling import Pool, ResponseNorm, inverse_power

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class PooledNorm(nn.Module):
    """Three layers in one: any rlinear layer, a norm of single nodes, a max pool.

    Parameters
    ----------
    first : CompiledLayer
        The rlinear layer.
    norm : ResponseNorm
        The norm, its only reader.
    pool : CompiledLayer
        The pool layer, the norm's only reader.
    """

    def __init__(self, first: CompiledLayer, norm: ResponseNorm, pool: CompiledLayer) -> None:
        super().__init__()
        self.name, self.sources = pool.name, first.sources
        self.first, self.norm, self.pool = first, norm, pool
        self.limit = growth_limit(norm)

    def forward(self, sources: list[Tensor], arrays: nn.ParameterDict, *, activated: bool = True) -> Tensor:
        """Compute the pool layer from the first layer's sources."""
        sums = self.first(sources, arrays, activated=False)
        if _may_branch(sums):
            pooled: Tensor = self.pool([sums], arrays, activated=activated)
            if self.limit == inf or bool((pooled.detach() <= self.limit).all()):
                return rectified_norm(pooled, self.norm)
        normed = self.norm.of_nodes(torch.relu(sums))
        result: Tensor = self.pool([normed], arrays, activated=activated)
        return result


def rectified_norm(x: Tensor, norm: ResponseNorm) -> Tensor:
    """Return the norm of single nodes of max(0, x), with its slope, so that the backward pass is one product.

    Parameters
    ----------
    x : floating, any shape
        Sums before rlinear.
    norm : ResponseNorm
        Has the constants.
    """
    y: Tensor = _RectifiedNorm.apply(x, norm.alpha_per_node, norm.beta, norm.offset)  # type: ignore[no-untyped-call]
    return y


class _RectifiedNorm(torch.autograd.Function):
    """y = r d^-b with r = max(0, x) and d = o + a r^2, so y' = d^-b (1 - 2 b + 2 b o / d) where x > 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float, beta: float, offset: float) -> Tensor:
        rectified = torch.relu(x)
        base = (rectified * rectified).mul_(alpha).add_(offset)
        power = inverse_power(base, beta)
        slope = base.reciprocal_().mul_(2 * beta * offset).add_(1 - 2 * beta).mul_(power).mul_(x > 0)
        ctx.save_for_backward(slope)
        return rectified.mul_(power)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return gradient * slope, None, None, None


def growth_limit(norm: ResponseNorm) -> float:
    """Return the largest x up to which a norm of single nodes increases."""
    if norm.alpha_per_node == 0 or norm.beta <= 0.5:
        return inf
    return sqrt(norm.offset / (norm.alpha_per_node * (2 * norm.beta - 1)))


def fused(layers: Sequence[CompiledLayer], output: str) -> list[CompiledLayer | PooledNorm]:
    """Return the layers of a network with every matching triple fused.

    Parameters
    ----------
    layers : sequence of CompiledLayer
        In topological order.
    output : str
        Name of the output layer.
    """
    readers = Counter([output, *(source for layer in layers for source in layer.sources)])
    by_name = {layer.name: layer for layer in layers}
    steps: dict[str, CompiledLayer | PooledNorm] = dict(by_name)
    for pool in layers:
        norm = by_name.get(pool.sources[0])
        first = by_name.get(norm.sources[0]) if norm is not None else None
        if norm is None or first is None or readers[norm.name] > 1 or readers[first.name] > 1:
            continue
        inner, outer = _only(norm, ResponseNorm), _only(pool, Pool)
        if inner is None or outer is None or first.activation != "rlinear":
            continue
        if inner.pointwise and inner.beta >= 0 and outer.kind == "max":
            steps[pool.name] = PooledNorm(first, inner, pool)
            del steps[norm.name], steps[first.name]
    return list(steps.values())


def _only(layer: CompiledLayer, kind: type[ModuleT]) -> ModuleT | None:
    """Return the layer's bundle if it is the only one, of this kind, with nothing after it."""
    bundle = layer.bundles[0]
    alone = len(layer.bundles) == 1 and layer.activation == "linear"
    return bundle if alone and isinstance(bundle, kind) else None


def _may_branch(x: Tensor) -> bool:
    # reading a value means waiting for a GPU, and a traced graph has only one branch
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
    return x.device.type == "cpu" and not traced
