"""Optimizers and learning-rate schedules under rxNeuralNet's option names, and what surrounds a step.

Takes a module's parameters and a `TrainConfig`; the state of everything here goes into the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, AdamW, Optimizer

from galclass.config import TrainConfig

_ADAMW_BETAS = (0.9, 0.99)
"""A shorter memory of the squared gradient than usual: runs here have thousands of steps, not millions."""

_LAST_RATE = 1e-3
"""Where the cosine ends, as a share of the highest rate."""


def make_optimizer(modules: Iterable[nn.Module], config: TrainConfig) -> Optimizer:
    """Build the optimizer; biases, scales and label-noise matrices (one axis, or named "logits") do not decay."""
    named = [item for module in modules for item in module.named_parameters()]
    decaying = [p for name, p in named if p.ndim > 1 and name != "logits"]
    others = [p for name, p in named if p.ndim <= 1 or name == "logits"]
    groups = [{"params": decaying, "decoupled": config.weight_decay}, {"params": others, "decoupled": 0.0}]
    groups = [group for group in groups if group["params"]]
    rate, l2 = config.learning_rate, config.l2_regularization
    if config.optimizer == "sgd":
        return SGD(groups, lr=rate, momentum=config.momentum, nesterov=config.nag, weight_decay=l2, foreach=True)
    if config.optimizer == "ada_delta_sgd":
        return Adadelta(groups, lr=rate, rho=config.decay, eps=config.conditioning_const, weight_decay=l2, foreach=True)
    return AdamW(groups, lr=rate, betas=_ADAMW_BETAS, weight_decay=0.0, fused=True)


def take_step(optimizer: Optimizer, rate: float, config: TrainConfig) -> None:
    """Clip the gradient, decay the weights, step, and keep units within `max_norm`."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if config.clip_norm > 0:
        nn.utils.clip_grad_norm_(parameters, config.clip_norm, foreach=True)
    if config.l2_regularization > 0 and config.optimizer == "adamw":
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_add_(gradients, [p.detach() for p in parameters], alpha=config.l2_regularization)
    for group in optimizer.param_groups:
        group["lr"] = rate
        if group["decoupled"] > 0:
            torch._foreach_mul_([p.detach() for p in group["params"]], 1 - rate * group["decoupled"])
    optimizer.step()
    if config.max_norm > 0:
        _limit_norms(parameters, config.max_norm)


def _limit_norms(parameters: list[Tensor], limit: float) -> None:
    with torch.no_grad():
        for parameter in parameters:
            if parameter.ndim > 1:
                parameter.copy_(torch.renorm(parameter, p=2, dim=0, maxnorm=limit))


@dataclass
class Schedule:
    """The learning rate of every step.

    Parameters
    ----------
    config : TrainConfig
        Schedule and its options.
    steps : int
        Steps of an epoch.

    Attributes
    ----------
    reduction : float
        Product of the reductions after a stalled error (`l_rate_red_error_ratio`).
    last_error : float
        Training loss of the previous epoch.
    """

    config: TrainConfig
    steps: int
    reduction: float = 1.0
    last_error: float = math.inf

    def rate(self, iteration: int, step: int) -> float:
        """Return the rate of step `step` (from 0) of epoch `iteration` (from 0)."""
        config = self.config
        total = max(1, config.num_epochs * self.steps)
        done = (iteration * self.steps + step) / total
        if config.schedule == "step":
            return (
                config.learning_rate * self.reduction * config.l_rate_red_ratio ** (iteration // config.l_rate_red_freq)
            )
        if done < config.warm_up:
            return config.learning_rate * (done + 1 / total) / (config.warm_up + 1 / total)
        if config.schedule == "constant":
            return config.learning_rate
        left = (done - config.warm_up) / (1 - config.warm_up)
        return config.learning_rate * (0.5 * (1 + math.cos(math.pi * left)) + _LAST_RATE)

    def end_iteration(self, error: float) -> None:
        """Reduce the rate when the error fell by less than `l_rate_red_error_ratio`."""
        least = self.config.l_rate_red_error_ratio
        if self.config.schedule == "step" and least > 0 and error > self.last_error * (1 - least):
            self.reduction *= self.config.l_rate_red_ratio
        self.last_error = error

    def state(self) -> dict[str, float]:
        """Return the state for a checkpoint."""
        return {"reduction": self.reduction, "last_error": self.last_error}

    def load_state(self, state: dict[str, float]) -> None:
        """Restore a checkpoint's state."""
        self.reduction, self.last_error = state["reduction"], state["last_error"]


@torch.no_grad()
def renew_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Recompute the statistics of batch normalisation: their mean over batches, with the network's current weights.

    Averaged weights have no statistics of their own, and the mean of those seen in training lags behind them. Networks
    without `BatchNorm2d` are left alone, and no batches are drawn.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    before, training = [norm.momentum for norm in norms], network.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: the plain mean over all batches
    network.train()
    for batch in batches:
        network(batch)
    network.train(training)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum


class RunningMean:
    """Exponential moving average of modules' weights and buffers.

    Parameters
    ----------
    source, target : Module
        Same architecture; the target is changed.
    memory : float
        In [0, 1); less in the first steps, so that the random start is forgotten.
    """

    def __init__(self, source: nn.Module, target: nn.Module, memory: float) -> None:
        self.memory = memory
        states = zip(source.state_dict().values(), target.state_dict().values(), strict=True)
        pairs = list({b.data_ptr(): (a, b) for a, b in states}.values())  # shared weights occur twice, and count once
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._others = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Average in the weights after step `step` (from 1, over the whole run)."""
        memory = min(self.memory, step / (step + 20))
        torch._foreach_lerp_([b for _, b in self._floats], [a for a, _ in self._floats], 1 - memory)
        for a, b in self._others:
            b.copy_(a)
