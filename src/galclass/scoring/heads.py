"""Labelled embeddings -> a head for the user's own classes -> an ONNX model like any other; needs no torch.

A head is a logistic regression on the embedding of a model. The network is unchanged, so a few dozen labels are enough,
fitting takes milliseconds, and one run of the network serves any number of heads.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from galclass.errors import TrainingError
from galclass.scoring.class_names import check_class_names
from galclass.scoring.fit_confidence import FEWEST_OF_FLAG, FEWEST_OF_SETS, fit_conformal, fit_unlike_by_folds
from galclass.scoring.logistic import PENALTIES, fit_logistic, softmax
from galclass.scoring.signature_parts import Conformal, Unlike

FEWEST_LABELS = 3
"""Fewest labels of each class for a fit."""

FEWEST_TO_ESTIMATE = 10
"""Fewest labels of each class for an estimate of the accuracy."""

FOLDS = 5
_SHOWN = 5
"""Rare classes that an error names."""
_Z95 = 1.959964


@dataclass(frozen=True)
class Share:
    """A share of objects with its 95 % interval (Wilson 1927)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, count: int) -> Share | None:
        """Return the share of `hits` among `count` objects; None without objects."""
        if count == 0:
            return None
        value, z2 = hits / count, _Z95**2 / count
        middle = (value + z2 / 2) / (1 + z2)
        reach = _Z95 * math.sqrt(value * (1 - value) / count + z2 / (4 * count)) / (1 + z2)
        return cls(value, min(max(middle - reach, 0.0), value), max(min(middle + reach, 1.0), value))

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Estimate:
    """How well a head predicts objects that it was not fitted on, by cross-validation.

    Attributes
    ----------
    objects : int
        Predicted by a fit without them.
    majority : float
        Accuracy of always predicting the most common class.
    accuracy : Share or None
        None if a class has fewer than `FEWEST_TO_ESTIMATE` labels.
    precision, recall : mapping of str to Share or None
        By class; None for a class with no predictions, or no labels. Empty if accuracy is None.
    lacking : mapping of str to int
        Labels of each class that has too few of them.
    """

    objects: int
    majority: float
    accuracy: Share | None = None
    precision: Mapping[str, Share | None] = field(default_factory=dict)
    recall: Mapping[str, Share | None] = field(default_factory=dict)
    lacking: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.accuracy is None:
            counts = ", ".join(f"{count} of {name!r}" for name, count in self.lacking.items())
            return f"too few labels to estimate the accuracy: {counts}, at least {FEWEST_TO_ESTIMATE} of each needed"
        said = f"accuracy {self.accuracy} (95 %, cross-validated on {self.objects:,} objects)"
        return f"{said}; always predicting the most common class is right for {self.majority:.3f}"


