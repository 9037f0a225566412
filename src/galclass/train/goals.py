"""The objective of a run: the targets of every row, what is learned besides the network, the loss, the validation.

Takes the data and a `TrainConfig`, returns a `Goal`: labels and debiased votes, or the one likelihood of raw votes.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from galclass.config import TrainConfig
from galclass.train.dataset import TrainingData, class_weights, repeated_rows
from galclass.train.likelihood import vote_targets, votes_loss
from galclass.train.losses import Observation, batch_loss, make_targets, observed_kinds
from galclass.train.metrics import validation_metrics, vote_metrics
from galclass.train.networks import Outputs
from galclass.train.raw_votes import mean_votes
from galclass.train.teacher import TeacherPredictions, teacher_loss


class Goal(Protocol):
    """What the trainer needs from a goal."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """Training rows; one that occurs k times is used k times per epoch."""

    @property
    def validation(self) -> NDArray[np.int64]:
        """Rows to validate on."""

    @property
    def leaves(self) -> NDArray[np.bool_]:
        """The classes that count as right in validation, (index rows, 13)."""

    @property
    def module(self) -> nn.Module | None:
        """The module learned besides the network."""

    def loss(self, outputs: Outputs, rows: Tensor) -> Tensor:
        """Return the loss of some index rows, summed, a scalar."""

    def validate(self, outputs: Outputs) -> dict[str, float]:
        """Measure the outputs for all `validation` rows."""


def make_goal(
    data: TrainingData, config: TrainConfig, device: torch.device, teacher: TeacherPredictions | None = None
) -> Goal:
    """Return the goal that `train.type` names, with a teacher's predictions if there are any."""
    goal: Goal = VotesGoal(data, config, device) if config.type == "votes" else LabelGoal(data, config, device)
    return goal if teacher is None else TaughtGoal(goal, data, config, teacher.to(device))


class TaughtGoal:
    """Another goal plus a teacher's predictions; also trains on rows with nothing but a teacher's prediction."""

    def __init__(self, goal: Goal, data: TrainingData, config: TrainConfig, teacher: TeacherPredictions) -> None:
        self.goal, self.teacher, self.weight = goal, teacher, config.teacher_weight
        self.validation, self.leaves, self.module = goal.validation, goal.leaves, goal.module
        own = set(goal.rows.tolist())
        train = np.flatnonzero(np.array([split == "train" for split in data.split]) & teacher.known)
        self.rows = np.concatenate([goal.rows, [row for row in train if row not in own]]).astype(np.int64)

    def loss(self, outputs: Outputs, rows: Tensor) -> Tensor:
        """Return the loss of some index rows, summed, a scalar."""
        taught = teacher_loss(outputs, self.teacher.drawn(rows)).sum()
        return (1 - self.weight) * self.goal.loss(outputs, rows) + self.weight * taught

    def validate(self, outputs: Outputs) -> dict[str, float]:
        """Measure the outputs for all `validation` rows against their labels and votes, not against the teacher."""
        return self.goal.validate(outputs)


class LabelGoal:
    """Classes by their labels, and debiased vote fractions."""

    def __init__(self, data: TrainingData, config: TrainConfig, device: torch.device) -> None:
        self.config = config
        self.rows = repeated_rows(data, data.indices("train"), config)
        self.validation = data.indices("validation")
        kinds, observed = observed_kinds(data, config.observation_sources)
        self.module = Observation(kinds).to(device) if kinds else None
        weight = class_weights(data, self.rows, config.class_balance)
        targets = make_targets(
            data, weight, observed, debiased_sources=config.debiased_sources, binary=config.type == "binary"
        )
        self.leaves: NDArray[np.bool_] = targets.leaves.numpy() & ~(observed >= 0)[:, None]
        self.targets = targets.to(device)

    def loss(self, outputs: Outputs, rows: Tensor) -> Tensor:
        """Return the loss of some index rows, summed, a scalar."""
        return batch_loss(outputs, self.targets.rows(rows), self.module, self.config)

    def validate(self, outputs: Outputs) -> dict[str, float]:
        """Measure the outputs for all `validation` rows."""
        return validation_metrics(_probabilities(outputs), self.leaves[self.validation])


class VotesGoal:
    """The distribution of raw votes, of which all labels are events, and debiased fractions as well."""

    def __init__(self, data: TrainingData, config: TrainConfig, device: torch.device) -> None:
        self.config = config
        targets, reading = vote_targets(data, config)
        says = targets.says.numpy()
        train, validation = data.indices("train", raw=True), data.indices("validation", raw=True)
        self.rows, self.validation = repeated_rows(data, train[says[train]], config), validation[says[validation]]
        self.module = reading.to(device) if reading is not None else None
        at_their_word = (targets.clean >= 0) | targets.artifact | targets.word.any(1)
        self.leaves: NDArray[np.bool_] = data.leaves & at_their_word.numpy()[:, None]
        self.targets = targets.to(device)

    def loss(self, outputs: Outputs, rows: Tensor) -> Tensor:
        """Return the loss of some index rows, summed, a scalar."""
        return votes_loss(outputs, self.targets.rows(rows), self.module, self.config).sum()

    def validate(self, outputs: Outputs) -> dict[str, float]:
        """Measure the outputs for all `validation` rows; the loss is the mean of -log P."""
        rows = torch.from_numpy(self.validation).to(outputs.logits.device)
        found: dict[str, float] = {"validation_loss": float(self.loss(outputs, rows)) / len(rows)}
        leaves = self.leaves[self.validation]
        if leaves.any():
            own = validation_metrics(_probabilities(outputs), leaves)
            found |= {key: value for key, value in own.items() if key != "validation_loss"}
        counts = self.targets.counts[rows].cpu().numpy()
        if outputs.raw is not None and (counts.sum(1) > 0).any():
            found |= vote_metrics(mean_votes(outputs.raw).cpu().numpy(), counts)
        found.setdefault("validation_accuracy", found.get("validation_first_question", float("nan")))
        return found


def _probabilities(outputs: Outputs) -> NDArray[np.float32]:
    probabilities: NDArray[np.float32] = torch.softmax(outputs.logits.float(), 1).cpu().numpy()
    return probabilities
