"""Own classes with scikit-learn's conventions: a head on the embeddings of a model; does not need scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from galclass.errors import TrainingError
from galclass.scoring.heads import Head, fit_head
from galclass.scoring.scorer import Scorer


class GalaxyClassifier:
    """A classifier of images or embeddings into the user's own classes.

    It can be cloned, and cross-validated on embeddings by scikit-learn.

    Parameters
    ----------
    model : Scorer, path or None
        Whose embeddings are used; None: the model in the package.
    seed : int
        Of the cross-validation that chooses the penalty.
    penalty : float or None
        Of the squared weights; None: chosen by cross-validation.

    Attributes
    ----------
    classes_ : array, (k,)
        The labels, sorted; columns of `predict_proba`.
    head_ : Head
        The fit, with its estimate of the accuracy.

    Examples
    --------
    >>> rings = GalaxyClassifier().fit(images, labels)    # doctest: +SKIP
    >>> rings.predict_proba(others)                       # doctest: +SKIP
    """

    classes_: NDArray[Any]
    head_: Head

    def __init__(
        self, model: Scorer | Path | str | None = None, *, seed: int = 0, penalty: float | None = None
    ) -> None:
        self.model, self.seed, self.penalty = model, seed, penalty

    def __repr__(self) -> str:
        given = {"model": self.model, "seed": self.seed, "penalty": self.penalty}
        usual = {"model": None, "seed": 0, "penalty": None}
        return (
            f"GalaxyClassifier({', '.join(f'{key}={value!r}' for key, value in given.items() if value != usual[key])})"
        )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name."""
        return {"model": self.model, "seed": self.seed, "penalty": self.penalty}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name."""
        unknown = sorted(set(params) - set(self.get_params()))
        if unknown:
            raise ValueError(f"no parameter {unknown[0]!r}; there are {', '.join(self.get_params())}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def fit(self, X: Any, y: Sequence[Any]) -> Self:
        """Fit the head.

        Parameters
        ----------
        X : float (n, d), or sequence of images
            Embeddings (`Scorer.embed`), or images as for `Scorer.score`.
        y : sequence, (n,)
            Labels.

        Raises
        ------
        TrainingError
            As `fit_head`, and if an image is faulty.
        """
        labels = np.asarray(y)
        missing = [position for position, one in enumerate(y) if _is_missing(one)]
        if missing:
            raise TrainingError("an object has no label", got=f"rows {', '.join(map(str, missing[:5]))}")
        embeddings = self._embeddings(X)
        faulty = np.flatnonzero(np.isnan(embeddings).any(axis=1))
        if len(faulty):
            raise TrainingError("an image has no embedding", got=f"images {', '.join(map(str, faulty[:5].tolist()))}")
        self.classes_ = np.unique(labels)
        names = [str(one) for one in self.classes_]
        self.head_ = fit_head(embeddings, [str(one) for one in labels], names, seed=self.seed, penalty=self.penalty)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Return class probabilities, (n, k); NaN for a faulty image.

        Raises
        ------
        TrainingError
            If nothing was fitted, or the embeddings are of another width.
        """
        head, embeddings = self._fitted(), self._embeddings(X)
        if embeddings.shape[1] != len(head.weights):
            raise TrainingError(
                "these embeddings do not match those that were fitted",
                expected=f"(n, {len(head.weights)})",
                got=embeddings.shape,
            )
        return head.probabilities(embeddings)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each, (n,).

        Raises
        ------
        TrainingError
            If nothing was fitted, or an image is faulty: it has no class (`predict_proba` returns NaN).
        """
        values = self.predict_proba(X)
        faulty = np.flatnonzero(np.isnan(values).any(axis=1))
        if len(faulty):
            raise TrainingError("an image has no class", got=f"images {', '.join(map(str, faulty[:5].tolist()))}")
        found: NDArray[Any] = self.classes_[values.argmax(axis=1)]
        return found

    def score(self, X: Any, y: Sequence[Any]) -> float:
        """Return the accuracy; NaN without images."""
        found = self.predict(X)
        return float((found == np.asarray(y)).mean()) if len(found) else math.nan

    def _fitted(self) -> Head:
        if not hasattr(self, "head_"):
            raise TrainingError("this classifier is not fitted", advice="call fit first")
        return self.head_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "head_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        about = InputTags(two_d_array=True, string=True)
        return Tags("classifier", TargetTags(required=True), classifier_tags=ClassifierTags(), input_tags=about)

    def _embeddings(self, X: Any) -> NDArray[np.floating[Any]]:
        values = X.to_numpy() if hasattr(X, "to_numpy") else X
        if isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind == "f":
            return values
        scorer = self.model if isinstance(self.model, Scorer) else Scorer(self.model)
        return scorer.embed(X)


def _is_missing(label: object) -> bool:
    """Return whether a label is None, nan, or what pandas, numpy and astropy have for a missing value."""
    nan = isinstance(label, float | np.floating) and bool(label != label)
    return label is None or nan or type(label).__name__ in ("NAType", "NaTType", "MaskedConstant")
