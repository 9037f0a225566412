"""What could reach beyond an ONNX file's own bytes is refused wherever it stands, before a session opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile_models import (
    conditional,
    constant_node,
    endless_loop,
    external,
    model,
    some_tensor,
    weight,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import (
    AttributeProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TrainingInfoProto,
    defs,
    helper,
    load_from_string,
    numpy_helper,
)
from onnxruntime import InferenceSession, SessionOptions
from tiny_model import signed, tiny_graph, tiny_model, tiny_signature

from galclass.errors import ModelError
from galclass.scoring import METADATA_KEY, Scorer, graph, shipped_model
from galclass.scoring.graph import check_graph
from galclass.scoring.operators import OPERATORS


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
        lambda g: g.graph.node.append(helper.make_node("Constant", [], ["unused"], value_string="a")), "of texts",
    ),
    "a Cast to texts": (operator("Cast", to=TensorProto.STRING), "a Cast to texts"),
    "texts": (
        lambda g: g.graph.initializer.append(numpy_helper.from_array(np.array(["a"], object), "text")), "of texts",
    ),
    "dimensions without end": (
        lambda g: g.graph.initializer.add(name="deep", data_type=1, raw_data=b"0000").dims.extend([1] * 65),
        "more than 64 dimensions",
    ),
    "deep": (deep, "nested more than 8 deep"),
    "larger than its data": (larger_than_its_data, "larger than its data"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_reaches_beyond_the_file_is_refused(name: str) -> None:
    change, match = REFUSED[name]
    with pytest.raises(ModelError, match=match):
        Scorer(model(change))


@pytest.mark.parametrize("data", [shipped_model, tiny_model, lambda: model(lambda g: None)])
def test_honest_models_pass_and_keep_their_metadata(data) -> None:
    value = data()
    assert METADATA_KEY in check_graph(value)
    Scorer(value)


def test_an_honest_conditional_passes() -> None:
    Scorer(model(lambda g: g.graph.node.extend(conditional(constant_node(some_tensor())))))


@pytest.mark.parametrize(
    "change", [convolution(16), pool(kernel_shape=[32, 32]), pool(kernel_shape=[512, 512], strides=[512, 512])]
)
def test_honest_windows_pass(change: Callable[[ModelProto], None]) -> None:
    check_graph(model(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda g: convolve(g, constant("kernel", SMALL)),
        lambda g: convolve(g, constant("kernel", SMALL, "kernel")),
        dequantized("whole"),
        dequantized("constant", constant("constant", SMALL.astype(np.int8))),
        lambda g: g.graph.node.append(helper.make_node("CastLike", ["mean", "scaled"], ["unused"])),
    ],
    ids=["constant", "constant of the same name", "dequantized", "dequantized constant", "CastLike"],
)
def test_honest_weights_and_casts_pass(change: Callable[[ModelProto], None]) -> None:
    Scorer(model(change))


def test_weights_listed_as_inputs_pass() -> None:
    """Files before the fourth version of ONNX's format name every initialiser there."""
    graph = ModelProto()
    initializer(graph, "kernel", SMALL)
    graph.graph.input.add(name="kernel")
    convolve(graph)
    check_graph(graph.SerializeToString())


def test_every_operator_on_the_list_is_onnxs_own() -> None:
    assert {schema.name for schema in defs.get_all_schemas() if not schema.domain} >= OPERATORS


