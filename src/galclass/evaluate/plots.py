"""Plots of the report as SVG text: confusion matrices and the reliability diagram."""

from __future__ import annotations

import io
import re

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galclass.evaluate.metrics import Classification, Reliability

_INK = "#1d2733"
_ACCENT = "#2b6cb0"


def confusion_svg(table: Classification) -> str:
    """Draw the matrix, rows normalised, with the counts written in the cells."""
    size = 1.6 + 0.42 * len(table.names)
    figure, axes = _figure(size, size)
    totals = np.maximum(table.confusion.sum(axis=1, keepdims=True), 1)
    share = table.confusion / totals
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(table.names))
    axes.set_xticks(ticks, table.names, rotation=90, parse_math=False)  # a name may contain dollar signs
    axes.set_yticks(ticks, table.names, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for (row, column), count in np.ndenumerate(table.confusion):
        if count:
            colour = "white" if share[row, column] > 0.55 else _INK
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    return _svg(figure)


def reliability_svg(calibration: Reliability) -> str:
    """Draw accuracy against confidence; the area of a dot is the number of objects in its bin."""
    figure, axes = _figure(4.2, 4.2)
    axes.plot([0, 1], [0, 1], color="#a0aec0", linewidth=1, linestyle="--")
    filled = calibration.count > 0
    area = 300 * calibration.count[filled] / calibration.count.max()
    axes.scatter(calibration.confidence[filled], calibration.accuracy[filled], s=area, color=_ACCENT, alpha=0.8)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="largest class probability", ylabel="share of correct predictions")
    axes.set_aspect("equal")
    return _svg(figure)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.tick_params(colors=_INK, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color("#cbd5e0")
    return figure, axes


def _svg(figure: Figure) -> str:
    """Write without a date and with fixed ids, so that equal figures give equal text."""
    with mpl.rc_context({"svg.hashsalt": "galclass", "svg.fonttype": "none", "font.family": "sans-serif"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.DOTALL)
