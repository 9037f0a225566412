"""The accuracy of models on labelled images, with intervals, and of two of them on the same objects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from galclass.catalog.columns import plain_label
from galclass.errors import EvaluationError, MorphologyError
from galclass.morphology import leaves_of
from galclass.scoring.fitted_ids import base_unknown, recorded, remark_of, split_fitted
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
        By object id; all the figures are of these.
    foreign : mapping of str to int
        Labels that the model has no class for, and their objects; they are in none of the shares.
    unlike : int
        Objects that the model flags as out-of-distribution.
    fitted : int or None
        Objects that the model was fitted to; they are left out, unless there are no others. None: which objects it was
        fitted to is not recorded.
    unknown : int
        Objects left out because it is not recorded whether the model was fitted to them.
    only_fitted : bool
        There are no other objects, so none was left out.
    base_unknown : bool
        The model was made from another of which it is not recorded what that was fitted to.
    remark : str
        What the record of these objects says about ids that it cannot recognise.
    """

    model: str
    sha256: str
    accuracy: Share
    by_label: Mapping[str, Share]
    counts: Mapping[str, int]
    right: Mapping[str, bool]
    foreign: Mapping[str, int] = field(default_factory=dict)
    unlike: int = 0
    fitted: int | None = None
    unknown: int = 0
    only_fitted: bool = False
    base_unknown: bool = False
    remark: str = ""

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
        lines += [f"  {remark}" for remark in self._on_fitted()]
        lines += [f"  {self.unlike:,} objects are flagged as unlike its training data"] if self.unlike else []
        return "\n".join(lines)

    def _on_fitted(self) -> list[str]:
        if self.fitted is None:
            return [
                "which objects the model was fitted to is not recorded; with some of them, this accuracy is too high"
            ]
        if self.only_fitted:
            return ["the model was fitted to all of them, so this accuracy is too high"]
        lines = [f"{self.fitted:,} objects left out: the model was fitted to these ids"] if self.fitted else []
        if self.unknown:
            lines.append(f"{self.unknown:,} objects left out: whether the model was fitted to them is not recorded")
        if self.base_unknown:
            lines.append(
                "what its base model learned from is not recorded; with such objects, this accuracy is too high"
            )
        if self.remark:
            lines.append(self.remark)
        return lines


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
    """Return the model's classes that a label stands for: that of the same name, or those under a coarse label.

    TRUE is True and 1.0 is 1, whichever of them the model has.
    """
    if label in classes:
        return frozenset([label])
    if same := [one for one in classes if plain_label(one) == plain_label(label)]:
        return frozenset(same)
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
        Name of the file of labels: models that record no ids may have been fitted to one of this name.

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
    return _measured(scorer, name, predictions, catalog), rejects


def _fitted(trained: Mapping[str, Any], catalog: str, object_ids: set[str]) -> tuple[set[str], set[str]] | None:
    """Return the objects that a model was fitted to, and those of which this is not known; None: nothing is known."""
    found = split_fitted(trained, object_ids)
    if found is None and catalog and trained.get("catalog") == catalog:  # fitted before ids were recorded
        share = HELD_OUT_SHARE if trained.get("held_out") else 0.0
        found = {one for one in object_ids if not held_out(one, share)}, set()
    if found is not None and found[1] and not object_ids - found[0] - found[1]:
        return None
    return found


def _measured(scorer: Scorer, name: str, predictions: Sequence[tuple[str, Prediction]], catalog: str) -> Measured:
    meant = {label: classes_meant(label, scorer.signature.classes) for label, _ in predictions}
    known = {one.object_id for label, one in predictions if meant[label]}
    trained = recorded(scorer.signature.trained, scorer.sha256)
    fitted, unknown = _fitted(trained, catalog, known) or (None, set[str]())
    out = (fitted or set()) | unknown
    out = out if known - out else set()
    foreign = Counter(label for label, _ in predictions if not meant[label])
    right, counts = _right(predictions, meant, out)
    accuracy = Share.of(sum(right.values()), len(right))
    if accuracy is None:
        raise EvaluationError(
            "the model predicts none of the labels" if predictions else "no image has a prediction",
            where=name,
            expected=", ".join(scorer.signature.classes)[:200],
            got=", ".join(foreign)[:200] or None,
        )
    by_label = {label: Share.of(sum(hits), len(hits)) for label, hits in sorted(counts.items())}
    unlike = sum(UNLIKE_TRAINING_DATA in one.flags for _, one in predictions if one.object_id not in out)
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
        None if fitted is None else len(fitted),
        len(unknown),
        only_fitted=fitted is not None and not known - fitted,
        base_unknown=base_unknown(trained),
        remark=remark_of(trained),
    )


def _right(
    predictions: Sequence[tuple[str, Prediction]], meant: Mapping[str, frozenset[str]], out: set[str]
) -> tuple[dict[str, bool], dict[str, list[bool]]]:
    """Return whether each prediction is right, by object id and by label; without `out` and labels of no meaning."""
    right: dict[str, bool] = {}
    by_label: dict[str, list[bool]] = {}
    for label, one in predictions:
        if meant[label] and one.object_id not in out:
            right[one.object_id] = one.predicted_class in meant[label]
            by_label.setdefault(label, []).append(right[one.object_id])
    return right, by_label


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
