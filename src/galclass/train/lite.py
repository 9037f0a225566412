"""EfficientNet-Lite0: a small convolutional encoder for which pretrained weights exist.

Takes scaled pixels (n, 3, size, size) float32, returns an embedding (n, 1280). Architecture: Tan and Le 2019
(https://arxiv.org/abs/1905.11946) in the "lite" variant, without squeeze-and-excitation and with ReLU6.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

_STEM, _HEAD = 32, 1280
_STAGES: tuple[tuple[int, int, int, int, int], ...] = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel, stride of the first block, expansion and channels of each stage."""

_EPS, _MOMENTUM = 1e-3, 0.1
"""Of the batch normalisation: the epsilon of the published weights, and ten times their momentum, for shorter runs."""


class _SameConv(nn.Conv2d):
    """A convolution whose output has ceil(size / stride) px; an odd padding px goes to the right and bottom."""

    def forward(self, images: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return functional.conv2d(images, self.weight, padding=kernel // 2, groups=self.groups)
        size = int(images.shape[-1])
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        first, last = total // 2, total - total // 2
        if first == last:
            return functional.conv2d(images, self.weight, stride=stride, padding=first, groups=self.groups)
        padded = functional.pad(images, (first, last, first, last))
        return functional.conv2d(padded, self.weight, stride=stride, groups=self.groups)


def _conv(channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> _SameConv:
    return _SameConv(channels_in, channels_out, kernel, stride=stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPS, momentum=_MOMENTUM)


class _Block(nn.Module):
    """Expand, filter each channel by itself, project; with a shortcut where shape and channels stay."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expands, self.shortcut = expansion > 1, stride == 1 and channels_in == channels_out
        if self.expands:
            self.expand_conv, self.bn0 = _conv(channels_in, wide, 1), _norm(wide)
        self.depthwise_conv, self.bn1 = _conv(wide, wide, kernel, stride=stride, groups=wide), _norm(wide)
        self.project_conv, self.bn2 = _conv(wide, channels_out, 1), _norm(channels_out)

    def forward(self, images: Tensor) -> Tensor:
        wide = functional.relu6(self.bn0(self.expand_conv(images)), inplace=True) if self.expands else images
        wide = functional.relu6(self.bn1(self.depthwise_conv(wide)), inplace=True)
        narrow: Tensor = self.bn2(self.project_conv(wide))
        return images + narrow if self.shortcut else narrow


class Lite0Body(nn.Module):
    """EfficientNet-Lite0 up to the pooled embedding; names of the weights are the published ones without underscores.

    Not invariant under rotation and mirroring: pool over eight views.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn0 = _conv(3, _STEM, 3, stride=2), _norm(_STEM)
        blocks, channels = [], _STEM
        for count, kernel, stride, expansion, channels_out in _STAGES:
            for number in range(count):
                blocks.append(_Block(channels, channels_out, kernel, stride if number == 0 else 1, expansion))
                channels = channels_out
        self.blocks = nn.Sequential(*blocks)
        self.conv_head, self.bn1 = _conv(channels, _HEAD, 1), _norm(_HEAD)
        self.embedding_size = _HEAD

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed scaled pixels, (n, 3, size, size) -> (n, 1280)."""
        stem = functional.relu6(self.bn0(self.conv_stem(pixels)), inplace=True)
        head = functional.relu6(self.bn1(self.conv_head(self.blocks(stem))), inplace=True)
        return head.mean((2, 3))
