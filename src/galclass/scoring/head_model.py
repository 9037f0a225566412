"""A model and a head -> one ONNX file: the same network with probabilities of the head's classes.

Needs the package onnx, which the extras `finetune` and `train` install.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from galclass.cutouts import CutoutParameters
from galclass.errors import ModelError
from galclass.extras import require
from galclass.scoring.graph import check_graph
from galclass.scoring.heads import Head
from galclass.scoring.labels import EMBEDDING, INPUT_NAME, PROBABILITIES
from galclass.scoring.probe import make_probe
from galclass.scoring.session import signature_of
from galclass.scoring.signature import METADATA_KEY, Signature

_WEIGHTS, _BIAS, _LOGITS = "galclass_head_weights", "galclass_head_bias", "galclass_head_logits"


def head_model(model: bytes, head: Head, *, name: str = "model", trained: Mapping[str, Any] | None = None) -> bytes:
    """Put a head onto a model's network.

    Parameters
    ----------
    model : bytes
        ONNX bytes with a signature of galclass; it may have a head itself.
    head : Head
        Fitted on the embeddings of this model.
    name : str
        The model's name in errors.
    trained : mapping, optional
        More to record in the signature, besides the base model's sha256 and the counts of labels.

    Returns
    -------
    bytes
        A model of format 2 with the outputs "probabilities" (n, k) and "embedding" (n, d): the votes of the base
        model are not among them, since they belong to other questions. Equal arguments yield equal bytes.

    Raises
    ------
    ModelError
        If the model is foreign or damaged, or its embedding is not as wide as the head.
    ExtraError
        If the package onnx is not installed.
    """
    require("finetune", what="writing a model of own classes")
    base = signature_of(check_graph(model, where=name), where=name)
    if base.embedding_size != len(head.weights):
        raise ModelError(
            "the head does not match its embedding", where=name, expected=base.embedding_size, got=len(head.weights)
        )
    graph = _graph(model, head)
    parameters = CutoutParameters(size_px=base.size_px, crop_fraction=base.crop_fraction)
    signature = replace(
        _signature(base, model, head, trained or {}), probe=make_probe(graph.SerializeToString(), parameters)
    )
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, signature.to_json()
    Signature.from_json(entry.value, where=name)  # what would be refused when read is not written
    data: bytes = graph.SerializeToString(deterministic=True)
    return data


def _signature(base: Signature, model: bytes, head: Head, trained: Mapping[str, Any]) -> Signature:
    facts = {
        "base_sha256": hashlib.sha256(model).hexdigest(),
        "labels": dict(head.counts),
        "penalty": head.penalty,
        "cross_validated": str(head.estimate),
    }
    return Signature(
        size_px=base.size_px,
        crop_fraction=base.crop_fraction,
        preprocessing_sha256=base.preprocessing_sha256,
        embedding_size=base.embedding_size,
        views=base.views,
        scale=base.scale,
        calibration={"method": "temperature", "fitted_on": "cross-validation", "objects": head.estimate.objects},
        conformal=head.conformal,
        unlike=head.unlike,
        trained=facts | dict(trained),
        format=2,
        classes=head.classes,
        groups=None,
    )


def _graph(model: bytes, head: Head) -> Any:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    made = onnx.load_from_string(model)
    graph = made.graph
    del made.metadata_props[:]
    nodes = [node for node in graph.node if not {PROBABILITIES, _LOGITS}.intersection(node.output)]
    nodes += [
        helper.make_node("Gemm", [EMBEDDING, _WEIGHTS, _BIAS], [_LOGITS], name=f"{_LOGITS}_gemm"),
        helper.make_node("Softmax", [_LOGITS], [PROBABILITIES], name=f"{_LOGITS}_softmax", axis=-1),
    ]
    own = {_WEIGHTS: head.weights, _BIAS: head.bias}
    tensors = [one for one in graph.initializer if one.name not in own]
    tensors += [numpy_helper.from_array(np.ascontiguousarray(values), key) for key, values in own.items()]
    embedding = next(one for one in graph.output if one.name == EMBEDDING)
    probabilities = helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", len(head.classes)])
    kept, used = _needed(nodes, {PROBABILITIES, EMBEDDING})
    _replace(graph.node, kept)
    _replace(graph.initializer, [one for one in tensors if one.name in used])
    _replace(graph.input, [one for one in graph.input if one.name == INPUT_NAME])
    _replace(graph.output, [probabilities, embedding])
    del graph.value_info[:]
    onnx.checker.check_model(made)
    return made


def _needed(nodes: list[Any], wanted: set[str]) -> tuple[list[Any], set[str]]:
    """Return the nodes that outputs depend on, in order, and the names they read, including those in subgraphs."""
    used, kept = set(wanted), []
    for node in reversed(nodes):
        if used.intersection(node.output):
            kept.append(node)
            used.update(_read_names(node))
    return kept[::-1], used


def _read_names(node: Any) -> set[str]:
    names = set(node.input)
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            names.update(*(_read_names(inner) for inner in graph.node), {one.name for one in graph.output})
    return names


def _replace(field: Any, values: list[Any]) -> None:
    values = [type(one).FromString(one.SerializeToString()) for one in values]
    del field[:]
    field.extend(values)
