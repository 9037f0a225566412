"""The self-contained HTML report: tables, plots and images in one file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray

from galclass import __version__
from galclass.evaluate.human_baseline import HumanBaseline
from galclass.evaluate.metrics import Classification, Interval, Reliability
from galclass.evaluate.plots import confusion_svg, reliability_svg
from galclass.evaluate.raw_votes import RawVotes
from galclass.evaluate.reliability_checks import Trust
from galclass.evaluate.votes import VoteErrors
from galclass.morphology import CLASS_NAMES, leaves_of
from galclass.scoring import Prediction


@dataclass(frozen=True)
class ReportContent:
    """What the report shows.

    Attributes
    ----------
    images : callable
        Positions in `predictions` -> uint8 (n, side, side, 3) cutouts.
    gallery : int
        Images of right and of wrong predictions, for each.
    """

    split: str
    model_sha256: str
    tables: dict[str, Classification]
    calibration: Reliability | None
    human_baseline: HumanBaseline | None
    natural: dict[str, Interval]
    trust: Trust
    votes: VoteErrors | None
    raw_votes: dict[str, RawVotes]
    labels: Sequence[str | None]
    predictions: Sequence[Prediction]
    images: Callable[[NDArray[np.int64]], NDArray[np.uint8]]
    gallery: int


@dataclass(frozen=True)
class GalleryImage:
    """One gallery entry."""

    object_id: str
    jpeg: str
    label: str
    predicted: str
    probability: float


def write_report(content: ReportContent, path: Path) -> None:
    """Write the report to `path`; all text in it is escaped, whatever the template's file is called."""
    environment = Environment(loader=PackageLoader("galclass.evaluate"), autoescape=True)
    right, wrong = _choose(content)
    page = environment.get_template("report.html.j2").render(
        content=content,
        version=__version__,
        matrices={title: confusion_svg(table) for title, table in content.tables.items()},
        reliability=reliability_svg(content.calibration) if content.calibration else None,
        class_names=CLASS_NAMES,
        galleries={
            "Right, most certain first": _gallery_images(content, right),
            "Wrong, most certain first": _gallery_images(content, wrong),
        },
    )
    path.write_text(page, encoding="utf-8")


def _choose(content: ReportContent) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the most certain right and wrong predictions."""
    certainty = np.array([_certainty(prediction) for prediction in content.predictions])
    known = np.array([bool(label and leaves_of(label)) for label in content.labels])
    predicted = [str(prediction.predicted_class) for prediction in content.predictions]
    right = np.array([_is_right(name, label) for name, label in zip(predicted, content.labels, strict=True)])
    order = np.argsort(-certainty, kind="stable")
    return (
        order[(known & right)[order]][: content.gallery],
        order[(known & ~right)[order]][: content.gallery],
    )


def _certainty(prediction: Prediction) -> float:
    """Return the probability of the predicted class, which is where the walk ends: another may be more probable."""
    return float((prediction.by_class or {}).get(str(prediction.predicted_class), 0.0))


def _is_right(predicted: str, label: str | None) -> bool:
    return bool(label) and predicted in leaves_of(str(label))


def _gallery_images(content: ReportContent, chosen: NDArray[np.int64]) -> list[GalleryImage]:
    if len(chosen) == 0:
        return []
    entries = []
    for position, pixels in zip(chosen, content.images(chosen), strict=True):
        prediction = content.predictions[position]
        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=92, colorspace="RGB")
        entries.append(
            GalleryImage(
                object_id=prediction.object_id,
                jpeg=base64.b64encode(jpeg).decode("ascii"),
                label=str(content.labels[position]),
                predicted=str(prediction.predicted_class),
                probability=_certainty(prediction),
            )
        )
    return entries