def test_a_file_beside_the_process_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack that worked: without the check onnxruntime reads the file."""
    monkeypatch.chdir(tmp_path)
    secret = np.random.default_rng(0).normal(size=(8, 13)).astype(np.float32)
    Path("secret.bin").write_bytes(secret.tobytes())
    data = model(lambda g: external(weight(g, "w2")))
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    InferenceSession(path, SessionOptions(), providers=["CPUExecutionProvider"])  # reads it
    for source in (data, path):
        with pytest.raises(ModelError, match="external data"):
            Scorer(source)


def test_a_file_in_ort_format_is_refused() -> None:
    with pytest.raises(ModelError, match="ORT format"):
        Scorer(b"\x18\0\0\0ORTM" + tiny_model())


def test_metadata_twice_is_refused() -> None:
    graph = tiny_graph()
    signed(graph, tiny_signature())
    graph.metadata_props.add(key=METADATA_KEY, value="{}")
    with pytest.raises(ModelError, match="twice"):
        Scorer(graph.SerializeToString())


def test_a_graph_in_two_pieces_is_refused() -> None:
    """Protobuf merges a field that comes twice."""
    extra = ModelProto()
    extra.graph.initializer.append(some_tensor())
    with pytest.raises(ModelError, match="field 7 of one model twice"):
        check_graph(extra.SerializeToString() + tiny_model())


def field(number: int, value: int | bytes) -> bytes:
    """A protobuf field of a small number, or of a few bytes."""
    if isinstance(value, bytes):
        return bytes([number << 3 | 2, len(value)]) + value
    tag = number << 3
    text, value = bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, 1]), value & (1 << 64) - 1
    while value > 127:
        text, value = text + bytes([value & 127 | 128]), value >> 7
    return text + bytes([value])


def with_node(*attributes: bytes, operator: bytes = b"Identity", more: bytes = b"") -> bytes:
    """The tiny model and one more operator, written by hand into a graph of its own model."""
    node = field(1, b"mean") + field(2, b"unused") + field(4, operator) + b"".join(field(5, one) for one in attributes)
    return field(7, field(1, node + more))


def with_tensor(tensor: bytes) -> bytes:
    return field(7, field(5, tensor))


NAME = field(1, b"to")
AMBIGUOUS = {
    "one number and several": (with_node(NAME + field(3, 8) + field(8, 1) + field(20, 2)), "values of several kinds"),
    "a number and a tensor": (with_node(NAME + field(3, 1) + field(5, b"") + field(20, 2)), "values of several kinds"),
    "a number that says it is a list": (with_node(NAME + field(3, 1) + field(20, 7)), "another type than it says"),
    "a text that says it is a number": (with_node(NAME + field(4, b"a") + field(20, 2)), "another type than it says"),
    "a number twice": (with_node(NAME + field(3, 1) + field(3, 8) + field(20, 2)), "field 3 of one attribute twice"),
    "a type twice": (with_node(NAME + field(3, 1) + field(20, 7) + field(20, 2)), "field 20 of one attribute twice"),
    "a tensor in two pieces": (with_node(NAME + field(5, b"") * 2 + field(20, 4)), "field 5 of one attribute twice"),
    "an attribute twice": (with_node(*[NAME + field(3, 1) + field(20, 2)] * 2), "two attributes of one name"),
    "an attribute that stands for another": (with_node(NAME + b"\xaa\x01\x01x"), "attributes that stand for others"),
    "an operator twice": (with_node(more=field(4, b"Loop")), "field 4 of one node twice"),
    "a domain twice": (with_node(more=field(7, b"") * 2), "field 7 of one node twice"),
    "a Cast to 2**32 + 8": (
        with_node(NAME + field(3, (1 << 32) + 8) + field(20, 2), operator=b"Cast"), "a Cast to texts",
    ),
    "a Cast to 0": (with_node(NAME + field(3, 0) + field(20, 2), operator=b"Cast"), "a Cast to texts"),
    "a tensor of type 2**32 + 8": (with_tensor(field(2, (1 << 32) + 8)), "a tensor of an impossible type"),
    "data of two kinds": (with_tensor(field(2, 1) + field(4, bytes(4)) + field(9, bytes(4))), "data of several kinds"),
    "raw data twice": (with_tensor(field(2, 1) + field(9, bytes(4)) * 2), "field 9 of one tensor twice"),
    "a name twice": (with_tensor(field(8, b"a") + field(8, b"b")), "field 8 of one tensor twice"),
    "texts of another type": (with_tensor(field(2, 1) + field(6, b"a")), "texts"),
    "two versions of the operators": (field(8, field(2, 9)) + field(8, field(1, b"ai.onnx")), "two versions"),
    "a version twice": (field(8, field(2, 9) + field(2, 17)), "field 2 of one opset twice"),
    "a number of 65 bits": (with_node(NAME + b"\x18" + b"\x88" + b"\x80" * 8 + b"\x02"), "more than 64 bits"),
    "metadata with two values": (field(14, field(1, b"a") + field(2, b"b") + field(2, b"c")), "of metadata twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_readers_may_take_for_different_models_is_refused(name: str) -> None:
    data, match = AMBIGUOUS[name]
    with pytest.raises(ModelError, match=match):
        check_graph(data)


def test_attributes_without_a_type_as_in_old_files_pass() -> None:
    check_graph(with_node(NAME + field(3, 1), operator=b"Cast"))


def test_more_than_the_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, match in (
        ("MAX_MODEL_BYTES", 100, "too large"),
        ("MAX_FIELDS", 20, "more than 20 fields"),
        ("MAX_NODES", 3, "more than 3 operators"),
    ):
        monkeypatch.setattr(graph, name, value)
        with pytest.raises(ModelError, match=match):
            check_graph(tiny_model())
        monkeypatch.undo()


def test_a_longer_file_than_allowed_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ModelError):
        Scorer(path)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.integers(0, len(tiny_model()) - 1), st.binary(min_size=1, max_size=6))
def test_damaged_bytes_are_refused_or_read_as_onnx_reads_them(position: int, patch: bytes) -> None:
    data = tiny_model()
    data = data[:position] + patch + data[position + len(patch) :]
    try:
        metadata = check_graph(data)
    except ModelError:
        return
    parsed = load_from_string(data)
    assert metadata == {entry.key: entry.value for entry in parsed.metadata_props}
    assert not any(node.domain or node.op_type == "Loop" for node in parsed.graph.node)
    assert not any(tensor.data_location or tensor.external_data for tensor in parsed.graph.initializer)
