"""Classification metrics with bootstrap intervals, from true and predicted class indices and probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from galclass.errors import EvaluationError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval by the percentile bootstrap over objects."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Classification:
    """How well one labelling is predicted.

    Attributes
    ----------
    names : tuple of str
        Labels in the order of the matrix.
    confusion : int64, (k, k)
        Rows true, columns predicted; counts of objects.
    accuracy, balanced_accuracy, macro_f1 : Interval
        Balanced accuracy and macro F1 average over the labels that occur as truth.
    majority_rate : float
        Accuracy of always predicting the most common true label.
    """

    names: tuple[str, ...]
    confusion: IntArray
    accuracy: Interval
    balanced_accuracy: Interval
    macro_f1: Interval
    majority_rate: float

    @property
    def count(self) -> int:
        """Number of objects."""
        return int(self.confusion.sum())

    @property
    def class_error(self) -> FloatArray:
        """Error rate of each true label, (k,); NaN where a label does not occur."""
        return 1.0 - _ratio(np.diag(self.confusion), self.confusion.sum(axis=1))

    def as_dict(self) -> dict[str, object]:
        """Plain values for metrics.json and the model's signature."""
        error = self.class_error
        return {
            "count": self.count,
            "names": list(self.names),
            "confusion": self.confusion.tolist(),
            "class_error": {
                name: None if np.isnan(rate) else round(float(rate), 6)
                for name, rate in zip(self.names, error, strict=True)
            },
            "majority_rate": round(self.majority_rate, 6),
            **{
                key: [round(x, 6) for x in (figure.value, figure.low, figure.high)]
                for key, figure in (
                    ("accuracy", self.accuracy),
                    ("balanced_accuracy", self.balanced_accuracy),
                    ("macro_f1", self.macro_f1),
                )
            },
        }


def classification(
    true: IntArray, predicted: IntArray, names: tuple[str, ...], *, resamples: int, seed: int
) -> Classification:
    """Measure predictions of one labelling.

    Parameters
    ----------
    true, predicted : int64, (n,)
        Indices into `names`.
    resamples : int
        Bootstrap resamples of the objects.
    seed : int
        Seed of the resampling.

    Raises
    ------
    EvaluationError
        If there is no object.
    """
    if len(true) == 0:
        raise EvaluationError("no labelled object to evaluate")
    matrix = confusion_matrix(true, predicted, labels=np.arange(len(names))).astype(np.int64)
    matrices = _resampled_confusions(matrix, resamples, seed)
    figures = {name: _interval(function(matrix[None])[0], function(matrices)) for name, function in _FIGURES.items()}
    majority = float(matrix.sum(axis=1).max() / matrix.sum())
    return Classification(names, matrix, **figures, majority_rate=majority)


def natural_accuracy(matrix: IntArray, weights: FloatArray, *, resamples: int, seed: int) -> Interval:
    """Return the accuracy on objects whose true labels occur in other shares than here.

    Parameters
    ----------
    matrix : int64, (k, k)
        Confusion; rows true.
    weights : float64, (k,)
        How often each true label occurs in nature, in any unit.
    """
    shares = weights / weights.sum()

    def accuracy(matrices: IntArray) -> FloatArray:
        recall = _ratio(np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(axis=2))
        weighted: FloatArray = np.nansum(recall * shares, axis=1)
        return weighted

    return _interval(accuracy(matrix[None])[0], accuracy(_resampled_confusions(matrix, resamples, seed)))


def _resampled_confusions(matrix: IntArray, resamples: int, seed: int) -> IntArray:
    """Resample objects with replacement: multinomial counts over the matrix' cells, (resamples, k, k)."""
    counts = matrix.ravel()
    drawn = np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), size=resamples)
    return drawn.reshape(resamples, *matrix.shape).astype(np.int64)


def _ratio(numerator: NDArray[np.generic], denominator: NDArray[np.generic]) -> FloatArray:
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    ratio: FloatArray = np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, np.nan), where=bottom > 0)
    return ratio


def _accuracy(matrices: IntArray) -> FloatArray:
    return _ratio(np.trace(matrices, axis1=1, axis2=2), matrices.sum(axis=(1, 2)))


def _balanced_accuracy(matrices: IntArray) -> FloatArray:
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    recall: FloatArray = np.nanmean(_ratio(hits, matrices.sum(axis=2)), axis=1)
    return recall


def _macro_f1(matrices: IntArray) -> FloatArray:
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    true, predicted = matrices.sum(axis=2), matrices.sum(axis=1)
    f1 = np.where(true > 0, 2 * hits / np.maximum(true + predicted, 1), np.nan)
    mean: FloatArray = np.nanmean(f1, axis=1)
    return mean


_FIGURES = {"accuracy": _accuracy, "balanced_accuracy": _balanced_accuracy, "macro_f1": _macro_f1}


def _interval(value: float, resampled: FloatArray) -> Interval:
    low, high = np.quantile(resampled, (0.025, 0.975)) if len(resampled) else (np.nan, np.nan)
    return Interval(float(value), float(low), float(high))


@dataclass(frozen=True)
class Reliability:
    """How well confidence and accuracy agree.

    Attributes
    ----------
    confidence, accuracy : float64, (bins,)
        Means in each bin of the top probability; NaN where a bin is empty.
    count : int64, (bins,)
        Objects in each bin.
    expected_calibration_error : float
        Mean of |accuracy - confidence|, weighted by count (Guo et al. 2017).
    """

    confidence: FloatArray
    accuracy: FloatArray
    count: IntArray
    expected_calibration_error: float

    def as_dict(self) -> dict[str, list[float] | list[int]]:
        """Return plain values of the non-empty bins, for metrics.json and the page."""
        full = self.count > 0
        return {
            "confidence": [round(float(x), 6) for x in self.confidence[full]],
            "accuracy": [round(float(x), 6) for x in self.accuracy[full]],
            "count": [int(x) for x in self.count[full]],
        }


def reliability(probabilities: FloatArray, true: IntArray, *, bins: int = 15) -> Reliability:
    """Bin the top probability in equal widths of [0, 1] and compare it with the share of correct predictions.

    Parameters
    ----------
    probabilities : float64, (n, k)
        Class probabilities; rows sum to 1.
    true : int64, (n,)
        True class indices.
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == true
    which = np.minimum((top * bins).astype(np.int64), bins - 1)
    count = np.bincount(which, minlength=bins).astype(np.int64)
    confidence = _ratio(np.bincount(which, weights=top, minlength=bins), count)
    accuracy = _ratio(np.bincount(which, weights=right, minlength=bins), count)
    gap = np.nan_to_num(np.abs(accuracy - confidence))
    return Reliability(confidence, accuracy, count, float((gap * count).sum() / max(count.sum(), 1)))
