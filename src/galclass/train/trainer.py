"""The training loop of one seed: epochs of steps, validation, the best weights, an exact state to resume from.

Takes data and a `TrainConfig`; `stage` owns the files. Everything random follows from (seed, epoch, step).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from galclass.config import TrainConfig
from galclass.errors import TrainingError
from galclass.train import few
from galclass.train.batches import Batches, scaled_central
from galclass.train.build import build_network, pixel_scale
from galclass.train.checkpoint import StartingWeights
from galclass.train.dataset import TrainingData
from galclass.train.device import Workers, pick_device
from galclass.train.goals import make_goal
from galclass.train.inference import all_outputs
from galclass.train.optimizers import RunningMean, Schedule, make_optimizer, renew_statistics, take_step
from galclass.train.starting import weights_to_start
from galclass.train.teacher import TeacherPredictions

_BLEND = 1
"""Separates the draws of mixup from those of a step's augmentation."""

_STATISTICS_BATCHES = 16
"""Batches from which the averaged weights get their statistics of batch normalisation."""

_GPU_CHECK_STEPS = 50
"""Steps between readings of the loss on a GPU: each waits for the GPU."""


@dataclass
class Position:
    """The progress and history of a run: the plain part of a checkpoint."""

    iteration: int = 0
    step: int = 0
    total_steps: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    batch_seconds: float = 0.0
    best_iteration: int = 0
    best_loss: float = math.inf
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """One run.

    Parameters
    ----------
    data : TrainingData
        Checked by `require_trainable`.
    config : TrainConfig
        Options.
    seed : int
        Of initial weights, orders, draws and dropout.
    workers : Workers
        This process among those that train together.
    teacher : TeacherPredictions, optional
        The predictions of `config.teacher`.

    Attributes
    ----------
    leaves : bool, (n, 13)
        The classes that count as right in validation, by index row; not the labels of a survey with a label-noise
        matrix.
    best : Network
        The weights with the smallest validation loss (the running mean's, if there is one).
    """

    def __init__(
        self,
        data: TrainingData,
        config: TrainConfig,
        *,
        seed: int,
        workers: Workers | None = None,
        teacher: TeacherPredictions | None = None,
    ) -> None:
        self.data, self.config, self.seed, self.workers = data, config, seed, workers or Workers()
        self.device = pick_device(config.acceleration)
        self.goal = make_goal(data, config, self.device, teacher)
        self.validation, self.leaves, self.observation = self.goal.validation, self.goal.leaves, self.goal.module
        vote_head = _has_vote_head(data, self.goal.rows, config)
        self.network = build_network(config, data.size_px, seed=seed, vote_head=vote_head).to(self.device)
        self.scale = pixel_scale(config)
        if config.initial_weights is not None:
            self._start_from(*weights_to_start(config, data))
        self.answering = copy.deepcopy(self.network) if config.ema > 0 else self.network
        self.best = copy.deepcopy(self.network)
        self.batches = Batches(data, self.goal.rows, config, self.scale, seed=seed, device=self.device)
        if not (config.type == "votes" or self.leaves[self.validation].any()):
            raise TrainingError(
                "no label of the validation split counts as true",
                where="train.observation_sources",
                got=config.observation_sources,
                advice="leave a source with reliable labels out of it",
            )
        if len(self.batches) // self.batches.steps < self.workers.count:
            raise TrainingError(
                "a batch has fewer cutouts than there are processes",
                where="train.mini_batch_size",
                expected=f"at least {self.workers.count}",
                got=len(self.batches) // self.batches.steps,
            )
        self._trained = [part for part in (self.network, self.observation) if part is not None]
        self.optimizer = make_optimizer(self._trained, config)
        self.schedule = Schedule(config, self.batches.steps)
        self.running = RunningMean(self.network, self.answering, config.ema) if config.ema > 0 else None
        self.at = Position()

    def _start_from(self, start: StartingWeights, where: str) -> None:
        own = self.network.state_dict()
        weights, observed, names = start
        fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
        body = [key for key in own if key.startswith("body.")]
        if any(key not in fitting for key in body):
            raise TrainingError("the checkpoint is of another topology", where=where, expected=self.config.topology)
        self.network.load_state_dict(fitting, strict=False)
        if self.observation is not None and names == self.observation.names:
            self.observation.load_state_dict(observed)

    @property
    def objects(self) -> int:
        """Number of different training objects."""
        return len(np.unique(self.goal.rows))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or too many brought no improvement."""
        patience = few.patience(self.config.early_stopping, self.objects)
        waited = self.at.iteration - self.at.best_iteration
        return self.at.iteration >= self.config.num_epochs or 0 < patience <= waited

    def run_iteration(self, after_step: Callable[[int, int], None]) -> dict[str, float]:
        """Finish the current epoch and validate; `after_step(step, steps)` may save or raise.

        Raises
        ------
        TrainingError
            If the loss is no longer finite.
        """
        order = self.batches.order(self.at.iteration)
        self.network.train()
        while self.at.step < len(order):
            self.step(order[self.at.step])
            after_step(self.at.step, len(order))
        row = self._end_iteration(len(order))
        self.at.history.append(row)
        return row

    def step(self, entries: NDArray[np.int64]) -> None:
        """Train on one batch of the epoch's entries."""
        started, self.batches.seconds = time.perf_counter(), 0.0
        self.at.loss_sum += self._step(entries)
        self.at.step += 1
        self.at.total_steps += 1
        if self.running is not None:
            self.running.update(self.at.total_steps)
        self.at.seconds += time.perf_counter() - started
        self.at.batch_seconds += self.batches.seconds

    def _step(self, entries: NDArray[np.int64]) -> float:
        iteration, step = self.at.iteration, self.at.step
        torch.manual_seed(int(np.random.SeedSequence([self.seed, iteration, step]).generate_state(1)[0]))
        self.optimizer.zero_grad(set_to_none=True)
        mine = self.workers.share(len(entries))
        total = torch.zeros((), device=self.device)
        for part in _parts(mine, self.config.accumulate):
            total += self._backward(entries, part)
        gradients = [p.grad for p in self._parameters() if p.grad is not None]
        self.workers.add_up([*gradients, total])
        loss = self._checked(total)
        take_step(self.optimizer, self.schedule.rate(iteration, step), self.config)
        return loss

    def _backward(self, entries: NDArray[np.int64], part: slice) -> Tensor:
        pixels = self.batches.pixels(entries, self.at.iteration, self.at.step, part)
        rows = torch.from_numpy(self.batches.rows[entries[part]]).to(self.device)
        own, partner = self._blend(len(rows))
        if own < 1:
            pixels = torch.lerp(pixels, pixels[partner], 1 - own)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.mixed_precision):
            outputs = self.network(pixels)
        loss = own * self.goal.loss(outputs, rows)
        if own < 1:
            loss = loss + (1 - own) * self.goal.loss(outputs, rows[partner])
        loss = loss / len(entries)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's annotation
        return loss.detach()

    def _blend(self, count: int) -> tuple[float, Tensor]:
        """Draw each cutout's share of the blend, and the order of the partners; 1 without mixup."""
        if self.config.mixup <= 0:
            return 1.0, torch.empty(0, dtype=torch.int64)
        rng = np.random.default_rng([self.seed, self.at.iteration, self.at.step, _BLEND])
        own = float(rng.beta(self.config.mixup, self.config.mixup))
        return own, torch.from_numpy(rng.permutation(count)).to(self.device)

    def _checked(self, loss: Tensor) -> float:
        if self.device.type == "cuda" and self.at.step % _GPU_CHECK_STEPS:
            return 0.0
        value = float(loss.item())
        if not math.isfinite(value):
            raise TrainingError(
                "the loss is no longer a finite number",
                where=f"epoch {self.at.iteration + 1}, step {self.at.step + 1}",
                got=value,
                advice="lower train.learning_rate, set train.clip_norm, or scale the input with train.normalize",
            )
        return value

    def _end_iteration(self, steps: int) -> dict[str, float]:
        at = self.at
        counted = steps if self.device.type != "cuda" else len(range(0, steps, _GPU_CHECK_STEPS))
        loss = at.loss_sum / counted
        row: dict[str, float] = {"iteration": at.iteration + 1, "learning_rate": self.schedule.rate(at.iteration, 0)}
        row |= {"train_loss": loss, **self._validate()}
        row |= {"seconds": at.seconds, "images_per_s": len(self.batches) / max(at.seconds, 1e-9)}
        row["batch_share"] = at.batch_seconds / max(at.seconds, 1e-9)
        at.iteration, at.step, at.loss_sum, at.seconds, at.batch_seconds = at.iteration + 1, 0, 0.0, 0.0, 0.0
        self.schedule.end_iteration(loss)
        if row["validation_loss"] < at.best_loss:
            at.best_loss, at.best_iteration = row["validation_loss"], at.iteration
            self.best.load_state_dict(self.answering.state_dict())
        return row

    def renew_answering(self) -> None:
        """Make the averaged weights usable: recompute their statistics of batch normalisation."""
        if self.running is not None:
            renew_statistics(self.answering, self._plain_batches())

    def _validate(self) -> dict[str, float]:
        self.renew_answering()
        views, self.answering.views = self.answering.views, min(self.answering.views, self.config.validation_views)
        outputs = all_outputs(self.answering, self.data, self.validation, self)
        self.answering.views = views
        with torch.no_grad():
            return self.goal.validate(outputs)

    def _plain_batches(self) -> Iterator[Tensor]:
        """Return some batches of training cutouts as the exported model sees them."""
        for entries in self.batches.order(self.at.iteration)[:_STATISTICS_BATCHES]:
            pixels = scaled_central(self.data, self.batches.rows[entries], self.scale, self.device)
            yield pixels.contiguous(memory_format=torch.channels_last)

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for module in self._trained for parameter in module.parameters()]

    def state(self) -> dict[str, Any]:
        """Return everything an exact resume needs: tensors and plain values."""
        return {
            "network": self.network.state_dict(),
            "answering": self.answering.state_dict(),
            "best": self.best.state_dict(),
            "netsharp": self.best.netsharp,
            "pixel_scale": str(self.scale),
            "observation": None if self.observation is None else self.observation.state_dict(),
            "observed": None if self.observation is None else self.observation.names,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state(),
            "position": vars(self.at),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from `state`."""
        self.network.load_state_dict(state["network"])
        self.answering.load_state_dict(state["answering"])
        self.best.load_state_dict(state["best"])
        if self.observation is not None:
            self.observation.load_state_dict(state["observation"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state(state["schedule"])
        self.at = Position(**state["position"])


def _has_vote_head(data: TrainingData, rows: NDArray[np.int64], config: TrainConfig) -> bool:
    has_votes = bool(data.has_votes[rows].any())
    if config.type == "regression" and not has_votes:
        raise TrainingError(
            "there are no debiased vote fractions to fit",
            where="train.type",
            got=config.type,
            advice='prepare a catalog with fractions, or use "multi_class"',
        )
    return config.type == "regression" or (has_votes and config.vote_weight > 0)


def _parts(whole: slice, count: int) -> list[slice]:
    edges = np.linspace(whole.start, whole.stop, count + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a]
