"""Initial weights: uniform of a given width as in the original, or He's; given weights are kept."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from galclass.topology.network import Parameter

if TYPE_CHECKING:
    from galclass.topology.compile.module import NetworkModule


def initialise(
    module: NetworkModule, init_wts_diameter: float | None = 0.1, generator: torch.Generator | None = None
) -> None:
    """Set all weights of a module, in place.

    Parameters
    ----------
    module : NetworkModule
        From `compile_network`.
    init_wts_diameter : float or None
        Weights and biases are drawn uniformly from [-d/2, d/2]; None: He's initialisation (weights normal with variance
        2 / fan-in of the layer, biases 0). Given `Weights` are set as given in both cases.
    generator : torch.Generator, optional
        Source of the draws, on the CPU, so that a seed yields the same weights on any device.
    """

    def uniform(spec: Parameter) -> Tensor:
        diameter = init_wts_diameter or 0.0
        return (torch.rand(spec.shape, generator=generator) - 0.5) * diameter

    def he(spec: Parameter) -> Tensor:
        if not spec.fan_in:
            return torch.zeros(spec.shape)
        return torch.randn(spec.shape, generator=generator) * sqrt(2.0 / spec.fan_in)

    _fill(module, he if init_wts_diameter is None else uniform)


def _fill(module: NetworkModule, draw: Callable[[Parameter], Tensor]) -> None:
    with torch.no_grad():
        for spec in module.network.parameters:
            given = None if spec.initial is None else torch.tensor(spec.initial, dtype=torch.float64).view(spec.shape)
            module.arrays[spec.key].copy_(draw(spec) if given is None else given)
