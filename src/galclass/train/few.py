"""Training on few labels: what is refused, when it stops early, and what to do instead."""

from __future__ import annotations

from collections import Counter

from galclass.errors import TrainingError
from galclass.train.dataset import TrainingData

FEW_LABELS = 250
"""With fewer labelled training objects, a new network learns less than a head on the model in the package."""

VERY_FEW_LABELS = 10
"""Fewest labelled objects for training."""

PATIENCE = 6
"""Epochs without a better validation loss after which training on few labels ends."""

ADVICE = "`galclass finetune CATALOG --images FOLDER` fits few labels better: it starts from the model in the package"


def patience(asked: int, count: int) -> int:
    """Return the epochs to wait: as configured, or `PATIENCE` if nothing is configured and labels are few."""
    return asked or (PATIENCE if count < FEW_LABELS else 0)


def remark(count: int, epochs: int, planned: int) -> str:
    """Return the remark after training on few labels; empty if there are enough."""
    if count >= FEW_LABELS:
        return ""
    ended = f"training ended after {epochs} of {planned} epochs; " if epochs < planned else ""
    return f"{count} labelled training objects are few for training a network; {ended}{ADVICE}"


def require_labels(data: TrainingData, where: str) -> None:
    """Check that there are enough labels to train on at all.

    Raises
    ------
    TrainingError
        If there are fewer than `VERY_FEW_LABELS` labelled training objects, or fewer than two labels that two of them
        share: one object of a label teaches nothing about it.
    """
    rows = data.indices("train")
    counts = Counter(data.label[row] for row in rows if data.label[row])
    single = [label for label, count in counts.items() if count < 2]
    if counts and (counts.total() < VERY_FEW_LABELS or len(counts) - len(single) < 2):
        only = f", one only of {', '.join(map(repr, single[:5]))}" if single else ""
        raise TrainingError(
            "too few labels to train on",
            where=where,
            expected=f"{VERY_FEW_LABELS} labelled training objects or more, and two labels with two or more each",
            got=f"{counts.total()} labelled{only}",
            advice=f"label more; {ADVICE}",
        )
