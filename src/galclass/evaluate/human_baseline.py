"""What accuracy means on noisy labels: the volunteers' own agreement, and accuracy by vote margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galclass.evaluate.ceiling import SecondPanel, second_panel
from galclass.evaluate.labellings import THIRTEEN

_MARGIN_EDGES = (0.0, 0.1, 0.2, 0.4, 0.6, 1.0)


@dataclass(frozen=True)
class MarginBin:
    """Objects whose deciding vote has a lead in [low, high)."""

    low: float
    high: float
    count: int
    accuracy: float
    volunteers: float


@dataclass(frozen=True)
class HumanBaseline:
    """The model compared with the volunteers.

    Attributes
    ----------
    count : int
        Objects with votes.
    leaf_ceiling, group_ceiling : float
        Share of re-drawn panels of volunteers that reproduce the published class, or group.
    margins : tuple of MarginBin
        Accuracy of the model and of the volunteers by the lead of the deciding vote.
    """

    count: int
    leaf_ceiling: float
    group_ceiling: float
    margins: tuple[MarginBin, ...]

    def as_dict(self) -> dict[str, object]:
        """Plain values for metrics.json."""
        return {
            "count": self.count,
            "leaf_ceiling": round(self.leaf_ceiling, 6),
            "group_ceiling": round(self.group_ceiling, 6),
            "by_margin": [vars(margin) for margin in self.margins],
        }


def compare_with_volunteers(
    votes: Sequence[Mapping[str, float]],
    labels: Sequence[str | None],
    probabilities: NDArray[np.float64],
    *,
    seed: int,
) -> HumanBaseline | None:
    """Compare predictions with a second panel of volunteers.

    Parameters
    ----------
    votes : sequence of mapping
        Vote columns of each object (`ceiling.VOTE_COLUMNS`, total_classifications); NaN total: no votes.
    labels : sequence of str or None
        Published label of each object.
    probabilities : float64, (n, 13)
        The model's class probabilities.

    Returns
    -------
    HumanBaseline or None
        None if no object has votes.
    """
    true = THIRTEEN.true_index(labels)
    keep = np.array([i for i, row in enumerate(votes) if row["total_classifications"] > 0 and true[i] >= 0], dtype=int)
    if len(keep) == 0:
        return None
    panel = second_panel([votes[i] for i in keep], seed=seed)
    right = probabilities[keep].argmax(axis=1) == true[keep]
    return HumanBaseline(
        count=len(keep),
        leaf_ceiling=float(panel.leaf_agreement.mean()),
        group_ceiling=float(panel.group_agreement.mean()),
        margins=tuple(_margins(panel, right)),
    )


def _margins(panel: SecondPanel, right: NDArray[np.bool_]) -> list[MarginBin]:
    bins = []
    for low, high in zip(_MARGIN_EDGES[:-1], _MARGIN_EDGES[1:], strict=True):
        here = (panel.margin >= low) & ((panel.margin < high) | (high == _MARGIN_EDGES[-1]))
        if here.any():
            volunteers = float(panel.leaf_agreement[here].mean())
            bins.append(MarginBin(low, high, int(here.sum()), float(right[here].mean()), volunteers))
    return bins
