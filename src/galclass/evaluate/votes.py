"""How well debiased vote fractions are predicted, and the class that follows from them.

Takes predictions with vote fractions and the catalog's debiased fractions; returns classes and errors. A catalog whose
classes follow debiased fractions (gz2_class) means something else by "smooth" than one of raw fractions: compare its
classes with those that follow from the predicted debiased fractions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from galclass.morphology import CLASSES, gz2_class_from_fractions, parse_gz2_class
from galclass.scoring import Prediction

SMOOTH = "t01_smooth_or_features_a01_smooth"


@dataclass(frozen=True)
class VoteErrors:
    """Errors of predicted fractions.

    Attributes
    ----------
    count : int
        Objects with votes.
    smooth_rmse : float
        Root mean square error of the debiased smooth fraction, in [0, 1].
    smooth_covered : float
        Share of objects whose smooth fraction lies in the 90 % interval.
    """

    count: int
    smooth_rmse: float
    smooth_covered: float

    def as_dict(self) -> dict[str, float]:
        """Plain values for metrics.json."""
        return asdict(self)


def class_from_votes(fractions: Mapping[str, tuple[float, float, float]]) -> str:
    """Return the class found by taking the answer with the most votes, question by question down the tree.

    Parameters
    ----------
    fractions : mapping of str to (fraction, low, high)
        `Prediction.vote_fractions`.
    """
    text = gz2_class_from_fractions({stem: values[0] for stem, values in fractions.items()})
    return parse_gz2_class(text).leaf


def classes_from_votes(predictions: Sequence[Prediction]) -> NDArray[np.int64]:
    """Return the index of the class that follows from each prediction's vote fractions, (n,)."""
    return np.array([CLASSES.index(class_from_votes(one.vote_fractions)) for one in predictions], dtype=np.int64)


def vote_errors(predictions: Sequence[Prediction], smooth: NDArray[np.float64]) -> VoteErrors | None:
    """Compare the predicted with the published debiased smooth fraction; None where there is none.

    Parameters
    ----------
    predictions : sequence of Prediction
    smooth : float64, (n,)
        Published fractions in [0, 1], NaN where there is none.
    """
    known = [int(i) for i in np.flatnonzero(~np.isnan(smooth))]
    if not known or not predictions[known[0]].vote_fractions:
        return None
    answers = np.array([predictions[i].vote_fractions[SMOOTH] for i in known])
    published = smooth[known]
    inside = (answers[:, 1] <= published) & (published <= answers[:, 2])
    error = float(np.sqrt(np.mean((answers[:, 0] - published) ** 2)))
    return VoteErrors(len(known), error, float(inside.mean()))