@dataclass(frozen=True)
class Head:
    """A layer from the embedding of a model to own classes.

    Attributes
    ----------
    classes : tuple of str, (k,)
    weights : float32, (d, k)
    bias : float32, (k,)
        Probabilities are the softmax of embedding @ weights + bias; they are calibrated.
    counts : mapping of str to int
        Labels of each class.
    estimate : Estimate
        From the cross-validation that chose the penalty.
    penalty : float
    conformal : Conformal or None
        For prediction sets; None below `FEWEST_OF_SETS` objects.
    unlike : Unlike or None
        For the out-of-distribution flag; None below `FEWEST_OF_FLAG` objects.
    """

    classes: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    counts: Mapping[str, int]
    estimate: Estimate
    penalty: float
    conformal: Conformal | None = None
    unlike: Unlike | None = None

    def probabilities(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities, (n, d) -> (n, k)."""
        return softmax(np.asarray(embeddings, dtype=np.float32) @ self.weights + self.bias).astype(np.float32)

    def predict(self, embeddings: NDArray[np.float32]) -> list[str]:
        """Return the most probable class of each; the first of equal ones."""
        return [self.classes[position] for position in self.probabilities(embeddings).argmax(axis=1)]

    def limits(self) -> list[str]:
        """Return what the head lacks because there are too few labels, as sentences."""
        count, found = sum(self.counts.values()), []
        if self.conformal is None:
            found.append(f"no prediction sets: {count} labelled objects, {FEWEST_OF_SETS} needed")
        if self.unlike is None:
            found.append(f"no out-of-distribution flag: {count} labelled objects, {FEWEST_OF_FLAG} needed")
        return found


def fit_head(
    embeddings: NDArray[np.floating],
    labels: Sequence[str],
    classes: Sequence[str] | None = None,
    *,
    seed: int = 0,
    penalty: float | None = None,
    confidence: bool = True,
) -> Head:
    """Fit a head; equal arguments yield an equal head.

    To refit after each new label, pass the previous fit's `penalty` and `confidence=False`: that takes milliseconds.

    Parameters
    ----------
    embeddings : float, (n, d)
        From one model, one for each labelled object.
    labels : sequence of str, (n,)
        Any names.
    classes : sequence of str, optional
        The order of the classes; by default sorted.
    seed : int
        Of the folds of the cross-validation.
    penalty : float, optional
        Of the squared weights; by default cross-validation chooses it.
    confidence : bool
        Whether to fit prediction sets and the out-of-distribution flag as well.

    Raises
    ------
    TrainingError
        If there are fewer than two classes or than `FEWEST_LABELS` labels of one, a label cannot name a class or is
        not among the classes, or the embeddings are not finite or not one for each label.
    """
    names = _class_names(labels, classes)
    embeddings = np.asarray(embeddings, dtype=np.float64)
    if embeddings.ndim != 2 or len(embeddings) != len(labels):
        raise TrainingError(
            "embeddings and labels do not belong together", expected=f"({len(labels)}, d)", got=embeddings.shape
        )
    if not np.isfinite(embeddings).all():
        where = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        raise TrainingError("an embedding has values that are not finite", got=f"row {where[0]}")
    codes = np.array([names.index(label) for label in labels], dtype=np.int64)
    counts = np.bincount(codes, minlength=len(names))
    folds, penalties = min(FOLDS, int(counts.min())), PENALTIES if penalty is None else (penalty,)
    fit = fit_logistic(embeddings, codes, len(names), folds=folds, seed=seed, penalties=penalties)
    validated, near = codes[fit.validated], embeddings[fit.validated]
    sets, flag = (confidence and len(near) >= fewest for fewest in (FEWEST_OF_SETS, FEWEST_OF_FLAG))
    return Head(
        names,
        fit.weights.astype(np.float32),
        fit.bias.astype(np.float32),
        dict(zip(names, counts.tolist(), strict=True)),
        estimated(names, counts, validated, fit.out_of_fold.argmax(axis=1)),
        fit.penalty,
        fit_conformal(fit.out_of_fold, validated) if sets else None,
        fit_unlike_by_folds(near, fit.folds) if flag else None,
    )


def cross_validated(
    embeddings: NDArray[np.floating], labels: Sequence[str], classes: Sequence[str] | None = None, *, seed: int = 0
) -> Estimate:
    """Estimate how well a head fitted to these labels predicts other objects; `Head.estimate` is the same.

    Raises
    ------
    TrainingError
        As `fit_head`.
    """
    return fit_head(embeddings, labels, classes, seed=seed).estimate


def check_counts(counts: Mapping[str, int]) -> None:
    """Refuse too few labels before any work is done.

    Parameters
    ----------
    counts : mapping of str to int
        Labels of each class.

    Raises
    ------
    TrainingError
        If there are fewer than two classes, or fewer than `FEWEST_LABELS` labels of one.
    """
    used = [name for name, count in counts.items() if count]
    if len(used) < 2:
        raise TrainingError(
            "the labels name fewer than two classes",
            expected="at least two classes, such as ring and no_ring",
            got=", ".join(map(repr, used)) or "no label",
            advice="label some objects of another class",
        )
    short = {name: count for name, count in counts.items() if count < FEWEST_LABELS}
    if short:
        raise TrainingError(
            "too few labels of a class",
            expected=f"at least {FEWEST_LABELS} of each",
            got=", ".join([f"{count} of {name!r}" for name, count in short.items()][:_SHOWN])
            + (f" and {len(short) - _SHOWN:,} more" if len(short) > _SHOWN else ""),
            advice=f"label more objects{_meant(short, counts)}; an accuracy is estimated from {FEWEST_TO_ESTIMATE} of "
            "each on",
        )


def _meant(short: Mapping[str, int], counts: Mapping[str, int]) -> str:
    """Return a hint if a rare label may be a misspelt other one, else an empty text."""
    common = [name for name, count in counts.items() if name not in short and count]
    for name in short:
        folded = {other.casefold().replace(" ", "_"): other for other in common}
        near = difflib.get_close_matches(name.casefold().replace(" ", "_"), folded, n=1, cutoff=0.75)
        if near:
            return f" (or is {name!r} meant to be {folded[near[0]]!r}?)"
    return ""


def _class_names(labels: Sequence[str], classes: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise TrainingError("labels must be text, one per object")
    counts = Counter(labels)
    names = sorted(counts) if classes is None else list(classes)
    foreign = sorted(set(counts) - set(names))
    if foreign:
        raise TrainingError("a label is not among the classes", expected=", ".join(names), got=repr(foreign[0]))
    check_counts({name: counts[name] for name in names})
    check_class_names(names)
    return tuple(names)


def estimated(
    names: tuple[str, ...], counts: NDArray[np.int64], true: NDArray[np.int64], predicted: NDArray[np.int64]
) -> Estimate:
    """Return the estimate from cross-validated predictions.

    Parameters
    ----------
    names : tuple of str, (k,)
    counts : int64, (k,)
        Labels of each class.
    true, predicted : int64, (m,)
        Indices into `names`.
    """
    majority = float(counts.max() / counts.sum())
    lacking = {name: int(count) for name, count in zip(names, counts, strict=True) if count < FEWEST_TO_ESTIMATE}
    if lacking:
        return Estimate(len(true), majority, lacking=lacking)
    right = true == predicted
    shares = {
        kind: {name: Share.of(int(right[of == code].sum()), int((of == code).sum())) for code, name in enumerate(names)}
        for kind, of in (("precision", predicted), ("recall", true))
    }
    return Estimate(len(true), majority, Share.of(int(right.sum()), len(true)), shares["precision"], shares["recall"])
