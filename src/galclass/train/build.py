"""The network of a configuration: the residual default, a Net# text, or a timm model.

Takes the topology's name and the cutout size, returns a `Network` with seeded initial weights.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from galclass.config import TrainConfig
from galclass.errors import TopologyError, TrainingError
from galclass.extras import require
from galclass.morphology import CLASSES
from galclass.topology.network import FullBundle
from galclass.topology.network import Network as Topology
from galclass.train.export import PixelScale
from galclass.train.lite import Lite0Body
from galclass.train.networks import RESIDUAL_SIZES, Network, ResidualBody, check_strides

if TYPE_CHECKING:
    from galclass.topology.compile import NetworkModule

_TIMM = "timm:"

_TIMM_SIZED = ("vit", "deit", "swin", "beit", "eva")
"""Families whose weights depend on the input size, which is passed to timm when the model is made."""

_SKY_NEAR_ZERO = PixelScale(4 / 255, -0.2)
"""Galaxy images are dark: most pixels are below 40 of 255, so a factor of 4 gives values of order one."""


def build_network(config: TrainConfig, size_px: int, *, seed: int, vote_head: bool) -> Network:
    """Make the network that `train.topology` names, on the CPU.

    Raises
    ------
    TrainingError
        If the name is unknown, the extra is not installed, or the topology does not fit the cutouts.
    """
    torch.manual_seed(seed)
    body, width, classes = _body(config, size_px)
    network = Network(
        body,
        width,
        invariant=isinstance(body, ResidualBody),
        views=config.views,
        vote_head=vote_head,
        dropout=config.dropout,
        classes=classes,
        classes_from_votes=config.type == "regression",
        debiased_head=bool(config.debiased_sources) and config.type != "votes",
        raw_head=config.type == "votes",
        other_head=config.type == "votes" and bool(config.other_votes_sources),
    )
    if classes is not None:
        network.netsharp = _netsharp_text(config, size_px)
    if config.init_wts_diameter > 0 and classes is None:
        _uniform_weights(network, config.init_wts_diameter)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's annotation
    return network


def pixel_scale(config: TrainConfig) -> PixelScale:
    """Return what `train.normalize` does to 0..255; "warn" warns and does nothing."""
    if config.normalize == "warn":
        warnings.warn('pixels enter as 0..255; train.normalize = "yes" scales them to order one', stacklevel=2)
    return _SKY_NEAR_ZERO if config.normalize in ("auto", "yes") else PixelScale(1.0, 0.0)


def _body(config: TrainConfig, size_px: int) -> tuple[nn.Module, int, nn.Module | None]:
    topology = config.topology
    if topology in RESIDUAL_SIZES:
        body = ResidualBody(size_px, *RESIDUAL_SIZES[topology])
        if config.reduced_px:
            check_strides(config.reduced_px, "train.reduced_px")
        return body, body.embedding_size, None
    if topology == "lite0":
        lite = Lite0Body()
        return lite, lite.embedding_size, None
    if topology.startswith(_TIMM):
        return _timm_body(topology.removeprefix(_TIMM), size_px)
    return _netsharp_body(config, size_px)


def _timm_body(name: str, size_px: int) -> tuple[nn.Module, int, nn.Module | None]:
    require("timm", what=f"train.topology = {_TIMM + name!r}")
    import timm

    if name not in timm.list_models():
        raise TrainingError("timm has no such model", where="train.topology", got=name, advice="see timm.list_models()")
    sized: dict[str, Any] = {"img_size": size_px} if name.startswith(_TIMM_SIZED) else {}
    body = timm.create_model(name, pretrained=False, num_classes=0, in_chans=3, **sized)
    with torch.no_grad():
        width = body.eval()(torch.zeros(1, 3, size_px, size_px)).shape[1]
    return body.train(), int(width), None


def _netsharp_body(config: TrainConfig, size_px: int) -> tuple[nn.Module, int, nn.Module | None]:
    from galclass.topology.compile import compile_network, initialise

    network = _checked_topology(config, size_px)
    shapes = [layer.shape for layer in network.inputs]
    if shapes not in ([(3, size_px, size_px)], [(3 * size_px**2,)]):
        raise TrainingError(
            "the topology's input is not laid out as a cutout",
            where=config.topology,
            expected=f"one input [3, {size_px}, {size_px}]",
            got=", ".join(str(list(shape)) for shape in shapes),
            advice=f"cutouts are {size_px} px a side; prepare.size_px sets that, and needs another `galclass prepare`",
        )
    module = compile_network(network)
    initialise(module, config.init_wts_diameter or None)
    return cut_before_output(module)


def _checked_topology(config: TrainConfig, size_px: int) -> Topology:
    from galclass.topology.check import load_topology

    sizes: dict[str, Any] = {"hidden_nodes": config.num_hidden_nodes, "n_classes": len(CLASSES)}
    try:
        return load_topology(config.topology, input_nodes=3 * size_px**2, **sizes)
    except TopologyError as error:
        side = _declared_side(config.topology, sizes)
        if side is None or side == size_px:
            raise
        raise TrainingError(
            "the topology takes cutouts of another size",
            where="train.topology",
            expected=f"{size_px} x {size_px} px, as they are prepared",
            got=f"{side} x {side} px",
            advice=f"set prepare.size_px = {side} and prepare again, or give the input the shape "
            f"[3, {size_px}, {size_px}]",
        ) from error


def _declared_side(topology: str, sizes: dict[str, Any]) -> int | None:
    """Return the side of the cutouts that a topology declares; None where it declares none, or has other faults."""
    from galclass.topology.check import load_topology

    try:
        nodes = load_topology(topology, **sizes).input_nodes
    except TopologyError:
        return None
    side = math.isqrt(nodes // 3)
    return side if 3 * side**2 == nodes else None


def _netsharp_text(config: TrainConfig, size_px: int) -> str:
    from galclass.topology.named import topology_text
    from galclass.topology.parse import parse
    from galclass.topology.print_text import print_text
    from galclass.topology.saved import resolved

    text, _ = topology_text(config.topology)
    return print_text(resolved(parse(text), _checked_topology(config, size_px)))


def cut_before_output(module: NetworkModule) -> tuple[nn.Module, int, nn.Module | None]:
    """Split a compiled network into the part up to the last hidden layer, its width, and the output layer.

    An output layer that is not one full bundle, or that shares weights or biases with a hidden layer, stays in the
    body: then the embedding is the logits.
    """
    output = module.network.output
    shared = any(set(layer.keys) & set(output.keys) for layer in module.network.layers if layer is not output)
    if shared or len(output.bundles) != 1 or not isinstance(output.bundles[0], FullBundle):
        return module, len(CLASSES), nn.Identity()
    linear = nn.Linear(output.bundles[0].source_nodes, output.nodes)
    linear.weight = module.arrays.pop(str(output.weight_keys[0]))
    linear.bias = module.arrays.pop(str(output.bias_key))
    module.steps[-1] = _LastHidden()
    return module, linear.in_features, linear


class _LastHidden(nn.Module):
    """Replaces the output layer of a compiled network and passes on its input."""

    def forward(self, sources: list[Tensor], arrays: nn.ParameterDict, *, activated: bool) -> Tensor:
        """Return the last hidden layer, (n, nodes); the output's arrays and activation mean nothing here."""
        del arrays, activated
        return sources[0].flatten(1)


def _uniform_weights(network: nn.Module, diameter: float) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-diameter / 2, diameter / 2)
