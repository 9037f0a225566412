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


def test_a_graph_in_two_pieces_is_checked_in_both() -> None:
    """Protobuf merges a field that comes twice."""
    extra = ModelProto()
    extra.graph.initializer.append(external(some_tensor()))
    with pytest.raises(ModelError, match="external data"):
        check_graph(extra.SerializeToString() + tiny_model())


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
