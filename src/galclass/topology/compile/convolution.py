"""Convolutional bundles on torch's kernels, as `galclass.topology.plan` lays them out; the rest is unfolded."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from galclass.topology.compile.pooling import shaped
from galclass.topology.network import ConvBundle
from galclass.topology.plan import ConvPlan, conv_plan, unfolded_taps

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
        self.geometry = bundle.geometry
        plan = conv_plan(bundle)
        self.kernel = Unfolded(bundle) if plan is None else Planned(plan)

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map (n, *source shape) to (n, *output shape).

        `weight` is (kernels, *kernel shape), maps first, then unshared positions row-major; `bias` is (kernels,).
        """
        y: Tensor = self.kernel(shaped(x, self.geometry), weight, bias)
        return y


class Planned(nn.Module):
    """A convolution on one of torch's kernels.

    Parameters
    ----------
    plan : ConvPlan
        All sizes, computed beforehand.
    """

    def __init__(self, plan: ConvPlan) -> None:
        super().__init__()
        self.plan = plan
        self.pads, self.explicit_pads = _torch_pads(plan)

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map (n, *InputShape) to (n, *output shape)."""
        plan, examples = self.plan, x.shape[0]
        for d, (first, length) in plan.crops.items():
            x = x.narrow(1 + d, first, length)
        x = x if plan.order is None else x.permute(plan.order)
        x = x if x.shape[1:] == plan.folded_shape else x.reshape(-1, *plan.folded_shape)
        if plan.copies > 1:
            x = torch.cat([x] * plan.copies, dim=1)
        kernels = weight if plan.kernel_order is None else weight.permute(plan.kernel_order)
        kernels = kernels if kernels.shape == plan.kernel_shape else kernels.reshape(plan.kernel_shape)
        y = self._convolved(x, kernels, bias)
        if plan.arrangement is not None:
            y = y.reshape(examples, *plan.split_shape).permute(plan.arrangement)
        return y if y.shape[1:] == plan.output_shape else y.reshape(examples, *plan.output_shape)

    def _convolved(self, x: Tensor, kernels: Tensor, bias: Tensor | None) -> Tensor:
        plan = self.plan
        if self.explicit_pads is not None:
            x = functional.pad(x, self.explicit_pads)
        y = _CONVOLVE[len(plan.positions)](x, kernels, bias, plan.stride, self.pads, 1, plan.groups)
        for d, count in enumerate(plan.positions, start=2):
            y = y if y.shape[d] == count else y.narrow(d, 0, count)
        return y


def _torch_pads(plan: ConvPlan) -> tuple[tuple[int, ...], list[int] | None]:
    """Return the pads for torch's own symmetric padding, or else zeros and the explicit pads, last dimension first.

    Torch pads both ends equally: that suffices if it yields all positions; surplus ones are cut off.
    """
    sizes, kernels = plan.folded_shape[1:], plan.kernel_shape[2:]
    dimensions = zip(sizes, kernels, plan.stride, plan.lower, plan.positions, strict=True)
    if all((size + 2 * pad - kernel) // stride + 1 >= count for size, kernel, stride, pad, count in dimensions):
        return plan.lower, None
    pairs = zip(reversed(plan.lower), reversed(plan.upper), strict=True)
    return (0,) * len(plan.lower), [pad for pair in pairs for pad in pair]


class Unfolded(nn.Module):
    """Any convolution: gather each kernel's nodes, then one product per group of unshared positions.

    Parameters
    ----------
    bundle : ConvBundle
        Geometry, sharing and maps.
    """

    taps: Tensor

    def __init__(self, bundle: ConvBundle) -> None:
        super().__init__()
        taps = unfolded_taps(bundle)
        self.maps = bundle.maps
        self.split_shape, self.arrangement = taps.split_shape, taps.arrangement
        self.output_shape = bundle.output_shape
        self.register_buffer("taps", torch.from_numpy(taps.index), persistent=False)

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map (n, *InputShape) to (n, *output shape)."""
        unshared, _, taps = self.taps.shape
        nodes = functional.pad(x.flatten(1), (0, 1))[:, self.taps]
        y = torch.einsum("nuqt,mut->nmuq", nodes, weight.reshape(self.maps, unshared, taps))
        if bias is not None:
            y = y + bias.view(self.maps, unshared, 1)
        y = y.reshape(x.shape[0], *self.split_shape).permute(self.arrangement)
        return y.reshape(x.shape[0], *self.output_shape)
