"""The packaged model, and the probe image for which every model records its prediction."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from galclass.errors import ModelError

MODEL_FILE = "galaxy.onnx"
FITTED_FILE = "fitted_ids.json"
CARD_FILE, METRICS_FILE = "galaxy.card.md", "galaxy.card.json"
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
            "this installation has no packaged model",
            advice="train one with `galclass run`, or name one with --model",
        ) from error


def shipped_card() -> str:
    """Return the card of the model in the package; empty if it has none."""
    path = _HERE / CARD_FILE
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def shipped_metrics() -> dict[str, Any]:
    """Return the evaluation of the model in the package, as registered with it; empty if it has none."""
    path = _HERE / METRICS_FILE
    values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return values if isinstance(values, dict) else {}


@cache
def shipped_fitted_ids() -> dict[str, dict[str, Any]]:
    """Return what the models that were packaged were fitted to, by sha256 (`galclass.scoring.fitted_ids`)."""
    path = _HERE / FITTED_FILE
    values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return values if isinstance(values, dict) else {}


def probe_image() -> bytes:
    """Return the JPEG bytes (424 x 424 px) that `Signature.probe` is about."""
    return (_HERE / PROBE_FILE).read_bytes()
