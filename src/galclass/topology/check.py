"""From a typed tree to a checked network: sizes, geometry, order and weights, or every fault at once."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from math import prod
from pathlib import Path
from typing import Literal, TypeAlias

from galclass.errors import TopologyError
from galclass.topology.attributes import biases_attribute, given_numbers
from galclass.topology.bundles import BundleResult, resolve_bundle
from galclass.topology.expressions import Evaluator
from galclass.topology.faults import Faults
from galclass.topology.named import topology_text
from galclass.topology.network import (
    ACTIVATIONS,
    Activation,
    ConvBundle,
    FilteredBundle,
    FullBundle,
    Network,
    ResolvedLayer,
)
from galclass.topology.parameters import assign_parameters, bias_count
from galclass.topology.reading import read
from galclass.topology.tree import Bundle, Constant, Layer, Program, Share

Task: TypeAlias = Literal["multi_class", "binary", "regression"]
Shape: TypeAlias = tuple[int, ...]


def load_topology(
    topology: str | Path,
    *,
    input_nodes: int | None = None,
    hidden_nodes: int = 100,
    task: Task = "multi_class",
    n_classes: int | None = None,
) -> Network:
    """Read and check a topology given as text, as a file or by name.

    Parameters
    ----------
    topology : str or Path
        A name in `TOPOLOGY_NAMES`, Net# text (anything with a `;`, a `{` or a line break), or the path of a Net# file.
    input_nodes, hidden_nodes, task, n_classes
        As for `check`.

    Raises
    ------
    TopologyError
        If there is no such file or name, or the text is wrong.
    """
    text, where = topology_text(topology)
    try:
        reading = read(text)
        sizes = _Sizes(input_nodes, hidden_nodes, _known_task(task), n_classes)
        return _Checker(reading.program, sizes, reading.faults, reading.unread).network()
    except TopologyError as error:
        if where is not None:
            error.args = (f"{where}: {error}",)
            error.where = where
        raise


def check(
    program: Program,
    *,
    input_nodes: int | None = None,
    hidden_nodes: int = 100,
    task: Task = "multi_class",
    n_classes: int | None = None,
) -> Network:
    """Check a program and resolve it.

    Parameters
    ----------
    program : Program
        From `parse` or a builder.
    input_nodes : int, optional
        Number of features: the size of an `auto` input; checked against declared inputs if given.
    hidden_nodes : int
        Size of `auto` hidden layers.
    task : {"multi_class", "binary", "regression"}
        Sets the size of an `auto` output and the default activation (linear for regression, else sigmoid).
    n_classes : int, optional
        Size of an `auto` output in a multi-class task; checked against a declared output if given.

    Returns
    -------
    Network
        All layers in topological order.

    Raises
    ------
    TopologyError
        On any fault; several are listed in one error, each with line, column and caret.
    """
    return _Checker(program, _Sizes(input_nodes, hidden_nodes, _known_task(task), n_classes)).network()


def _known_task(task: Task) -> Task:
    if task not in ("multi_class", "binary", "regression"):
        raise TopologyError("unknown task", expected="multi_class, binary or regression", got=task)
    return task


@dataclass(frozen=True)
class _Sizes:
    """The sizes for `auto` layers, as in `check`."""

    input_nodes: int | None
    hidden_nodes: int
    task: Task
    n_classes: int | None


class _Checker:
    """The passes of `check`; each collects its faults, and what depends on them is skipped in the next ones.

    Parameters
    ----------
    program, sizes
        As in `check`.
    syntax_faults : tuple of TopologyError
        The parts of the text that could not be read.
    unread : frozenset of str
        Names in declarations that could not be read.
    """

    def __init__(
        self,
        program: Program,
        sizes: _Sizes,
        syntax_faults: tuple[TopologyError, ...] = (),
        unread: frozenset[str] = frozenset(),
    ) -> None:
        self.program = program
        self.input_nodes, self.hidden_nodes = sizes.input_nodes, sizes.hidden_nodes
        self.task, self.n_classes = sizes.task, sizes.n_classes
        self.faults = Faults(program.text)
        self.faults.found.extend(syntax_faults)
        self.unread = unread
        self.layers: dict[str, Layer] = {}
        self.shapes: dict[str, Shape] = {}

    def network(self) -> Network:
        constants = self._declarations()
        self._check_links()
        evaluator = Evaluator(constants, self.faults, self.unread)
        self._resolve_shapes(evaluator)
        results = {layer.name: self._resolve_bundles(layer, evaluator) for layer in self.layers.values()}
        biases = {layer.name: self._biases(layer, results[layer.name], evaluator) for layer in self.layers.values()}
        activations = {layer.name: self._activation(layer, results[layer.name]) for layer in self.layers.values()}
        self.faults.raise_if_any()
        order = [self._resolved(self.layers[name], results[name], activations[name]) for name in self._order()]
        shares = [statement for statement in self.program.statements if isinstance(statement, Share)]
        layers, parameters = assign_parameters(order, results, biases, shares, self.faults)
        self.faults.raise_if_any()
        return Network(layers, parameters)

    def _declarations(self) -> dict[str, Constant]:
        constants: dict[str, Constant] = {}
        for statement in self.program.statements:
            if isinstance(statement, Constant):
                if statement.name in constants:
                    self.faults.add(self.faults.at(statement, f"constant '{statement.name}' is declared twice"))
                constants.setdefault(statement.name, statement)
            elif isinstance(statement, Layer):
                if statement.name in self.layers:
                    self.faults.add(self.faults.at(statement, f"layer '{statement.name}' is declared twice"))
                self.layers.setdefault(statement.name, statement)
        outputs = [layer for layer in self.layers.values() if layer.kind == "output"]
        for extra in outputs[1:]:
            self.faults.add(self.faults.at(extra, "a network has exactly one output layer", got=f"'{extra.name}' too"))
        if self.faults.found and self.unread:
            return constants  # what seems to be missing may be where the text could not be read
        if not outputs:
            self.faults.add(self.faults.at(self.program, "there is no output layer", expected="exactly one"))
        if not any(layer.kind == "input" for layer in self.layers.values()):
            self.faults.add(self.faults.at(self.program, "there is no input layer", expected="at least one"))
        return constants

    def _check_links(self) -> None:
        for layer in self.layers.values():
            if layer.kind != "input" and not layer.bundles:
                self.faults.add(self.faults.at(layer, f"layer '{layer.name}' has no bundle", expected="from ..."))
            for bundle in layer.bundles:
                self._check_link(layer, bundle)
        if not self.faults.found:
            self._check_cycles()

    def _check_link(self, layer: Layer, bundle: Bundle) -> None:
        source = self.layers.get(bundle.source)
        if source is None and bundle.source in self.unread:
            return
        if source is None:
            near = get_close_matches(bundle.source, self.layers, 1)
            self.faults.add(
                self.faults.at(
                    bundle,
                    f"unknown layer '{bundle.source}'",
                    expected=f"one of {', '.join(self.layers)}",
                    advice=f"perhaps '{near[0]}' is meant" if near else None,
                )
            )
        elif bundle.source == layer.name:
            self.faults.add(self.faults.at(bundle, f"layer '{layer.name}' cannot be its own source"))
        elif source.kind == "output":
            self.faults.add(self.faults.at(bundle, f"the output layer '{source.name}' cannot be a source"))

    def _check_cycles(self) -> None:
        done = set(self._order())
        stuck = [name for name in self.layers if name not in done]
        if not stuck:
            return
        path = [stuck[0]]
        while path[-1] not in path[:-1]:
            path.append(next(b.source for b in self.layers[path[-1]].bundles if b.source not in done))
        cycle = path[path.index(path[-1]) :][::-1]
        self.faults.add(self.faults.at(self.layers[cycle[0]], f"layers form a cycle: {' -> '.join(cycle)}"))

    def _order(self) -> list[str]:
        """Return the layers whose sources can all be computed, sources first, otherwise as declared."""
        done = [name for name, layer in self.layers.items() if layer.kind == "input"]
        waiting = [name for name in self.layers if name not in done]
        while ready := [n for n in waiting if all(b.source in done for b in self.layers[n].bundles)]:
            done.append(ready[0])
            waiting.remove(ready[0])
        return done

    def _resolve_shapes(self, evaluator: Evaluator) -> None:
        for layer in self.layers.values():
            try:
                self.shapes[layer.name] = self._shape(layer, evaluator)
            except TopologyError as error:
                self.faults.add(error)
        inputs = [layer for layer in self.layers.values() if layer.kind == "input"]
        output = next((layer for layer in self.layers.values() if layer.kind == "output"), None)
        if self.unread or output is None or any(layer.name not in self.shapes for layer in (*inputs, output)):
            return
        total = sum(prod(self.shapes[layer.name]) for layer in inputs)
        if inputs and self.input_nodes is not None and total != self.input_nodes:
            what = "the input layers do not fit the data"
            self.faults.add(self.faults.at(inputs[0], what, expected=f"{self.input_nodes} nodes", got=f"{total} nodes"))
        nodes = prod(self.shapes[output.name])
        if self.n_classes is not None and nodes != self.n_classes:
            what = f"the output layer '{output.name}' does not fit the classes"
            self.faults.add(self.faults.at(output, what, expected=f"{self.n_classes} nodes", got=f"{nodes} nodes"))

    def _shape(self, layer: Layer, evaluator: Evaluator) -> Shape:
        if layer.shape is None:
            return (self._auto_nodes(layer, evaluator),)
        value = evaluator.value(layer.shape)
        if not value or not all(type(size) is int and size > 0 for size in value):
            got = f"[{', '.join(map(str, value))}]"
            expected = "positive integers"
            raise self.faults.at(layer.shape, f"layer '{layer.name}' has a wrong shape", expected=expected, got=got)
        return tuple(value)

    def _auto_nodes(self, layer: Layer, evaluator: Evaluator) -> int:
        if layer.kind == "hidden":
            return self.hidden_nodes
        if layer.kind == "output":
            nodes = {"binary": 2, "regression": 1, "multi_class": self.n_classes}[self.task]
            if nodes is None:
                raise self.faults.at(
                    layer, "the size of an auto output is not known", advice="pass the number of classes"
                )
            return nodes
        inputs = [other for other in self.layers.values() if other.kind == "input" and other is not layer]
        if self.input_nodes is None or any(other.shape is None for other in inputs):
            advice = "pass the number of features, and leave only one input auto"
            raise self.faults.at(layer, "the size of an auto input is not known", advice=advice)
        rest = self.input_nodes - sum(prod(self._shape(other, evaluator)) for other in inputs)
        if rest < 1:
            what = f"no features are left for the auto input '{layer.name}'"
            raise self.faults.at(layer, what, got=f"{self.input_nodes} features in all")
        return rest

    def _resolve_bundles(self, layer: Layer, evaluator: Evaluator) -> list[BundleResult]:
        results = []
        has_biases = any(attribute.name.lower() == "biases" for attribute in layer.attributes)
        for bundle in layer.bundles:
            source, shape = self.shapes.get(bundle.source), self.shapes.get(layer.name)
            if source is None or shape is None:
                continue
            try:
                results.append(resolve_bundle(bundle, source, shape, evaluator, self.faults, has_biases=has_biases))
            except TopologyError as error:
                self.faults.add(error)
        return results

    def _biases(self, layer: Layer, results: list[BundleResult], evaluator: Evaluator) -> tuple[float, ...] | None:
        """Return the layer's `Biases`, None if they are not given."""
        found = biases_attribute(layer, self.faults)
        if found is None or len(results) != len(layer.bundles) or layer.name not in self.shapes:
            return None
        count, rule = bias_count([result.bundle for result in results], prod(self.shapes[layer.name]))
        try:
            return given_numbers("Biases", found, count, rule, evaluator, self.faults)
        except TopologyError as error:
            self.faults.add(error)
            return None

    def _resolved(self, layer: Layer, results: list[BundleResult], activation: Activation) -> ResolvedLayer:
        bundles = tuple(result.bundle for result in results)
        return ResolvedLayer(layer.kind, layer.name, self.shapes[layer.name], activation, bundles)

    def _activation(self, layer: Layer, results: list[BundleResult]) -> Activation:
        if layer.activation is None:
            trains = any(isinstance(result.bundle, FullBundle | FilteredBundle | ConvBundle) for result in results)
            return "sigmoid" if trains and self.task != "regression" else "linear"
        for activation in ACTIVATIONS:
            if activation == layer.activation.lower():
                return activation
        error = self.faults.at(
            layer, f"unknown activation '{layer.activation}'", expected=f"one of {', '.join(ACTIVATIONS)}"
        )
        self.faults.add(error)
        return "linear"
