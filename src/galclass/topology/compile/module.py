"""The compiled network: layers in order, each the sum of its bundles, its biases and its activation."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from galclass.errors import TopologyError
from galclass.topology.compile.activations import activate
from galclass.topology.compile.convolution import Convolution
from galclass.topology.compile.initialise import initialise
from galclass.topology.compile.linear import Filtered, Full
from galclass.topology.compile.pooling import Pool, ResponseNorm
from galclass.topology.network import (
    FilteredBundle,
    FullBundle,
    Network,
    NormBundle,
    PoolBundle,
    ResolvedBundle,
    ResolvedLayer,
)


def compile_network(
    network: Network,
    *,
    activated: bool = False,
    init_wts_diameter: float = 0.1,
    generator: torch.Generator | None = None,
) -> NetworkModule:
    """Return a torch module that computes a network.

    Parameters
    ----------
    network : Network
        From `galclass.topology.check`.
    activated : bool
        False: the module gives the output layer before its activation (logits, for a cross-entropy loss); True: after.
    init_wts_diameter : float
        Weights and biases that are not given are drawn uniformly from [-d/2, d/2].
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
    parameters_by_key : dict of str to Parameter
        Every trainable array under the key that `Network.parameters` gives it, in the language's layout. Shared
        arrays are one parameter.
    """

    def __init__(self, network: Network, *, activated: bool = False) -> None:
        super().__init__()
        self.network = network
        self.activated = activated
        arrays = {spec.key: nn.Parameter(torch.zeros(spec.shape)) for spec in network.parameters}
        needed = _needed(network)
        self.layers = nn.ModuleList(
            _Layer(layer, arrays) for layer in network.layers if layer.kind != "input" and layer.name in needed
        )
        self._idle = nn.ParameterList(_unused(arrays, self.layers))  # of layers that do not reach the output

    @property
    def parameters_by_key(self) -> dict[str, nn.Parameter]:
        """Trainable arrays by key."""
        found: dict[str, nn.Parameter] = {}
        for layer in self._compiled_layers():
            found.update(layer.arrays())
        used = [spec.key for spec in self.network.parameters if spec.key not in found]
        found.update(zip(used, self._idle, strict=True))
        return {spec.key: found[spec.key] for spec in self.network.parameters}

    def _compiled_layers(self) -> list[_Layer]:
        return [cast("_Layer", layer) for layer in self.layers]

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
        values = self._inputs(x)
        for layer in self._compiled_layers():
            logits = layer.name == self.network.output.name and not self.activated
            values[layer.name] = layer([values[source] for source in layer.sources], activated=not logits)
        return values[self.network.output.name].flatten(1)

    def _inputs(self, x: Tensor) -> dict[str, Tensor]:
        inputs = self.network.inputs
        if len(inputs) == 1 and x.shape[1:] == inputs[0].shape:
            return {inputs[0].name: x}
        if x[0].numel() != self.network.input_nodes:
            expected = f"{self.network.input_nodes} features an example"
            raise TopologyError("the input does not fit the network", expected=expected, got=tuple(x.shape))
        parts = torch.split(x.flatten(1), [layer.nodes for layer in inputs], dim=1)
        return {layer.name: part.reshape(len(x), *layer.shape) for layer, part in zip(inputs, parts, strict=True)}


class _Layer(nn.Module):
    """One hidden or output layer."""

    def __init__(self, layer: ResolvedLayer, arrays: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self.name = layer.name
        self.sources = [bundle.source for bundle in layer.bundles]
        self.shape = layer.shape
        self.activation = layer.activation
        self.weight_keys = layer.weight_keys
        self.bias_key = layer.bias_key
        self.bundles = nn.ModuleList(
            _bundle_module(bundle, arrays[key] if key else None)
            for bundle, key in zip(layer.bundles, layer.weight_keys, strict=True)
        )
        self.bias = arrays[layer.bias_key] if layer.bias_key else None

    def arrays(self) -> dict[str, nn.Parameter]:
        found = {
            key: cast("nn.Parameter", bundle.weight)
            for key, bundle in zip(self.weight_keys, self.bundles, strict=True)
            if key is not None
        }
        if self.bias_key is not None and self.bias is not None:
            found[self.bias_key] = self.bias
        return found

    def forward(self, sources: list[Tensor], *, activated: bool) -> Tensor:
        if len(self.bundles) == 1:
            total = self._shaped(self.bundles[0](sources[0], self.bias))
        else:
            total = self._shaped(self.bundles[0](sources[0], None))
            for bundle, source in zip(list(self.bundles)[1:], sources[1:], strict=True):
                total = total + self._shaped(bundle(source, None))
            total = total if self.bias is None else total + self.bias.view(self.shape)
        return activate(total, self.activation) if activated else total

    def _shaped(self, value: Tensor) -> Tensor:
        return value if value.shape[1:] == self.shape else value.reshape(len(value), *self.shape)


def _bundle_module(bundle: ResolvedBundle, weight: nn.Parameter | None) -> nn.Module:
    if isinstance(bundle, PoolBundle):
        return Pool(bundle)
    if isinstance(bundle, NormBundle):
        return ResponseNorm(bundle)
    if weight is None:
        raise TopologyError(f"the bundle from '{bundle.source}' has no weights")
    if isinstance(bundle, FullBundle):
        return Full(weight)
    if isinstance(bundle, FilteredBundle):
        return Filtered(bundle, weight)
    return Convolution(bundle, weight)


def _needed(network: Network) -> set[str]:
    needed = {network.output.name}
    for layer in reversed(network.layers):
        if layer.name in needed:
            needed.update(bundle.source for bundle in layer.bundles)
    return needed


def _unused(arrays: dict[str, nn.Parameter], layers: nn.ModuleList) -> list[nn.Parameter]:
    used = {id(parameter) for parameter in layers.parameters()}
    return [parameter for parameter in arrays.values() if id(parameter) not in used]
