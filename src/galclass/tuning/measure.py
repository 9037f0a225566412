"""The accuracy of models on labelled images, with intervals, and of two of them on the same objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from galclass.errors import EvaluationError, MorphologyError
from galclass.morphology import leaves_of
from galclass.scoring.heads import Share
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA, Prediction
from galclass.scoring.scorer import Scorer
from galclass.tuning.labelled import HELD_OUT_SHARE, Labelled, Reject, held_out, score_labelled

_Z95 = 1.959964


@dataclass(frozen=True)
class Measured:
    """One model on labelled images.

    Attributes
    ----------
    model : str
        As the user named it.
    sha256 : str
    accuracy : Share
        Of the objects whose label the model can predict.
    by_label : mapping of str to Share
        Share of right classes among the objects of each such label.
    counts : mapping of str to int
        Objects of each such label.
    right : mapping of str to bool
        By object id.
    foreign : mapping of str to int
        Labels that the model has no class for, and their objects; they are in none of the shares.
    unlike : int
        Objects that the model flags as out-of-distribution.
    kept : Share or None
        Accuracy on the objects that were held out, where the model was fitted to a catalog of this name.
    fitted_to : str
        The name of that catalog; empty where it is another.
    """

    model: str
    sha256: str
    accuracy: Share
    by_label: Mapping[str, Share]
    counts: Mapping[str, int]
    right: Mapping[str, bool]
    foreign: Mapping[str, int] = field(default_factory=dict)
    unlike: int = 0
    kept: Share | None = None
    fitted_to: str = ""

    def __str__(self) -> str:
        count = len(self.right)
        lines = [
            f"evaluate: {self.model} (sha256 {self.sha256[:12]}) on {count:,} objects: accuracy {self.accuracy} (95 %)"
        ]
        lines += [f"  {label}: {share} of {self.counts[label]:,}" for label, share in self.by_label.items()]
        if self.foreign:
            named = ", ".join(f"{label!r} ({objects:,})" for label, objects in sorted(self.foreign.items())[:10])
            more = ", ..." if len(self.foreign) > 10 else ""
            lines.append(f"  {sum(self.foreign.values()):,} objects left out: the model has no class for {named}{more}")
        if self.fitted_to:
            kept = f"; on those of it that were held out: {self.kept}" if self.kept else ""
            lines.append(f"  the model was fitted to {self.fitted_to}, so this accuracy is too high{kept}")
        lines += [f"  {self.unlike:,} objects are flagged as unlike its training data"] if self.unlike else []
        return "\n".join(lines)


@dataclass(frozen=True)
class Difference:
    """Difference of two accuracies on the same objects, with its paired 95 % interval (normal approximation)."""

    objects: int
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}] on {self.objects:,} objects"


def classes_meant(label: str, classes: Sequence[str]) -> frozenset[str]:
    """Return the model's classes that a label stands for: that of the same name, or those under a coarse label."""
    if label in classes:
        return frozenset([label])
    try:
        return frozenset(leaves_of(label)) & frozenset(classes)
    except MorphologyError:
        return frozenset()


def measure(
    scorer: Scorer, name: str, labelled: Labelled, *, frame_px: int | None = None, catalog: str = ""
) -> tuple[Measured, list[Reject]]:
    """Predict labelled images and count the correct predictions.

    Parameters
    ----------
    scorer : Scorer
    name : str
        What the user calls the model.
    labelled : Labelled
    frame_px : int, optional
        Side of the survey's frame.
    catalog : str
        Name of the file of labels, which may be the one that the model was fitted to.

    Returns
    -------
    Measured
    list of Reject
        Images without a prediction.

    Raises
    ------
    EvaluationError
        If the model can predict none of the labels, or no image has a prediction.
    """
    predictions, rejects = [], []
    for one, prediction in score_labelled(scorer, labelled.images, frame_px=frame_px):
        if prediction.error is None:
            predictions.append((one.label, prediction))
        else:
            rejects.append(Reject(one.object_id, prediction.error.code, f"{one.image}: {prediction.error.message}"))
    measured = _measured(scorer, name, predictions)
    return _with_fitted(measured, scorer.signature.trained, catalog), rejects


def _with_fitted(measured: Measured, trained: Mapping[str, Any], catalog: str) -> Measured:
    """Say so where a model was fitted to these labels, and how good it is on those that it has not seen."""
    if not catalog or trained.get("catalog") != catalog:
        return measured
    share = HELD_OUT_SHARE if trained.get("held_out") else 0.0
    kept = [right for object_id, right in measured.right.items() if held_out(object_id, share)]
    return replace(measured, kept=Share.of(sum(kept), len(kept)), fitted_to=catalog)


def _measured(scorer: Scorer, name: str, predictions: Sequence[tuple[str, Prediction]]) -> Measured:
    meant = {label: classes_meant(label, scorer.signature.classes) for label, _ in predictions}
    right: dict[str, bool] = {}
    counts: dict[str, list[int]] = {}
    foreign: dict[str, int] = {}
    for label, prediction in predictions:
        if not meant[label]:
            foreign[label] = foreign.get(label, 0) + 1
            continue
        hit = prediction.predicted_class in meant[label]
        right[prediction.object_id] = hit
        counts.setdefault(label, []).append(hit)
    accuracy = Share.of(sum(right.values()), len(right))
    if accuracy is None:
        raise EvaluationError(
            "the model predicts none of the labels" if predictions else "no image has a prediction",
            where=name,
            expected=", ".join(scorer.signature.classes)[:200],
            got=", ".join(foreign)[:200] or None,
        )
    by_label = {label: Share.of(sum(hits), len(hits)) for label, hits in sorted(counts.items())}
    unlike = sum(UNLIKE_TRAINING_DATA in prediction.flags for _, prediction in predictions)
    shares = {label: share for label, share in by_label.items() if share is not None}
    return Measured(
        name,
        scorer.sha256,
        accuracy,
        shares,
        {label: len(hits) for label, hits in counts.items()},
        right,
        foreign,
        unlike,
    )


def difference(new: Mapping[str, bool], old: Mapping[str, bool]) -> Difference:
    """Return the accuracy of one model minus that of another, on the objects that both predicted.

    Raises
    ------
    EvaluationError
        If there are fewer than two such objects.
    """
    common = sorted(set(new) & set(old))
    if len(common) < 2:
        raise EvaluationError("there are too few objects that both models predict", expected="2", got=len(common))
    gains = np.array([int(new[one]) - int(old[one]) for one in common], dtype=np.float64)
    mean, reach = float(gains.mean()), _Z95 * float(gains.std(ddof=1)) / math.sqrt(len(gains))
    return Difference(len(common), mean, mean - reach, mean + reach)
