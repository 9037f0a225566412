"""One compiled layer: the sum of its bundles, its biases, its activation."""

from __future__ import annotations

from torch import Tensor, nn

from galclass.topology.compile.activations import activate
from galclass.topology.compile.convolution import Convolution
from galclass.topology.compile.linear import Filtered, Full
from galclass.topology.compile.pooling import Pool, ResponseNorm
from galclass.topology.network import FilteredBundle, FullBundle, NormBundle, PoolBundle, ResolvedBundle, ResolvedLayer


class CompiledLayer(nn.Module):
    """One hidden or output layer; its weights are passed in, because layers may share them.

    Parameters
    ----------
    layer : ResolvedLayer
        The checked layer.
    """

    def __init__(self, layer: ResolvedLayer) -> None:
        super().__init__()
        self.name = layer.name
        self.sources = [bundle.source for bundle in layer.bundles]
        self.shape = layer.shape
        self.activation = layer.activation
        self.weight_keys = layer.weight_keys
        self.bias_key = layer.bias_key
        self.bundles = nn.ModuleList(map(_bundle_module, layer.bundles))

    def forward(self, sources: list[Tensor], arrays: nn.ParameterDict, *, activated: bool) -> Tensor:
        """Compute the layer.

        Parameters
        ----------
        sources : list of floating, (n, *source shape)
            Values of the source layer of each bundle.
        arrays : ParameterDict
            All trainable arrays of the network.
        activated : bool
            Whether the activation is applied.

        Returns
        -------
        floating, (n, *shape)
        """
        bias = None if self.bias_key is None else arrays[self.bias_key]
        weights = [None if key is None else arrays[key] for key in self.weight_keys]
        if len(self.bundles) == 1:
            total = self._shaped(self.bundles[0](sources[0], weights[0], bias))
        else:
            parts = zip(self.bundles, sources, weights, strict=True)
            values = [self._shaped(bundle(source, weight, None)) for bundle, source, weight in parts]
            total = values[0] if bias is None else values[0] + bias.view(self.shape)
            for value in values[1:]:
                total = total + value
        return activate(total, self.activation) if activated else total

    def _shaped(self, value: Tensor) -> Tensor:
        return value if value.shape[1:] == self.shape else value.reshape(value.shape[0], *self.shape)


def _bundle_module(bundle: ResolvedBundle) -> nn.Module:
    if isinstance(bundle, PoolBundle):
        return Pool(bundle)
    if isinstance(bundle, NormBundle):
        return ResponseNorm(bundle)
    if isinstance(bundle, FullBundle):
        return Full()
    return Filtered(bundle) if isinstance(bundle, FilteredBundle) else Convolution(bundle)
