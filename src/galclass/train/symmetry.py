"""The eight rotations and reflections of a square (the group D4), and equivariant layers.

Takes arrays or tensors whose last two axes are square; the layers are the building blocks of `networks`.
Element g = 4 m + r mirrors left-right when m = 1, then makes r quarter turns.
Group convolutions: Cohen and Welling 2016, https://arxiv.org/abs/1602.07576.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

ORDER = 8


def transform(element: int, array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Apply one element of D4 to the last two axes."""
    mirrored = array[..., ::-1] if element >= 4 else array
    return np.rot90(mirrored, element % 4, axes=(-2, -1))


def eight_views(images: Tensor) -> Tensor:
    """Stack the eight views of each image, (n, c, s, s) -> (8 n, c, s, s), view by view."""
    mirrored = images.flip(3)
    turned = images.transpose(2, 3)
    mirrored_turned = turned.flip(3)
    pairs = (images, mirrored, turned, mirrored_turned)
    return torch.cat([*pairs, *(view.flip(2) for view in pairs)])


def inverse_product_table() -> NDArray[np.int64]:
    """Return table[g, h] = the element g^-1 h, shape (8, 8)."""
    square = np.arange(4).reshape(2, 2)
    seen = [transform(g, square).tobytes() for g in range(ORDER)]
    product = np.array(
        [[seen.index(transform(g, transform(h, square)).tobytes()) for h in range(ORDER)] for g in range(ORDER)]
    )
    inverse = [int(np.flatnonzero(product[g] == 0)[0]) for g in range(ORDER)]
    return product[inverse].astype(np.int64)


class GroupConv(nn.Module):
    """Equivariant convolution; a field is eight channels, one per element of D4.

    Parameters
    ----------
    fields_in, fields_out : int
        Fields before and after; with `lift` the input has plain channels instead of fields.
    kernel, stride, padding : int
        As for any convolution; (size + 2 padding - kernel) must be a multiple of stride, else equivariance is lost.
    lift : bool
        First layer: from plain channels to fields.
    """

    index: Tensor

    def __init__(
        self, fields_in: int, fields_out: int, kernel: int, *, stride: int = 1, padding: int = 0, lift: bool = False
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.kernel = stride, padding, kernel
        self.elements_in = 1 if lift else ORDER
        fan_in = fields_in * self.elements_in * kernel**2
        self.weight = nn.Parameter(torch.randn(fields_out, fields_in, fan_in // fields_in) * (2 / fan_in) ** 0.5)
        self.register_buffer("index", torch.from_numpy(self._weight_index()), persistent=False)

    def _weight_index(self) -> NDArray[np.int64]:
        positions = np.arange(self.kernel**2).reshape(self.kernel, self.kernel)
        table = inverse_product_table() * (self.elements_in > 1)
        planes = [
            [transform(g, positions) + table[g, h] * self.kernel**2 for h in range(self.elements_in)]
            for g in range(ORDER)
        ]
        return np.ascontiguousarray(np.stack([np.stack(row) for row in planes]).reshape(-1), dtype=np.int64)

    def full_kernel(self) -> Tensor:
        """Return the plain convolution's weights, (8 fields_out, elements_in fields_in, kernel, kernel)."""
        fields_out, fields_in, _ = self.weight.shape
        shape = (fields_out, fields_in, ORDER, self.elements_in, self.kernel, self.kernel)
        spread = self.weight.index_select(2, self.index).view(shape).permute(0, 2, 1, 3, 4, 5)
        return spread.reshape(fields_out * ORDER, fields_in * self.elements_in, self.kernel, self.kernel)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve, (n, channels_in, s, s) -> (n, 8 fields_out, t, t)."""
        return functional.conv2d(images, self.full_kernel(), None, self.stride, self.padding)


class FieldNorm(nn.Module):
    """Batch normalisation with one scale and shift per field; running statistics are averaged over its elements."""

    mean: Tensor
    var: Tensor

    def __init__(self, fields: int, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((fields,), scale))
        self.bias = nn.Parameter(torch.zeros(fields))
        self.register_buffer("mean", torch.zeros(fields * ORDER))
        self.register_buffer("var", torch.ones(fields * ORDER))

    def forward(self, images: Tensor) -> Tensor:
        """Normalise, shape (n, 8 fields, s, s)."""
        weight, bias = self.weight.repeat_interleave(ORDER), self.bias.repeat_interleave(ORDER)
        if self.training:
            return functional.batch_norm(images, self.mean, self.var, weight, bias, True, 0.05, 1e-5)
        return functional.batch_norm(images, *self.field_statistics(), weight, bias, False, 0.0, 1e-5)

    def field_statistics(self) -> tuple[Tensor, Tensor]:
        """Return running mean and variance, the same for the eight elements of a field, each (8 fields,)."""
        mean = self.mean.view(-1, ORDER).mean(1).repeat_interleave(ORDER)
        var = self.var.view(-1, ORDER).mean(1).repeat_interleave(ORDER)
        return mean, var


def folded_convolution(convolution: GroupConv, norm: FieldNorm) -> nn.Conv2d:
    """Return the plain convolution that equals a group convolution and its normalisation at inference."""
    kernel = convolution.full_kernel()
    mean, var = norm.field_statistics()
    factor = norm.weight.repeat_interleave(ORDER) * torch.rsqrt(var + 1e-5)
    plain = nn.Conv2d(kernel.shape[1], kernel.shape[0], convolution.kernel, convolution.stride, convolution.padding)
    plain.weight.data = (kernel * factor[:, None, None, None]).detach().clone()
    plain.bias = nn.Parameter((norm.bias.repeat_interleave(ORDER) - mean * factor).detach().clone())
    return plain
