"""Measure a model on a held-out split.

Takes the prepared store and `training/model.onnx`, returns figures with intervals and writes
`evaluation/` (report.html, metrics.json, predictions.parquet).
"""

from galclass.evaluate.labellings import FOUR, THIRTEEN, Labelling, coarse_labelling
from galclass.evaluate.metrics import Classification, Interval, Reliability, classification, reliability
from galclass.evaluate.stage import EvaluateSummary, evaluate
from galclass.evaluate.text import tables_as_text

__all__ = [
    "FOUR",
    "THIRTEEN",
    "Classification",
    "EvaluateSummary",
    "Interval",
    "Labelling",
    "Reliability",
    "classification",
    "coarse_labelling",
    "evaluate",
    "reliability",
    "tables_as_text",
]
