"""Models that attack whoever opens or runs them, made from the tiny one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from tiny_model import EMBEDDING, signed, tiny_graph, tiny_signature


def model(change: Callable[[ModelProto], object]) -> bytes:
    """The tiny model without a probe, after a change to its graph."""
    graph = tiny_graph()
    change(graph)
    return signed(graph, tiny_signature())


def external(tensor: TensorProto, location: str = "secret.bin") -> TensorProto:
    """The tensor with its data in another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return tensor


def weight(graph: ModelProto, name: str) -> TensorProto:
    """An initialiser by name."""
    return next(tensor for tensor in graph.graph.initializer if tensor.name == name)


def some_tensor() -> TensorProto:
    return numpy_helper.from_array(np.zeros((EMBEDDING, 13), np.float32), "w2")


def constant_node(tensor: TensorProto) -> NodeProto:
    return helper.make_node("Constant", [], ["unused"], value=tensor)


def conditional(branch_node: NodeProto) -> list[NodeProto]:
    """An If whose branches hold a node that gives "unused"."""
    unused = helper.make_tensor_value_info("unused", TensorProto.FLOAT, None)
    branch = helper.make_graph([branch_node], "branch", [], [unused])
    truth = numpy_helper.from_array(np.array(True), "truth")
    return [
        helper.make_node("Constant", [], ["truth"], value=truth),
        helper.make_node("If", ["truth"], ["chosen"], then_branch=branch, else_branch=branch),
    ]


def endless_loop(graph: ModelProto) -> None:
    """Let the probabilities go through a loop that never ends."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["go_on"]), helper.make_node("Identity", ["value"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, ["n", 13]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["n", 13]),
        ],
    )
    graph.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    graph.graph.node[-1].output[0] = "first"
    graph.graph.node.append(helper.make_node("Loop", ["", "always", "first"], ["probabilities"], body=body))


def constant_of(elements: int) -> Callable[[ModelProto], None]:
    """Add the sum of so many zeros, made when the graph runs, to the embedding."""

    def change(graph: ModelProto) -> None:
        graph.graph.initializer.append(numpy_helper.from_array(np.array([elements]), "many"))
        _through(graph, "embedding", [
            helper.make_node("ConstantOfShape", ["many"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0),
            helper.make_node("Add", ["raw_embedding", "nothing"], ["embedding"]),
        ])  # fmt: skip

    return change


def slow(products: int, size: int = 700) -> Callable[[ModelProto], None]:
    """Multiply matrices so many times, one operator after the other."""

    def change(graph: ModelProto) -> None:
        graph.graph.initializer.append(numpy_helper.from_array(np.array([size, size]), "square"))
        nodes = [helper.make_node("ConstantOfShape", ["square"], ["m0"])]
        nodes += [helper.make_node("MatMul", [f"m{n}", f"m{n}"], [f"m{n + 1}"]) for n in range(products)]
        nodes += [
            helper.make_node("ReduceSum", [f"m{products}"], ["nothing"], keepdims=0),
            helper.make_node("Add", ["raw_embedding", "nothing"], ["embedding"]),
        ]
        _through(graph, "embedding", nodes)

    return change


def scaled(output: str, factor: float) -> Callable[[ModelProto], None]:
    """Multiply an output."""

    def change(graph: ModelProto) -> None:
        graph.graph.initializer.append(numpy_helper.from_array(np.float32(factor), "factor"))
        _through(graph, output, [helper.make_node("Mul", [f"raw_{output}", "factor"], [output])])

    return change


def _through(graph: ModelProto, output: str, nodes: list[NodeProto]) -> None:
    """Rename what gives an output to raw_OUTPUT, and let nodes make the output from it."""
    for node in graph.graph.node:
        for names in (node.input, node.output):
            for number, name in enumerate(names):
                if name == output:
                    names[number] = f"raw_{output}"
    graph.graph.node.extend(nodes)


def insert_after(graph: ModelProto, operator: str, output: str, nodes: list[NodeProto]) -> None:
    """Rename the output of an operator's only node and add nodes after it."""
    before = list(graph.graph.node)
    at = next(number for number, node in enumerate(before) if node.op_type == operator)
    before[at].output[0] = output
    after = before[: at + 1] + nodes + before[at + 1 :]
    del graph.graph.node[:]
    graph.graph.node.extend(after)
