"""What could reach beyond an ONNX file's own bytes is refused wherever it stands, before a session opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile_models import (
    conditional,
    constant_node,
    external,
    model,
    some_tensor,
    weight,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import (
    ModelProto,
    defs,
    helper,
    load_from_string,
)
from onnxruntime import InferenceSession, SessionOptions
from scoring.hostile_graphs import (
    REFUSED,
    SMALL,
    constant,
    convolution,
    convolve,
    dequantized,
    initializer,
    pool,
)
from tiny_model import signed, tiny_graph, tiny_model, tiny_signature

from galclass.errors import ModelError
from galclass.scoring import METADATA_KEY, Scorer, graph, shipped_model
from galclass.scoring.graph import check_graph
from galclass.scoring.operators import OPERATORS


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
    "a number that says it is a list": (with_node(NAME + field(3, 1) + field(20, 7)), "another type than declared"),
    "a text that says it is a number": (with_node(NAME + field(4, b"a") + field(20, 2)), "another type than declared"),
    "a number twice": (with_node(NAME + field(3, 1) + field(3, 8) + field(20, 2)), "field 3 of one attribute twice"),
    "a type twice": (with_node(NAME + field(3, 1) + field(20, 7) + field(20, 2)), "field 20 of one attribute twice"),
    "a tensor in two pieces": (with_node(NAME + field(5, b"") * 2 + field(20, 4)), "field 5 of one attribute twice"),
    "an attribute twice": (with_node(*[NAME + field(3, 1) + field(20, 2)] * 2), "two attributes of one name"),
    "an attribute that stands for another": (with_node(NAME + b"\xaa\x01\x01x"), "attributes that stand for others"),
    "an operator twice": (with_node(more=field(4, b"Loop")), "field 4 of one node twice"),
    "a domain twice": (with_node(more=field(7, b"") * 2), "field 7 of one node twice"),
    "a Cast to 2**32 + 8": (
        with_node(NAME + field(3, (1 << 32) + 8) + field(20, 2), operator=b"Cast"), "a Cast to strings",
    ),
    "a Cast to 0": (with_node(NAME + field(3, 0) + field(20, 2), operator=b"Cast"), "a Cast to strings"),
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
