"""Turns image bytes into predictions with an ONNX model and its signature; writes nothing.

The same code runs in Python, on the command line, in SQL and over HTTP. It needs only numpy, onnxruntime and the
decoder: a database back end loads it in a tenth of a second.
"""

from __future__ import annotations

from galclass.scoring.notebook import Predictions
from galclass.scoring.outputs import ModelOutputs
from galclass.scoring.prediction import ROW_COLUMNS, ImageFault, ModelId, Prediction
from galclass.scoring.probe import check_probe, make_probe
from galclass.scoring.scorer import CHUNK, IN_PACKAGE, Scorer
from galclass.scoring.shipped import probe_image, shipped_model
from galclass.scoring.signature import METADATA_KEY, Signature
from galclass.scoring.signature_parts import Conformal, Probe, Unlike

__all__ = [
    "CHUNK",
    "IN_PACKAGE",
    "METADATA_KEY",
    "ROW_COLUMNS",
    "Conformal",
    "ImageFault",
    "ModelId",
    "ModelOutputs",
    "Prediction",
    "Predictions",
    "Probe",
    "Scorer",
    "Signature",
    "Unlike",
    "check_probe",
    "make_probe",
    "probe_image",
    "shipped_model",
]
