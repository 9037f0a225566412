"""Losses for labels at any level of the morphology tree, and for vote fractions.

Takes logits and targets of a batch, returns one loss per row; writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from galclass.config import TrainConfig
from galclass.morphology import CLASSES, COARSE_LABELS, QUESTIONS
from galclass.train.conventions import own_kind, raw_kinds, widened_to_two
from galclass.train.dataset import TrainingData, vote_reach
from galclass.train.networks import Outputs

_LEAST_REACH = 0.02
"""A question reached by a smaller share of voters contributes nothing."""


@dataclass(frozen=True)
class Targets:
    """Targets of rows; the first axis is the index rows of a data set, or a batch of them.

    Attributes
    ----------
    leaves : bool, (n, 13)
        Classes the label stands for.
    weight : float32, (n,)
        Weight of the label's loss.
    observed : int64, (n,)
        Column of the label-noise matrix, -1 where the label is taken as true.
    votes : float32, (n, 37)
        Debiased fractions, 0 where absent.
    reach : float32, (n, 11)
        Share of voters who reach each question, 0 where unknown.
    fine : bool, (n, 13)
        The class by debiased fractions, for its separate head; all False where there is none.
    within : bool, (n, 13)
        The classes among which the class head learns `fine`; all False where it learns nothing from it.
    """

    leaves: Tensor
    weight: Tensor
    observed: Tensor
    votes: Tensor
    reach: Tensor
    fine: Tensor
    within: Tensor

    def rows(self, index: Tensor) -> Targets:
        """Return the targets of some rows."""
        return Targets(*(part[index] for part in self._parts()))

    def to(self, device: torch.device) -> Targets:
        """Move to a device."""
        return Targets(*(part.to(device) for part in self._parts()))

    def _parts(self) -> tuple[Tensor, ...]:
        return self.leaves, self.weight, self.observed, self.votes, self.reach, self.fine, self.within


def make_targets(
    data: TrainingData,
    weight: NDArray[np.float32],
    observed: NDArray[np.int64],
    *,
    debiased_sources: tuple[str, ...] = (),
    binary: bool = False,
) -> Targets:
    """Gather the targets of all index rows; labels of `debiased_sources` are split up as in `conventions`."""
    leaves = widened_to_two(data.leaves) if binary else data.leaves.copy()
    fine, within = np.zeros_like(leaves), np.zeros_like(leaves)
    if debiased_sources:
        debiased = np.array([source in debiased_sources for source in data.source], dtype=bool) & leaves.any(1)
        debiased &= ~leaves[:, CLASSES.index("A")]
        fine[debiased] = leaves[debiased]
        within[debiased] = own_kind(leaves)[debiased]
        leaves[debiased] = raw_kinds(data.store.index, "train.debiased_sources")[debiased]
    return Targets(
        leaves=torch.from_numpy(leaves),
        weight=torch.from_numpy(weight),
        observed=torch.from_numpy(observed),
        votes=torch.from_numpy(np.nan_to_num(data.votes)),
        reach=torch.from_numpy(vote_reach(data.votes)),
        fine=torch.from_numpy(fine),
        within=torch.from_numpy(within),
    )


class Observation(nn.Module):
    """A survey's label-noise matrix: learned, row-stochastic, shared by all face-on spirals.

    Parameters
    ----------
    kinds : sequence of tuple of int
        The survey's labels as the classes (indices into `CLASSES`) each stands for: the columns.
    """

    row_of_class: Tensor

    def __init__(self, kinds: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        self.kinds = kinds
        spirals = [CLASSES.index(name) for name in COARSE_LABELS["spiral"]]
        row_of_class = [spirals[0] if position in spirals else position for position in range(len(CLASSES))]
        start = torch.zeros(len(CLASSES), len(kinds))
        for column, kind in enumerate(kinds):
            start[list(kind), column] = 4.0  # almost the identity: 96 % with three kinds
        self.logits = nn.Parameter(start)
        self.register_buffer("row_of_class", torch.tensor(row_of_class), persistent=False)

    @property
    def names(self) -> list[str]:
        """The meaning of each column, by which a checkpoint recognises the matrix."""
        return ["|".join(CLASSES[position] for position in kind) for kind in self.kinds]

    def matrix(self) -> Tensor:
        """Return P(survey's label | true class), (13, k)."""
        return torch.softmax(self.logits, 1)[self.row_of_class]


def observed_kinds(
    data: TrainingData, sources: tuple[str, ...]
) -> tuple[tuple[tuple[int, ...], ...], NDArray[np.int64]]:
    """Return the kinds of label of the named sources, and each index row's kind (-1: not of these sources)."""
    chosen = np.array([source in sources for source in data.source], dtype=bool) & data.leaves.any(1)
    kinds = tuple(sorted({tuple(int(i) for i in np.flatnonzero(leaves)) for leaves in data.leaves[chosen]}))
    column = np.full(len(data.label), -1, dtype=np.int64)
    for row in np.flatnonzero(chosen):
        column[row] = kinds.index(tuple(int(i) for i in np.flatnonzero(data.leaves[row])))
    return kinds, column


def class_loss(logits: Tensor, targets: Targets, observation: Observation | None, smoothing: float) -> Tensor:
    """Return -log of the probability of each row's label, 0 where there is none, (n,).

    A label that stands for several classes gets the sum of their probabilities. With smoothing e, the label is
    right with probability 1 - e and one of the 13 at random otherwise.
    """
    log_p = functional.log_softmax(logits.float(), 1)
    says = targets.leaves.any(1)
    log_label = torch.logsumexp(log_p.masked_fill(~targets.leaves, -1e9), 1)
    if observation is not None:
        seen = log_p.exp() @ observation.matrix()
        seen = (seen / seen.sum(1, keepdim=True)).gather(1, targets.observed.clamp(min=0)[:, None])[:, 0]
        log_label = torch.where(targets.observed >= 0, torch.log(seen + 1e-9), log_label)
    if smoothing > 0:
        log_label = torch.log((1 - smoothing) * log_label.exp() + smoothing / len(CLASSES))
    return -log_label * says


def within_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Return -log P(fine class | its kind), 0 where there is none, (n,)."""
    log_p = functional.log_softmax(logits.float(), 1)
    kind = torch.logsumexp(log_p.masked_fill(~targets.within, -1e9), 1)
    own = (log_p * targets.fine).sum(1)
    return (kind - own) * targets.within.any(1)


def fine_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Return -log P(fine label) of the head for debiased labels, 0 where there is none, (n,).

    A label that stands for several classes gets the sum of their probabilities.
    """
    log_p = functional.log_softmax(logits.float(), 1)
    return -torch.logsumexp(log_p.masked_fill(~targets.fine, -1e9), 1) * targets.fine.any(1)


class DebiasedVotes(Protocol):
    """Debiased fractions (n, 37), and the share of voters who reach each question (n, 11), as in `Targets`."""

    @property
    def votes(self) -> Tensor:
        """Fractions."""

    @property
    def reach(self) -> Tensor:
        """Shares of voters."""


def vote_loss(votes: Tensor, targets: DebiasedVotes) -> Tensor:
    """Return the cross-entropy of the vote fractions over questions, each weighted by the share who reach it, (n,)."""
    total = torch.zeros(len(votes), device=votes.device)
    for question, columns in enumerate(question_columns()):
        reach = targets.reach[:, question]
        reach = torch.where(reach > _LEAST_REACH, reach, 0.0)
        log_p = functional.log_softmax(votes[:, columns].float(), 1)
        total = total - reach * (targets.votes[:, columns] * log_p).sum(1)
    return total


def question_columns() -> tuple[slice, ...]:
    """Return the vote head's columns of each question."""
    slices, start = [], 0
    for question in QUESTIONS.values():
        slices.append(slice(start, start + len(question.answers)))
        start += len(question.answers)
    return tuple(slices)


def batch_loss(outputs: Outputs, targets: Targets, observation: Observation | None, config: TrainConfig) -> Tensor:
    """Return the sum over the batch of weighted class losses, debiased losses and vote losses, a scalar."""
    if config.type == "regression" and outputs.votes is not None:
        return vote_loss(outputs.votes, targets).sum()
    loss = (class_loss(outputs.logits, targets, observation, config.label_smoothing) * targets.weight).sum()
    if outputs.debiased is not None:
        loss = loss + within_loss(outputs.logits, targets).sum() + fine_loss(outputs.debiased, targets).sum()
    if outputs.votes is not None:
        loss = loss + config.vote_weight * vote_loss(outputs.votes, targets).sum()
    return loss
