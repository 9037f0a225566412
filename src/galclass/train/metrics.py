"""Validation metrics of one epoch, for labels at any level of the tree.

Takes probabilities and the classes each label stands for; returns plain numbers for `history.csv`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galclass.morphology import CLASSES, GROUPS, QUESTIONS

_FLOOR = 1e-9

_GROUP_OF = np.array([[leaf in leaves for leaves in GROUPS.values()] for leaf in CLASSES])
"""The group of each class, (13, 4)."""


def validation_metrics(probabilities: NDArray[np.float32], leaves: NDArray[np.bool_]) -> dict[str, float]:
    """Measure predictions against labels; rows without an informative label are left out.

    Parameters
    ----------
    probabilities : float32, (n, 13)
        Sum to 1.
    leaves : bool, (n, 13)
        Classes each label stands for.

    Returns
    -------
    dict
        validation_loss: mean -log P(label), in nats; validation_accuracy: the most probable class is one the
        label stands for; validation_balanced_accuracy: the same, mean over kinds of label;
        validation_group_accuracy: over labels within one group (NaN when there are none).
    """
    says = leaves.any(1)
    probabilities, leaves = probabilities[says], leaves[says]
    own = np.where(leaves, probabilities, 0).sum(1)
    right = _right(probabilities, leaves)
    return {
        "validation_loss": float(-np.log(own + _FLOOR).mean()),
        "validation_accuracy": float(right.mean()),
        "validation_balanced_accuracy": _balanced(right, leaves),
        "validation_group_accuracy": _group_accuracy(probabilities, leaves),
    }


def _right(probabilities: NDArray[np.float32], leaves: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether the most probable class is one the label stands for."""
    right: NDArray[np.bool_] = leaves[np.arange(len(leaves)), probabilities.argmax(1)]
    return right


def _balanced(right: NDArray[np.bool_], leaves: NDArray[np.bool_]) -> float:
    kinds = np.unique(leaves, axis=0)
    return float(np.mean([right[(leaves == kind).all(1)].mean() for kind in kinds]))


def _group_accuracy(probabilities: NDArray[np.float32], leaves: NDArray[np.bool_]) -> float:
    touched = (leaves[:, :, None] & _GROUP_OF[None]).any(1)
    single = touched.sum(1) == 1
    if not single.any():
        return float("nan")
    predicted = (probabilities[single] @ _GROUP_OF).argmax(1)
    return float((predicted == touched[single].argmax(1)).mean())


def vote_metrics(means: NDArray[np.float32], counts: NDArray[np.float32]) -> dict[str, float]:
    """Measure predicted mean votes against raw votes on the first question; rows without votes are left out.

    Parameters
    ----------
    means, counts : float32, (n, 37)
        Predicted fractions and raw votes.

    Returns
    -------
    dict
        validation_first_question: how often the same answer has the most votes; validation_first_question_rmse: root
        mean square error of its three fractions.
    """
    first = len(next(iter(QUESTIONS.values())).answers)
    asked = counts[:, :first].sum(1)
    means, votes = means[asked > 0, :first], counts[asked > 0, :first] / asked[asked > 0, None]
    return {
        "validation_first_question": float((means.argmax(1) == votes.argmax(1)).mean()),
        "validation_first_question_rmse": float(np.sqrt(np.mean((means - votes) ** 2))),
    }
