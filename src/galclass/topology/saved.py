"""From a program and its trained weights to a program that contains the weights; no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galclass.errors import TopologyError
from galclass.topology.network import ConvBundle, Network, ResolvedLayer
from galclass.topology.tree import (
    Attribute,
    Bundle,
    Constant,
    Expression,
    Layer,
    Name,
    Number,
    Program,
    Statement,
    Tuple,
    Unary,
)


def resolved(program: Program, network: Network) -> Program:
    """Return a program with the sizes of `auto` layers and all activations written out.

    Parameters
    ----------
    program : Program
        The program of `network`.
    network : Network
        The checked topology.
    """
    return Program(tuple(_resolved(statement, network) for statement in program.statements))


def with_weights(program: Program, network: Network, arrays: Mapping[str, ArrayLike]) -> Program:
    """Return a program whose initial weights and biases are the given arrays, in separate constants.

    Parameters
    ----------
    program : Program
        The program of `network`; its `Weights` and `Biases` are replaced.
    network : Network
        The checked topology.
    arrays : mapping of str to array
        A finite value for each of `network.parameters`, by key, in its shape; written so that float32 is exact.

    Raises
    ------
    TopologyError
        If an array is missing, has another shape than its parameter, or contains infinity or NaN.
    """
    checked = {spec.key: _checked(arrays, spec.key, spec.shape) for spec in network.parameters}
    writer = _Writer(program, network, checked)
    layers = {
        statement.name: writer.layer(statement, network.by_name[statement.name])
        for statement in resolved(program, network).statements
        if isinstance(statement, Layer)
    }
    rest = [layers[s.name] if isinstance(s, Layer) else s for s in program.statements]
    return Program((*writer.constants, *rest))


def _resolved(statement: Statement, network: Network) -> Statement:
    if not isinstance(statement, Layer):
        return statement
    layer = network.by_name[statement.name]
    shape = statement.shape or Tuple(tuple(map(Number, layer.shape)))
    return replace(statement, shape=shape, activation=None if layer.kind == "input" else layer.activation)


def _checked(arrays: Mapping[str, ArrayLike], key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if key not in arrays:
        raise TopologyError("weights are missing", where=key, expected=f"an array of shape {shape}")
    array = np.asarray(arrays[key], dtype=np.float32)
    if array.shape != shape:
        raise TopologyError("weights have a wrong shape", where=key, expected=shape, got=array.shape)
    if not np.isfinite(array).all():
        raise TopologyError("Net# cannot express infinity or NaN", where=key, expected="finite weights")
    return array


class _Writer:
    """Write each array once, at its first use: layers that share it get it from there.

    Shared biases have a separate constant, which every layer names: a layer with other weights needs it.
    """

    def __init__(self, program: Program, network: Network, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        self.constants: list[Constant] = []
        self._arrays = arrays
        self._written: set[str] = set()
        self._biases: dict[str, Name] = {}
        self._layers_of = Counter(layer.bias_key for layer in network.layers)
        self._taken = {s.name for s in program.statements if isinstance(s, Constant | Layer)}
        for statement in program.statements:
            for bundle in statement.bundles if isinstance(statement, Layer) else ():
                if bundle.predicate is not None:
                    self._taken |= {bundle.predicate.source, bundle.predicate.destination}

    def layer(self, layer: Layer, facts: ResolvedLayer) -> Layer:
        """Return a layer with its weights and biases."""
        together = (
            facts.bias_per_kernel
            and isinstance(facts.bundles[0], ConvBundle)
            and self._layers_of[facts.bias_key] == 1
            and not self._written.intersection(facts.keys)
        )
        bundles = [
            self._bundle(bundle, layer.name, number, key, facts.bias_key if together else None)
            for number, (bundle, key) in enumerate(zip(layer.bundles, facts.weight_keys, strict=True))
        ]
        attributes: tuple[Attribute, ...] = ()
        if facts.bias_key is not None and not together:
            attributes = (Attribute("Biases", self._biases_of(facts.bias_key, layer.name)),)
        self._written.update(facts.keys)
        return replace(layer, bundles=tuple(bundles), attributes=attributes)

    def _biases_of(self, key: str, layer: str) -> Name:
        if key not in self._biases:
            self._biases[key] = self._constant(f"{layer}_biases", self._arrays[key])
        return self._biases[key]

    def _bundle(self, bundle: Bundle, layer: str, number: int, key: str | None, bias_key: str | None) -> Bundle:
        kept = tuple(attribute for attribute in bundle.attributes if attribute.name.lower() != "weights")
        if key is None or key in self._written:
            return replace(bundle, attributes=kept)
        values = self._arrays[key]
        if bias_key is not None:  # the language's own order: each kernel's weights, then its bias
            biases = self._arrays[bias_key]
            values = np.concatenate([values.reshape(len(biases), -1), biases[:, None]], axis=1)
        self._written.add(key)
        name = self._constant(f"{layer}_weights{number}", values)
        return replace(bundle, attributes=(*kept, Attribute("Weights", name)))

    def _constant(self, stem: str, values: NDArray[np.float32]) -> Name:
        name = stem
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        self.constants.append(Constant(name, Tuple(tuple(map(_number, _exact(values.ravel()))))))
        return Name(name)


def _exact(values: NDArray[np.float32]) -> list[float]:
    """Return the shortest numbers that become these float32 when read as float64 and rounded."""
    short = np.array([str(value) for value in values], dtype=np.float64)
    exact: list[float] = np.where(short.astype(np.float32) == values, short, values.astype(np.float64)).tolist()
    return exact


def _number(value: float) -> Expression:
    return Unary("-", Number(-value)) if np.signbit(value) else Number(value)
