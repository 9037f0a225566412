"""ONNX bytes -> a checked session with limited time and memory, and its signature; refuses foreign or damaged files."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from galclass.cutouts import CutoutParameters
from galclass.errors import ModelError
from galclass.scoring.graph import check_graph
from galclass.scoring.labels import INPUT_NAME
from galclass.scoring.limits import MEMORY_VARIABLE, SECONDS_VARIABLE, RunLimits, run_limits
from galclass.scoring.signature import METADATA_KEY, Signature
from galclass.scoring.watchdog import watchdog

RUNTIME_ERRORS: tuple[type[Exception], ...] = tuple(
    getattr(runtime_errors, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "NoModel")
    + ("NoSuchFile", "RuntimeException", "EPFail", "ModelLoaded", "EngineError", "ModelLoadCanceled")
    if hasattr(runtime_errors, name)
)
"""What onnxruntime raises for a model it cannot load or run; the classes share no base but Exception."""

_NO_MEMORY = ("Available memory of", "bad allocation", "bad_alloc", "Failed to allocate memory")
_arena_lock = threading.Lock()
_arena_is_limited = False


class Session:
    """A loaded graph whose runs have a deadline and a memory limit.

    Attributes
    ----------
    graph : onnxruntime.InferenceSession
        For inputs and outputs; run it through `run`.
    metadata : mapping of str to str
        The file's own.
    """

    def __init__(self, graph: Any, metadata: Mapping[str, str], limits: RunLimits) -> None:
        self.graph = graph
        self.metadata = metadata
        self._limits = limits

    def run(
        self, outputs: Sequence[str], cutouts: NDArray[np.uint8], *, where: str = "model"
    ) -> list[NDArray[np.float32]]:
        """Run the graph.

        Parameters
        ----------
        outputs : sequence of str
        cutouts : uint8, (n, 3, size_px, size_px), 0..255
        where : str
            The model's name in errors.

        Raises
        ------
        ModelError
            If the graph fails or exceeds the limit on time or memory.
        """
        options = onnxruntime.RunOptions()
        deadline = _Deadline(options)
        number = watchdog.watch(deadline.stop, self._limits.seconds)
        try:
            values: list[NDArray[np.float32]] = self.graph.run(outputs, {INPUT_NAME: cutouts}, options)
        except RUNTIME_ERRORS as error:
            raise self._failure(error, deadline.passed, where) from error
        finally:
            watchdog.unwatch(number)
        return values

    def _failure(self, error: Exception, stopped: bool, where: str) -> ModelError:
        if stopped:
            return _too_slow("a run of its graph", self._limits, where)
        if any(words in str(error) for words in _NO_MEMORY):
            return _too_large(self._limits, where)
        return ModelError("its graph fails", where=where, got=str(error)[:200])


class _Deadline:
    """Stops one run, and remembers that it did."""

    __slots__ = ("_options", "passed")

    def __init__(self, options: Any) -> None:
        self._options = options
        self.passed = False

    def stop(self) -> None:
        """End the run at its next operator."""
        self.passed = True
        self._options.terminate = True


PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""What runs a graph, and onnxruntime's name for it."""


def open_session(model: bytes, *, threads: int = 1, where: str = "model", provider: str = "cpu") -> Session:
    """Check ONNX bytes and load them with a number of threads, running operators sequentially.

    No part of the graph is computed while it loads: whoever exports a model folds constants, not this function.

    Parameters
    ----------
    model : bytes
    threads : int
    where : str
        The model's name in errors.
    provider : str
        One of `PROVIDERS`; operators that it lacks run on the CPU.

    Raises
    ------
    ModelError
        If onnxruntime cannot run the bytes as an ONNX model, or `check_graph` refuses them; if this onnxruntime has no
        such provider, or the provider finds no device.
    """
    providers = _providers(provider)
    metadata = check_graph(model, where=where)
    limits = run_limits()
    _limit_arena(limits.memory_bytes)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # fatal only: the error below names the fault
    options.add_session_config_entry("session.load_model_format", "ONNX")  # never guessed from the bytes
    options.add_session_config_entry("session.use_env_allocators", "1")  # the arena with the limit
    number = watchdog.watch(lambda: options.set_load_cancellation_flag(True), limits.seconds)
    try:
        graph = onnxruntime.InferenceSession(
            model, options, providers=providers, disabled_optimizers=["ConstantFolding"]
        )
    except RUNTIME_ERRORS as error:
        if type(error).__name__ == "ModelLoadCanceled":
            raise _too_slow("loading it", limits, where) from error
        if any(words in str(error) for words in _NO_MEMORY):
            raise _too_large(limits, where) from error
        raise ModelError(
            "it is not an ONNX model that can be run",
            where=where,
            got=str(error).splitlines()[0][:200],
            advice="register the model.onnx that `galclass train` writes",
        ) from error
    finally:
        watchdog.unwatch(number)
    if graph.get_providers()[0] != providers[0]:  # onnxruntime continues without a device, and only logs it
        raise ModelError(
            f"the provider {provider!r} finds no device or no libraries",
            where=where,
            got=f"only {', '.join(graph.get_providers())}",
            advice=f"fix the {provider} installation, or use the provider 'cpu'",
        )
    return Session(graph, metadata, limits)


