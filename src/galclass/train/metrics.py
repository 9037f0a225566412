"""Validation metrics of one iteration, for labels at any level of the tree.

Takes probabilities and the classes each label stands for; gives plain numbers for `history.csv`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galclass.morphology import CLASSES, GROUPS

_FLOOR = 1e-9

_GROUP_OF = np.array([[leaf in leaves for leaves in GROUPS.values()] for leaf in CLASSES])
"""Which group each class is in, (13, 4)."""


def validation_metrics(probabilities: NDArray[np.float32], leaves: NDArray[np.bool_]) -> dict[str, float]:
    """Measure predictions against labels; rows whose label says nothing are left out.

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
    """Whether the most probable class is one the label stands for."""
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
