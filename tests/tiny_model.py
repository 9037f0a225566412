"""A seeded ONNX model of a few kilobytes with the inputs, outputs and signature of a real one."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from galclass.cutouts import CutoutParameters
from galclass.morphology import QUESTIONS
from galclass.scoring import METADATA_KEY, Signature, make_probe
from galclass.scoring.fitted_ids import FITTED_IDS, fitted_ids
from galclass.scoring.head_model import head_model
from galclass.scoring.heads import fit_head
from galclass.scoring.session import open_session

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


def tiny_raw_graph(seed: int = 0, *, debiased: bool = True) -> ModelProto:
    """`tiny_graph` with raw votes that are independent of the probabilities, and, if wanted, debiased votes."""
    model = tiny_graph(seed)
    rng = np.random.default_rng([seed, 1])
    graph, widths = model.graph, [len(question.answers) for question in QUESTIONS.values()]
    constants = {
        "raw_w": rng.normal(0, 1.5, (EMBEDDING, sum(widths))).astype(np.float32),
        "spread_w": rng.normal(0, 1, (EMBEDDING, len(widths))).astype(np.float32),
        "widths": np.array(widths),
        "ten": np.float32(10),
    }
    parts = [f"part{n}" for n in range(len(widths))]
    nodes = [
        helper.make_node("MatMul", ["embedding", "raw_w"], ["raw_logits"]),
        helper.make_node("Split", ["raw_logits", "widths"], parts, axis=1),
        *[helper.make_node("Softmax", [part], [f"{part}_votes"], axis=1) for part in parts],
        helper.make_node("Concat", [f"{part}_votes" for part in parts], ["raw_votes"], axis=1),
        helper.make_node("MatMul", ["embedding", "spread_w"], ["spread"]),
        helper.make_node("Exp", ["spread"], ["spread_exp"]),
        helper.make_node("Mul", ["spread_exp", "ten"], ["raw_concentrations"]),
    ]
    outputs = {"raw_votes": ["n", sum(widths)], "raw_concentrations": ["n", len(widths)]}
    if debiased:
        constants |= {"axis": np.array([2]), "low": np.float32(0.9), "high": np.float32(0.1)}
        nodes += [
            helper.make_node("Unsqueeze", ["raw_votes", "axis"], ["wide"]),
            helper.make_node("Mul", ["wide", "low"], ["wide_low"]),
            helper.make_node("Add", ["wide_low", "high"], ["wide_high"]),
            helper.make_node("Concat", ["wide", "wide_low", "wide_high"], ["vote_fractions"], axis=2),
        ]
        outputs["vote_fractions"] = ["n", sum(widths), 3]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in outputs.items())
    return model


@lru_cache
def tiny_raw_model(seed: int = 0, *, debiased: bool = True, **changes: object) -> bytes:
    """A whole model of format 2 with raw votes."""
    graph, questions = tiny_raw_graph(seed, debiased=debiased), tuple(QUESTIONS.values())
    columns = tuple(column for question in questions for column in question.columns)
    changes = {"vote_columns": columns if debiased else (), **changes}
    signature = tiny_signature(format=2, questions=questions, raw=True, **changes)
    probe = make_probe(graph.SerializeToString(), CutoutParameters(size_px=SIZE_PX))
    return signed(graph, replace(signature, probe=probe))


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


def tiny_trained_model(**trained: object) -> bytes:
    """`tiny_model` with a record of what it was trained on."""
    return tiny_model.__wrapped__(trained=trained)


def model_fitted_to(object_ids: list[str]) -> bytes:
    """`tiny_model` with a record of these ids."""
    return tiny_trained_model(**{FITTED_IDS: fitted_ids(object_ids)})


OWN_CLASSES = ("no ring", "ring", "it's 100 % unclear")


@lru_cache
def tiny_own_model(count: int = 60) -> bytes:
    """`tiny_model` with a head of own classes, fitted to drawn cutouts."""
    cutouts = np.random.default_rng(0).integers(0, 256, (count, 3, SIZE_PX, SIZE_PX), dtype=np.uint8)
    (embedding,) = open_session(tiny_model()).run(["embedding"], cutouts)
    return head_model(tiny_model(), fit_head(embedding, list(OWN_CLASSES) * (count // 3), OWN_CLASSES))
