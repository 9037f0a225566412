"""The ten activations of the language."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from galclass.topology.network import Activation


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Apply an activation to a layer's sums.

    Parameters
    ----------
    x : floating, (n, *shape)
        Sums of one layer; softmax runs over all nodes of the layer.
    activation : str
        One of `galclass.topology.network.ACTIVATIONS`.
    """
    match activation:
        case "linear":
            return x
        case "rlinear":
            return functional.relu(x)
        case "sigmoid":
            return torch.sigmoid(x)
        case "tanh":
            return torch.tanh(x)
        case "softmax":
            return torch.softmax(x.flatten(1), dim=1).reshape(x.shape)
        case "square":
            return x * x
        case "sqrt":
            return _square_root(x)
        case "srlinear":
            return functional.softplus(x)
        case "abs":
            return torch.abs(x)
        case "brlinear":
            return torch.clamp(x, 0.0, 1.0)


def _square_root(x: Tensor) -> Tensor:
    # the derivative at 0 is infinite, and 0 * inf is NaN: nodes at or below 0 get no gradient
    positive = x > 0
    return torch.where(positive, torch.sqrt(torch.where(positive, x, torch.ones_like(x))), torch.zeros_like(x))
