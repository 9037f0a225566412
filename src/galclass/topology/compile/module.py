"""The compiled network: layers in order, each the sum of its bundles, its biases and its activation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from galclass.errors import TopologyError
from galclass.topology.compile.fusion import fused
from galclass.topology.compile.initialise import initialise
from galclass.topology.compile.layer import CompiledLayer
from galclass.topology.network import Network


def compile_network(
    network: Network,
    *,
    activated: bool = False,
    init_wts_diameter: float | None = 0.1,
    generator: torch.Generator | None = None,
) -> NetworkModule:
    """Return a torch module that computes a network.

    Parameters
    ----------
    network : Network
        From `galclass.topology.check`.
    activated : bool
        False: the module returns the output layer before its activation (logits, for cross-entropy); True: after it.
    init_wts_diameter : float or None
        Weights and biases that are not specified are drawn uniformly from [-d/2, d/2]; None: He's initialisation.
    generator : torch.Generator, optional
        Source of the initial weights; torch's default one otherwise.

    Returns
    -------
    NetworkModule
        float32, on the CPU, in training mode.
    """
    module = NetworkModule(network, activated=activated)
    initialise(module, init_wts_diameter, generator)
    return module


class NetworkModule(nn.Module):
    """A network's arithmetic with torch's kernels.

    Parameters
    ----------
    network : Network
        The checked topology.
    activated : bool
        Whether `forward` applies the output layer's activation; may be changed at any time.

    Attributes
    ----------
    arrays : ParameterDict
        Every trainable array under its key in `Network.parameters`, in the language's layout. Shared arrays are one
        parameter.
    """

    def __init__(self, network: Network, *, activated: bool = False) -> None:
        super().__init__()
        self.network = network
        self.activated = activated
        self.arrays = nn.ParameterDict({spec.key: torch.zeros(spec.shape) for spec in network.parameters})
        needed = _needed(network)
        computed = [layer for layer in network.layers if layer.kind != "input" and layer.name in needed]
        steps = fused([CompiledLayer(layer) for layer in computed], network.output.name)
        self.steps = nn.ModuleList(steps)
        self._wiring = [(step.name, step.sources) for step in steps]
        self._output = network.output.name
        self._inputs = [(layer.name, layer.nodes, layer.shape) for layer in network.inputs]

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output layer.

        Parameters
        ----------
        x : floating, (n, *input shape) or (n, input nodes)
            Several inputs: (n, input nodes), the features in the order in which the inputs are declared.

        Returns
        -------
        floating, (n, output nodes)
            Before the output activation, unless `activated`.
        """
        values = self._dealt(x)
        for (name, sources), step in zip(self._wiring, self.steps, strict=True):
            activated = name != self._output or self.activated
            values[name] = step([values[source] for source in sources], self.arrays, activated=activated)
        return values[self._output].flatten(1)

    def numpy_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return a float32 copy of every trainable array by key, as `export_onnx` and the reference take them."""
        return {key: array.detach().float().cpu().contiguous().numpy().copy() for key, array in self.arrays.items()}

    def _dealt(self, x: Tensor) -> dict[str, Tensor]:
        name, _, shape = self._inputs[0]
        if len(self._inputs) == 1 and x.shape[1:] == shape:
            return {name: x}
        features = x.flatten(1)
        if features.shape[1] != self.network.input_nodes:
            expected = f"{self.network.input_nodes} features per example"
            raise TopologyError("the input does not fit the network", expected=expected, got=tuple(x.shape))
        parts = torch.split(features, [nodes for _, nodes, _ in self._inputs], dim=1)
        dealt = zip(self._inputs, parts, strict=True)
        return {name: part.reshape(x.shape[0], *shape) for (name, _, shape), part in dealt}


def _needed(network: Network) -> set[str]:
    needed = {network.output.name}
    for layer in reversed(network.layers):
        if layer.name in needed:
            needed.update(bundle.source for bundle in layer.bundles)
    return needed
