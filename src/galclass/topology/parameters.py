"""Which weights and biases a network trains, which of them are shared, and which have given initial values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from galclass.errors import TopologyError
from galclass.topology.bundles import BundleResult
from galclass.topology.faults import Faults
from galclass.topology.network import ConvBundle, FilteredBundle, FullBundle, Parameter, ResolvedBundle, ResolvedLayer
from galclass.topology.tree import Share, ShareMember

_TRAINABLE = (FullBundle, FilteredBundle, ConvBundle)


@dataclass
class _Slot:
    """One array before sharing: its key, what must be equal for sharing, and its size."""

    key: str
    label: str
    signature: object
    parameter: Parameter
    root: _Slot | None = None


@dataclass
class _Slots:
    """All arrays of a network; sharing joins slots, and the earliest keeps its key."""

    weights: dict[tuple[str, int], _Slot] = field(default_factory=dict)
    biases: dict[str, _Slot] = field(default_factory=dict)

    def all(self) -> Iterable[_Slot]:
        yield from self.weights.values()
        yield from self.biases.values()


def assign_parameters(
    layers: list[ResolvedLayer],
    results: dict[str, list[BundleResult]],
    biases: dict[str, tuple[float, ...] | None],
    shares: list[Share],
    faults: Faults,
) -> tuple[tuple[ResolvedLayer, ...], tuple[Parameter, ...]]:
    """Assign a key to every trainable array, join the shared ones, and store given weights.

    Parameters
    ----------
    layers : list of ResolvedLayer
        In topological order, without keys.
    results : dict of str to list of BundleResult
        The bundles of each layer that has some.
    biases : dict of str to tuple of float or None
        The `Biases` of each layer that has them.
    shares : list of Share
        The program's share statements.
    faults : Faults
        Collects faults in the shares.
    """
    slots = _Slots()
    for layer in layers:
        _open_slots(slots, layer, results.get(layer.name, []), biases.get(layer.name))
    by_name = {layer.name: layer for layer in layers}
    for share in shares:
        try:
            _share(share, by_name, slots, faults)
        except TopologyError as error:
            faults.add(error)
    order = {slot.key: number for number, slot in enumerate(_in_layer_order(slots, layers))}
    keyed = tuple(_keyed(layer, slots) for layer in layers)
    roots = {_root(slot).key: _root(slot).parameter for slot in slots.all()}
    return keyed, tuple(roots[key] for key in sorted(roots, key=order.__getitem__))


def _in_layer_order(slots: _Slots, layers: list[ResolvedLayer]) -> Iterable[_Slot]:
    for layer in layers:
        for number in range(len(layer.bundles)):
            if (layer.name, number) in slots.weights:
                yield slots.weights[layer.name, number]
        if layer.name in slots.biases:
            yield slots.biases[layer.name]


def bias_count(bundles: Sequence[ResolvedBundle], nodes: int) -> tuple[int, str]:
    """Return how many biases a layer with these bundles and this many nodes has, and the rule for it."""
    if not any(isinstance(bundle, _TRAINABLE) for bundle in bundles):
        return 0, "none: a layer of pools and response norms has no biases"
    if len(bundles) == 1 and isinstance(bundles[0], ConvBundle):
        return bundles[0].kernels, f"one for each of {bundles[0].kernels} kernels"
    return nodes, f"one for each of {nodes} nodes"


def _open_slots(
    slots: _Slots, layer: ResolvedLayer, results: list[BundleResult], given: tuple[float, ...] | None
) -> None:
    trainable = [bundle for bundle in layer.bundles if isinstance(bundle, _TRAINABLE)]
    if not trainable:
        return
    fan_in = sum(map(_fan_in, trainable))
    for number, result in enumerate(results):
        if not isinstance(result.bundle, _TRAINABLE):
            continue
        key = f"{layer.name}/{number}/weights"
        initial = result.given if given is not None else _given_weights(result)
        parameter = Parameter(key, result.bundle.weight_shape, fan_in, initial)
        label = f"{result.bundle.source} => {layer.name}"
        slots.weights[layer.name, number] = _Slot(key, label, _signature(result.bundle), parameter)
    key = f"{layer.name}/bias"
    biases, _ = bias_count(layer.bundles, layer.nodes)
    parameter = Parameter(key, (biases,), 0, given if given is not None else _given_biases(layer, results))
    slots.biases[layer.name] = _Slot(key, f"1 => {layer.name}", (biases, _per_kernel(layer)), parameter)


def _per_kernel(layer: ResolvedLayer) -> bool:
    return len(layer.bundles) == 1 and isinstance(layer.bundles[0], ConvBundle)


def _fan_in(bundle: FullBundle | FilteredBundle | ConvBundle) -> int:
    if isinstance(bundle, FullBundle):
        return bundle.source_nodes
    if isinstance(bundle, ConvBundle):
        return bundle.geometry.kernel_nodes
    return int(np.bincount(bundle.edges[:, 0]).max())


def _signature(bundle: FullBundle | FilteredBundle | ConvBundle) -> object:
    return replace(bundle, source="")


def _given_weights(result: BundleResult) -> tuple[float, ...] | None:
    if result.given is None or not isinstance(result.bundle, ConvBundle):
        return result.given
    table = np.reshape(result.given, (result.bundle.kernels, -1))
    return tuple(table[:, :-1].ravel().tolist())


def _given_biases(layer: ResolvedLayer, results: list[BundleResult]) -> tuple[float, ...] | None:
    given = [
        (result.bundle, np.reshape(result.given, (result.bundle.kernels, -1))[:, -1])
        for result in results
        if result.given is not None and isinstance(result.bundle, ConvBundle)
    ]
    if not given:
        return None
    if _per_kernel(layer):
        return tuple(given[0][1].tolist())
    nodes = sum(biases[bundle.kernel_of_node()].ravel() for bundle, biases in given)
    return tuple(np.asarray(nodes).tolist())


def _share(share: Share, layers: dict[str, ResolvedLayer], slots: _Slots, faults: Faults) -> None:
    styles = {_style(member) for member in share.members}
    if len(styles) > 1:
        raise faults.at(share, "a share mixes layers, bundles and biases", expected="members of one kind")
    first, *others = share.members
    for member in share.members:
        _check_member(member, layers, slots, faults)
    for other in others:
        pairs = _pairs(first, other, layers, slots, faults)
        for one, two in pairs:
            _join(one, two, other, faults)


def _style(member: ShareMember) -> str:
    if member.source is None:
        return "layer"
    return "bias" if member.source.isdigit() else "bundle"


def _check_member(member: ShareMember, layers: dict[str, ResolvedLayer], slots: _Slots, faults: Faults) -> None:
    if member.layer not in layers:
        raise faults.at(member, f"unknown layer '{member.layer}'", expected=", ".join(layers))
    if member.layer not in slots.biases:
        raise faults.at(member, f"layer '{member.layer}' has no weights to share")
    if member.source is not None and member.source.isdigit() and member.source != "1":
        raise faults.at(member, "biases are shared as 1 => LAYER", got=member.source)


def _pairs(
    first: ShareMember, other: ShareMember, layers: dict[str, ResolvedLayer], slots: _Slots, faults: Faults
) -> list[tuple[_Slot, _Slot]]:
    if _style(first) == "bias":
        return [(slots.biases[first.layer], slots.biases[other.layer])]
    if _style(first) == "bundle":
        return [(_bundle_slot(first, layers, slots, faults), _bundle_slot(other, layers, slots, faults))]
    ones = [slot for (name, _), slot in slots.weights.items() if name == first.layer]
    twos = [slot for (name, _), slot in slots.weights.items() if name == other.layer]
    if len(ones) != len(twos):
        what = f"layers '{first.layer}' and '{other.layer}' have different numbers of trainable bundles"
        raise faults.at(other, what, expected=len(ones), got=len(twos))
    return [*zip(ones, twos, strict=True), (slots.biases[first.layer], slots.biases[other.layer])]


def _bundle_slot(member: ShareMember, layers: dict[str, ResolvedLayer], slots: _Slots, faults: Faults) -> _Slot:
    bundles = enumerate(layers[member.layer].bundles)
    numbers = [number for number, bundle in bundles if bundle.source == member.source]
    numbers = [number for number in numbers if (member.layer, number) in slots.weights]
    if len(numbers) != 1:
        what = f"no single trainable bundle from '{member.source}' to '{member.layer}'"
        raise faults.at(member, what, expected=1, got=len(numbers))
    return slots.weights[member.layer, numbers[0]]


def _join(one: _Slot, two: _Slot, member: ShareMember, faults: Faults) -> None:
    if one.signature != two.signature:
        raise faults.at(
            member,
            f"unequal geometry cannot be shared: '{one.label}' and '{two.label}'",
            expected=_describe(one),
            got=_describe(two),
        )
    first, second = _root(one), _root(two)
    if first is second:
        return
    given, other = first.parameter.initial, second.parameter.initial
    if given is not None and other is not None and given != other:
        raise faults.at(member, f"'{one.label}' and '{two.label}' are shared but have different Weights or Biases")
    first.parameter = replace(first.parameter, initial=given if given is not None else other)
    second.root = first


def _describe(slot: _Slot) -> str:
    signature = slot.signature
    if isinstance(signature, ConvBundle):
        kernel = "x".join(map(str, signature.geometry.kernel_shape))
        positions = "x".join(map(str, signature.geometry.positions))
        return f"{signature.kernels} kernels of {kernel} at {positions} positions"
    if isinstance(signature, FilteredBundle):
        return f"{len(signature.edges)} edges, {signature.source_nodes} to {signature.nodes} nodes"
    if isinstance(signature, FullBundle):
        return f"{signature.source_nodes} to {signature.nodes} nodes"
    return f"{prod(slot.parameter.shape)} biases"


def _root(slot: _Slot) -> _Slot:
    while slot.root is not None:
        slot = slot.root
    return slot


def _keyed(layer: ResolvedLayer, slots: _Slots) -> ResolvedLayer:
    if layer.name not in slots.biases:
        return replace(layer, weight_keys=(None,) * len(layer.bundles))
    found = [slots.weights.get((layer.name, number)) for number in range(len(layer.bundles))]
    keys = tuple(_root(slot).key if slot is not None else None for slot in found)
    return replace(
        layer, weight_keys=keys, bias_key=_root(slots.biases[layer.name]).key, bias_per_kernel=_per_kernel(layer)
    )
