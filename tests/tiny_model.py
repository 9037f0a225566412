"""A seeded ONNX model of a few kilobytes with the inputs, outputs and signature of a real one."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from galclass.preprocess import CutoutParameters
from galclass.scoring import METADATA_KEY, Signature, make_probe

SIZE_PX = 32
EMBEDDING = 8
GRID = 4


def tiny_signature(**changes: object) -> Signature:
    """A valid signature for `tiny_graph`."""
    parameters = CutoutParameters(size_px=SIZE_PX)
    signature = Signature(
        size_px=SIZE_PX,
        crop_fraction=parameters.crop_fraction,
        preprocessing_sha256=parameters.sha256,
        embedding_size=EMBEDDING,
        trained={"seed": 0},
    )
    return replace(signature, **changes)


def tiny_graph(seed: int = 0, *, vote_columns: int = 0) -> ModelProto:
    """Contrasts of a 4 x 4 grid of colours -> tanh -> softmax over 13, with random weights."""
    rng = np.random.default_rng(seed)
    constants = {
        "scale": np.float32(1 / 64),
        "w1": rng.normal(0, 0.5, (3 * GRID * GRID, EMBEDDING)).astype(np.float32),
        "w2": rng.normal(0, 2.0, (EMBEDDING, 13)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["cutouts"], ["as_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["as_float", "scale"], ["scaled"]),
        helper.make_node(
            "AveragePool", ["scaled"], ["pooled"], kernel_shape=[SIZE_PX // GRID] * 2, strides=[SIZE_PX // GRID] * 2
        ),
        helper.make_node("ReduceMean", ["pooled"], ["mean"], axes=[1, 2, 3]),
        helper.make_node("Sub", ["pooled", "mean"], ["contrast"]),
        helper.make_node("Flatten", ["contrast"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w1"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "w2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 13]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", EMBEDDING]),
    ]
    if vote_columns:
        constants["w3"] = rng.normal(0, 1, (EMBEDDING, vote_columns * 3)).astype(np.float32)
        constants["shape"] = np.array([-1, vote_columns, 3])
        nodes += [
            helper.make_node("MatMul", ["embedding", "w3"], ["votes"]),
            helper.make_node("Sigmoid", ["votes"], ["fractions"]),
            helper.make_node("Reshape", ["fractions", "shape"], ["vote_fractions"]),
        ]
        outputs.append(helper.make_tensor_value_info("vote_fractions", TensorProto.FLOAT, ["n", vote_columns, 3]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("cutouts", TensorProto.UINT8, ["n", 3, SIZE_PX, SIZE_PX])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def signed(graph: ModelProto, signature: Signature | str) -> bytes:
    """The model's bytes with a signature (or any text in its place) in the metadata."""
    text = signature if isinstance(signature, str) else signature.to_json()
    helper.set_model_props(graph, {METADATA_KEY: text})
    return graph.SerializeToString()


@lru_cache
def tiny_model(seed: int = 0, *, votes: tuple[str, ...] = (), **changes: object) -> bytes:
    """A whole model: graph, signature and probe answer; equal arguments give equal bytes."""
    graph = tiny_graph(seed, vote_columns=len(votes))
    signature = tiny_signature(vote_columns=votes, **changes)
    probe = make_probe(graph.SerializeToString(), CutoutParameters(size_px=SIZE_PX))
    return signed(graph, replace(signature, probe=probe))