def _providers(provider: str) -> list[str]:
    """Return onnxruntime's names of a provider and of the CPU, which runs what the provider lacks."""
    there = onnxruntime.get_available_providers()
    name = PROVIDERS.get(provider)
    if name is None or name not in there:
        usable = [one for one, full in PROVIDERS.items() if full in there]
        raise ModelError(
            f"this onnxruntime has no provider {provider!r}" if name else f"{provider!r} is not a provider",
            expected=f"one of {', '.join(usable if name else PROVIDERS)}",
            advice="install onnxruntime-gpu instead of onnxruntime for cuda" if provider == "cuda" else None,
        )
    return list(dict.fromkeys((name, PROVIDERS["cpu"])))


def _limit_arena(memory_bytes: int) -> None:
    """Let all sessions of this process share one arena that does not grow beyond a limit."""
    global _arena_is_limited
    with _arena_lock:
        if _arena_is_limited:
            return
        kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
        info = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
        onnxruntime.create_and_register_allocator(info, onnxruntime.OrtArenaCfg({"max_mem": memory_bytes}))
        _arena_is_limited = True


def _too_slow(what: str, limits: RunLimits, where: str) -> ModelError:
    return ModelError(
        f"{what} takes too long and was stopped",
        where=where,
        expected=f"at most {limits.seconds:g} s",
        advice=f"use a smaller model, or set {SECONDS_VARIABLE} in the environment if you trust it",
    )


def _too_large(limits: RunLimits, where: str) -> ModelError:
    return ModelError(
        "it takes more memory than models are allowed",
        where=where,
        expected=f"at most {limits.memory_bytes >> 20:,} MiB for all models of a process",
        advice=f"use a smaller model, or set {MEMORY_VARIABLE} in the environment if you trust it",
    )


def read_signature(session: Session, *, where: str = "model") -> Signature:
    """Read the signature of a session and check inputs, outputs and preprocessing against it.

    Raises
    ------
    ModelError
        If there is no signature, it is not valid, or it does not match the graph or this code.
    """
    signature = signature_of(session.metadata, where=where)
    _check_graph(session.graph, signature, where)
    ours = CutoutParameters(size_px=signature.size_px, crop_fraction=signature.crop_fraction).sha256
    if signature.preprocessing_sha256 != ours:
        raise ModelError(
            "it was trained with different preprocessing from this version of galclass",
            where=where,
            expected=f"preprocessing_sha256 {ours[:12]}...",
            got=f"{signature.preprocessing_sha256[:12]}...",
            advice="use the galclass version that trained it, or retrain it",
        )
    return signature


def signature_of(metadata: Mapping[str, str], *, where: str = "model") -> Signature:
    """Read the signature in a file's metadata, as `check_graph` returns it.

    Raises
    ------
    ModelError
        If there is none or it is not valid.
    """
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise ModelError(
            "it is a foreign model: an ONNX file without a galclass signature",
            where=where,
            advice="register the model.onnx that `galclass train` writes",
        )
    return Signature.from_json(text, where=where)


def _check_graph(session: Any, signature: Signature, where: str) -> None:
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    faults = []
    if set(inputs) != {INPUT_NAME}:
        faults.append(f"inputs are {sorted(inputs)}, not ['{INPUT_NAME}']")
    else:
        faults += _shape_faults(inputs[INPUT_NAME], "tensor(uint8)", (3, signature.size_px, signature.size_px))
    for name, shape in signature.output_shapes.items():
        if name in outputs:
            faults += _shape_faults(outputs[name], "tensor(float)", shape)
        else:
            faults.append(f"there is no output {name!r}")
    if faults:
        raise ModelError("its graph does not match its signature: " + "; ".join(faults), where=where)


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
