"""Graphs that reach beyond their file, or cost more than their bytes: changes of a sound model, by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hostile_models import (
    conditional,
    constant_node,
    endless_loop,
    external,
    some_tensor,
    weight,
)
from onnx import (
    AttributeProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TrainingInfoProto,
    helper,
    numpy_helper,
)


def external_in_sparse(graph: ModelProto) -> None:
    values = external(numpy_helper.from_array(np.ones(1, np.float32), "sparse"))
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "indices")
    graph.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1]))


def sparse_constant(graph: ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "values")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64), "at"), [1 << 33])
    graph.graph.node.append(helper.make_node("Constant", [], ["unused"], sparse_value=sparse))


def external_in_list(graph: ModelProto) -> None:
    node = graph.graph.node.add(op_type="Identity", input=["mean"], output=["unused"])
    attribute = node.attribute.add(name="more", type=AttributeProto.TENSORS)
    attribute.tensors.append(external(some_tensor()))


def function(graph: ModelProto) -> None:
    graph.functions.append(
        helper.make_function("own", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], [])
    )


def training(graph: ModelProto) -> None:
    info = TrainingInfoProto()
    info.algorithm.initializer.append(external(some_tensor()))
    graph.training_info.append(info)


def location_without_entry(graph: ModelProto) -> None:
    weight(graph, "w2").data_location = TensorProto.EXTERNAL


def deep(graph: ModelProto) -> None:
    node = constant_node(some_tensor())
    for _ in range(12):
        result = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
        inner = helper.make_graph([node], "inner", [], [result])
        node = helper.make_node("If", ["truth"], ["unused"], then_branch=inner)
    graph.graph.node.append(node)


def larger_than_its_data(graph: ModelProto) -> None:
    tensor = graph.graph.initializer.add(name="huge", data_type=TensorProto.FLOAT)
    tensor.dims.extend([1 << 20, 6000])


def pool(**attributes: object) -> Callable[[ModelProto], None]:
    """Let the graph have one more pooling."""
    return lambda g: g.graph.node.append(helper.make_node("MaxPool", ["scaled"], ["unused"], **attributes))


def convolution(side: int | None) -> Callable[[ModelProto], None]:
    """Let the graph have a convolution without kernel_shape; its weights are computed where no side is given."""

    def change(graph: ModelProto) -> None:
        if side is None:
            graph.graph.initializer.append(numpy_helper.from_array(np.array([3, 3, 9000, 9000]), "sides"))
            graph.graph.node.append(helper.make_node("ConstantOfShape", ["sides"], ["kernel"]))
        else:
            graph.graph.initializer.append(numpy_helper.from_array(np.ones((1, 3, side, side), np.float32), "kernel"))
        graph.graph.node.append(helper.make_node("Conv", ["scaled", "kernel"], ["unused"]))

    return change


SMALL = np.ones((1, 3, 3, 3), np.float32)


def initializer(graph: ModelProto, name: str, value: np.ndarray) -> None:
    graph.graph.initializer.append(numpy_helper.from_array(value, name))


def constant(output: str, value: np.ndarray, inner: str = "inner") -> NodeProto:
    return helper.make_node("Constant", [], [output], value=numpy_helper.from_array(value, inner))


def enlarged(graph: ModelProto, output: str) -> NodeProto:
    """A node that makes weights with windows of 300 x 300 from one number."""
    initializer(graph, "sides", np.array([1, 3, 300, 300]))
    initializer(graph, "number", np.ones((1, 1, 1, 1), np.float32))
    return helper.make_node("Expand", ["number", "sides"], [output])


def convolve(graph: ModelProto, *nodes: NodeProto, weights: str = "kernel") -> None:
    graph.graph.node.extend([*nodes, helper.make_node("Conv", ["scaled", weights], ["convolved"])])


def named_by_an_attribute(graph: ModelProto) -> None:
    """The attack that worked: onnxruntime knows no tensor by the name it has inside an attribute."""
    convolve(graph, constant("unused", SMALL, "kernel"), enlarged(graph, "kernel"))


def also_an_output(graph: ModelProto) -> None:
    initializer(graph, "kernel", SMALL)
    convolve(graph, enlarged(graph, "kernel"))


def two_initializers(graph: ModelProto) -> None:
    initializer(graph, "kernel", SMALL)
    initializer(graph, "kernel", SMALL)
    convolve(graph)


def shadowed(graph: ModelProto) -> None:
    initializer(graph, "kernel", SMALL)
    nodes = conditional(enlarged(graph, "unused"))
    for attribute in nodes[-1].attribute:
        attribute.g.node[0].output[0] = "kernel"
        attribute.g.node.append(helper.make_node("Conv", ["scaled", "kernel"], ["unused"]))
    graph.graph.node.extend(nodes)


def shadowed_by_an_input(graph: ModelProto) -> None:
    shadowed(graph)
    for attribute in graph.graph.node[-1].attribute:
        del attribute.g.node[0]
        attribute.g.input.add(name="kernel")


def the_images(graph: ModelProto) -> None:
    initializer(graph, "cutouts", SMALL)
    convolve(graph, weights="cutouts")


def two_constants_in_one(graph: ModelProto) -> None:
    node = constant("kernel", SMALL)
    node.attribute.append(node.attribute[0])
    convolve(graph, node)


def dequantized(source: str, *before: NodeProto) -> Callable[[ModelProto], None]:
    def change(graph: ModelProto) -> None:
        initializer(graph, "whole", SMALL.astype(np.int8))
        initializer(graph, "step", np.array(0.5, np.float32))
        convolve(graph, *before, helper.make_node("DequantizeLinear", [source, "step"], ["kernel"]))

    return change


def computed_then_dequantized(graph: ModelProto) -> None:
    initializer(graph, "wide", np.array([1, 3, 300, 300]))
    dequantized("large", helper.make_node("Expand", ["whole", "wide"], ["large"]))(graph)


def operator(name: str, **attributes: object) -> Callable[[ModelProto], None]:
    return lambda g: g.graph.node.append(helper.make_node(name, ["mean"], ["unused"], **attributes))


REFUSED = {
    "external initialiser": (lambda g: external(weight(g, "w2")), "external data"),
    "external location alone": (location_without_entry, "external data"),
    "external constant": (lambda g: g.graph.node.append(constant_node(external(some_tensor()))), "external data"),
    "external in a list": (external_in_list, "external data"),
    "external in an If": (
        lambda g: g.graph.node.extend(conditional(constant_node(external(some_tensor())))), "external data",
    ),
    "external in sparse": (external_in_sparse, "sparse"),
    "sparse constant": (sparse_constant, "sparse"),
    "function": (function, "functions of its own"),
    "training information": (training, "training information"),
    "foreign domain": (
        lambda g: g.graph.node.append(helper.make_node("Gelu", ["mean"], ["unused"], domain="com.microsoft")),
        "domain 'com.microsoft'",
    ),
    "foreign domain in an If": (
        lambda g: g.graph.node.extend(
            conditional(helper.make_node("EPContext", [], ["unused"], domain="com.microsoft", main_context=1))
        ),
        "domain 'com.microsoft'",
    ),
    "foreign domain imported": (lambda g: g.opset_import.append(helper.make_opsetid("own", 1)), "domain 'own'"),
    "endless loop": (endless_loop, "operator 'Loop'"),
    "recurrence": (operator("LSTM", hidden_size=1), "operator 'LSTM'"),
    "boxes": (operator("NonMaxSuppression"), "operator 'NonMaxSuppression'"),
    "regions": (operator("RoiAlign", sampling_ratio=1 << 30), "operator 'RoiAlign'"),
    "a decoder": (operator("ImageDecoder"), "operator 'ImageDecoder'"),
    "chance": (operator("RandomNormalLike"), "operator 'RandomNormalLike'"),
    "recurrence in an If": (
        lambda g: g.graph.node.extend(conditional(helper.make_node("RNN", ["mean"], ["unused"], hidden_size=1))),
        "operator 'RNN'",
    ),
    "windows over all": (pool(kernel_shape=[5000, 5000], pads=[4999] * 4), "MaxPool with windows of 5000 x 5000"),
    "windows that overlap": (pool(kernel_shape=[1000, 1000], strides=[2, 2]), "MaxPool with windows of 1000 x 1000"),
    "steps backwards": (pool(kernel_shape=[1000, 1000], strides=[-1, -1]), "MaxPool with windows of 1000 x 1000"),
    "a large kernel": (convolution(200), "Conv with windows of 200 x 200"),
    "a computed kernel": (convolution(None), "Conv whose window is not known"),
    "a kernel named by an attribute": (named_by_an_attribute, "Conv whose window is not known"),
    "a kernel that is also an output": (also_an_output, "Conv whose window is not known"),
    "two kernels of one name": (two_initializers, "two initialisers called 'kernel'"),
    "a kernel shadowed in an If": (shadowed, "Conv whose window is not known"),
    "a kernel shadowed by an input": (shadowed_by_an_input, "Conv whose window is not known"),
    "images as a kernel": (the_images, "Conv whose window is not known"),
    "two constant kernels in one": (two_constants_in_one, "two attributes of one name"),
    "a kernel computed, then dequantized": (computed_then_dequantized, "Conv whose window is not known"),
    "a large constant kernel": (
        lambda g: convolve(g, constant("kernel", np.ones((1, 3, 200, 200), np.float32))), "windows of 200 x 200",
    ),
    "a constant text": (
        lambda g: g.graph.node.append(helper.make_node("Constant", [], ["unused"], value_string="a")), "of strings",
    ),
    "a Cast to strings": (operator("Cast", to=TensorProto.STRING), "a Cast to strings"),
    "texts": (
        lambda g: g.graph.initializer.append(numpy_helper.from_array(np.array(["a"], object), "text")), "string tensor",
    ),
    "dimensions without end": (
        lambda g: g.graph.initializer.add(name="deep", data_type=1, raw_data=b"0000").dims.extend([1] * 65),
        "more than 64 dimensions",
    ),
    "deep": (deep, "nested more than 8 deep"),
    "larger than its data": (larger_than_its_data, "larger than its data"),
}  # fmt: skip
