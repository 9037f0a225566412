"""Full and filtered bundles as matrix products."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from galclass.topology.network import FilteredBundle


class Full(nn.Module):
    """A full bundle."""

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map (n, *source shape) to (n, destination nodes); `weight` is (destination nodes, source nodes)."""
        return functional.linear(x.flatten(1), weight, bias)


class Filtered(nn.Module):
    """A filtered bundle: a dense product whose matrix is zero outside the edges.

    Parameters
    ----------
    bundle : FilteredBundle
        Knows the edges.
    """

    index: Tensor

    def __init__(self, bundle: FilteredBundle) -> None:
        super().__init__()
        self.matrix_shape = (bundle.nodes, bundle.source_nodes)
        index = torch.from_numpy(bundle.edges[:, 0] * bundle.source_nodes + bundle.edges[:, 1])
        self.register_buffer("index", index, persistent=False)

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map (n, *source shape) to (n, destination nodes); `weight` has one value per edge."""
        nodes, source_nodes = self.matrix_shape
        matrix = weight.new_zeros(nodes * source_nodes).scatter(0, self.index, weight)
        return functional.linear(x.flatten(1), matrix.view(nodes, source_nodes), bias)
