"""The model that works straight after install, and the probe image every model records its answer for."""

from __future__ import annotations

from pathlib import Path

from galclass.errors import ModelError

MODEL_FILE = "galaxy.onnx"
PROBE_FILE = "probe.jpg"

_HERE = Path(__file__).parent


def shipped_model() -> bytes:
    """Return the ONNX bytes of the model in the package.

    Raises
    ------
    ModelError
        If this installation has none.
    """
    try:
        return (_HERE / MODEL_FILE).read_bytes()
    except FileNotFoundError as error:
        raise ModelError(
            "this installation ships no model",
            advice="train one with `galclass run`, or name one with --model",
        ) from error


def probe_image() -> bytes:
    """Return the JPEG bytes (424 x 424 px) that `Signature.probe` is about."""
    return (_HERE / PROBE_FILE).read_bytes()
