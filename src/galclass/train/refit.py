"""Heads refitted to a finished body: cutouts are embedded once, then only the heads learn.

Training shows every cutout shifted, rotated and often as another survey would; heads fitted only to such images are not
the best for unaugmented cutouts. Takes a `Trainer` with a trained network, leaves the fitted heads in its best weights;
writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from galclass.train.augment import draw, warp
from galclass.train.batches import scaled_central
from galclass.train.inference import all_outputs
from galclass.train.networks import Network
from galclass.train.trainer import Trainer

_CHUNK = 256
_LEAST_SPREAD = 1e-6
_WARM_UP = 0.15


@dataclass(frozen=True)
class RefitOptions:
    """How heads are fitted.

    Attributes
    ----------
    epochs : int
        Passes over the training rows, repeated as `train.repeats` says.
    learning_rate : float
        Peak step size of AdamW, in units of standardised embeddings.
    mini_batch_size : int
        Rows per step.
    drawn_views : int
        Augmented versions of each cutout that are embedded in addition to the cutout itself.
    drawn_share : float
        Share of the rows of a step, in [0, 1], that are shown as one of them.
    """

    epochs: int = 3
    learning_rate: float = 2e-3
    mini_batch_size: int = 512
    drawn_views: int = 1
    drawn_share: float = 0.5


def refit_heads(trainer: Trainer, options: RefitOptions) -> dict[str, float]:
    """Fit all heads, and the transition of surveys, by the trainer's goal; return the validation metrics."""
    network, data = trainer.network.eval(), trainer.data
    rows = np.unique(trainer.goal.rows)
    index = np.full(len(data.label), -1, dtype=np.int64)
    index[rows] = np.arange(len(rows))
    views = [torch.cat(list(_embedded(trainer, rows, view))) for view in range(1 + options.drawn_views)]
    mean, spread = views[0].mean(0), views[0].std(0).clamp(min=_LEAST_SPREAD)
    shown = torch.stack([(view - mean) / spread for view in views])
    heads = [
        module for module in network.modules() if isinstance(module, nn.Linear) and module not in _of_body(network)
    ]
    _change_units(heads, mean, spread)
    _fit(trainer, shown, index, options)
    _change_units(heads, -mean / spread, 1 / spread)
    trainer.best.load_state_dict(network.state_dict())
    outputs = all_outputs(trainer.best.eval(), data, trainer.validation, trainer)
    with torch.no_grad():
        return trainer.goal.validate(outputs)


def _fit(trainer: Trainer, shown: Tensor, index: NDArray[np.int64], options: RefitOptions) -> None:
    network, goal = trainer.network, trainer.goal
    rng = np.random.default_rng(trainer.seed)
    torch.manual_seed(trainer.seed)
    body = {id(parameter) for parameter in network.body.parameters()}
    learned = [p for part in (network, goal.module) if part is not None for p in part.parameters() if id(p) not in body]
    steps = max(1, len(goal.rows) // options.mini_batch_size)
    optimizer = torch.optim.AdamW(learned, lr=options.learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, total_steps=options.epochs * steps + 1, pct_start=_WARM_UP
    )
    network.dropout.train()
    for _ in range(options.epochs):
        for own in np.array_split(rng.permutation(goal.rows), steps):
            view = rng.integers(1, len(shown), len(own)) if len(shown) > 1 else np.zeros(len(own), dtype=np.int64)
            view[rng.random(len(own)) >= options.drawn_share] = 0
            outputs = network.outputs_of(shown[torch.from_numpy(view), torch.from_numpy(index[own])])
            loss = goal.loss(outputs, torch.from_numpy(own)) / len(own)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's annotation
            nn.utils.clip_grad_norm_(learned, 5.0)
            optimizer.step()
            schedule.step()
    network.dropout.eval()


@torch.no_grad()
def _embedded(trainer: Trainer, rows: NDArray[np.int64], view: int) -> Iterator[Tensor]:
    """Embed rows: unaugmented (view 0), or augmented as in training."""
    data, scale = trainer.data, trainer.scale
    for start in range(0, len(rows), _CHUNK):
        own = rows[start : start + _CHUNK]
        if view == 0:
            pixels = scaled_central(data, own, scale, trainer.device)
        else:
            draws = draw(np.random.default_rng([trainer.seed, view, start]), len(own), trainer.config)
            planes = torch.from_numpy(warp(data.store.cutouts(own), draws, data.size_px)).permute(0, 3, 1, 2)
            pixels = scale.apply(planes.float()) * torch.from_numpy(draws.gain)[:, :, None, None]
        yield trainer.network.embed(pixels.contiguous(memory_format=torch.channels_last))


def _of_body(network: Network) -> set[nn.Module]:
    return set(network.body.modules())


@torch.no_grad()
def _change_units(heads: list[nn.Linear], mean: Tensor, spread: Tensor) -> None:
    """Change linear heads so that their output for (x - mean) / spread is what it was for x."""
    for head in heads:
        head.bias.add_(head.weight @ mean)
        head.weight.mul_(spread)
