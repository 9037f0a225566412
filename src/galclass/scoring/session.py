"""ONNX bytes -> a checked onnxruntime session and its signature; refuses what is foreign, damaged or tampered with."""

from __future__ import annotations

from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from galclass.errors import ModelError
from galclass.morphology import CLASSES
from galclass.preprocess import CutoutParameters
from galclass.scoring.signature import EMBEDDING, INPUT_NAME, METADATA_KEY, PROBABILITIES, VOTE_FRACTIONS, Signature

RUNTIME_ERRORS: tuple[type[Exception], ...] = tuple(
    getattr(runtime_errors, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "NoModel")
    + ("NoSuchFile", "RuntimeException", "EPFail", "ModelLoaded", "EngineError")
    if hasattr(runtime_errors, name)
)
"""What onnxruntime raises for a model it cannot load or run; the classes share no base but Exception."""


def open_session(model: bytes, *, threads: int = 1, where: str = "model") -> Any:
    """Load ONNX bytes with so many threads, operators one after the other.

    Raises
    ------
    ModelError
        If the bytes are no ONNX model that onnxruntime can run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # fatal only: the error below says what is wrong
    if not model:
        raise ModelError("it is empty", where=where, expected="an ONNX file")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        raise ModelError(
            "it is no ONNX model that can be run",
            where=where,
            got=str(error).splitlines()[0][:200],
            advice="register the model.onnx that `galclass train` writes",
        ) from error


def read_signature(session: Any, *, where: str = "model") -> Signature:
    """Read the signature of a session and check that inputs, outputs and preprocessing are what it says.

    Raises
    ------
    ModelError
        If there is no signature, it is not valid, or the graph or this code differ from it.
    """
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ModelError(
            "it is a foreign model: an ONNX file without a galclass signature",
            where=where,
            advice="register the model.onnx that `galclass train` writes",
        )
    signature = Signature.from_json(text, where=where)
    _check_graph(session, signature, where)
    ours = CutoutParameters(size_px=signature.size_px, crop_fraction=signature.crop_fraction).sha256
    if signature.preprocessing_sha256 != ours:
        raise ModelError(
            "it was trained with other preprocessing than this version of galclass has",
            where=where,
            expected=f"preprocessing_sha256 {ours[:12]}...",
            got=f"{signature.preprocessing_sha256[:12]}...",
            advice="use the galclass version that trained it, or train again",
        )
    return signature


def _check_graph(session: Any, signature: Signature, where: str) -> None:
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    faults = []
    if set(inputs) != {INPUT_NAME}:
        faults.append(f"inputs are {sorted(inputs)}, not ['{INPUT_NAME}']")
    else:
        faults += _shape_faults(inputs[INPUT_NAME], "tensor(uint8)", (3, signature.size_px, signature.size_px))
    expected: dict[str, tuple[int, ...]] = {PROBABILITIES: (len(CLASSES),), EMBEDDING: (signature.embedding_size,)}
    if signature.vote_columns:
        expected[VOTE_FRACTIONS] = (len(signature.vote_columns), 3)
    for name, shape in expected.items():
        if name in outputs:
            faults += _shape_faults(outputs[name], "tensor(float)", shape)
        else:
            faults.append(f"there is no output {name!r}")
    if faults:
        raise ModelError("its graph is not what its signature says: " + "; ".join(faults), where=where)


def _shape_faults(node: Any, kind: str, shape: tuple[int, ...]) -> list[str]:
    faults = []
    if node.type != kind:
        faults.append(f"{node.name!r} is {node.type}, not {kind}")
    first, *rest = node.shape or [None]
    if isinstance(first, int):
        faults.append(f"{node.name!r} has the fixed batch size {first}")
    if len(rest) != len(shape) or any(isinstance(n, int) and n != m for n, m in zip(rest, shape, strict=False)):
        faults.append(
            f"{node.name!r} has shape (n, {', '.join(map(str, rest))}), not (n, {', '.join(map(str, shape))})"
        )
    return faults
