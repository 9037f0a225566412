"""Fine-tune a model's network to own classes: the head is fitted first, then the last layers or all of them with it.

Takes cutouts and codes of classes, trains the network in place. Fine-tuning starts from the logistic regression on the
embeddings (Kumar et al. 2022, https://arxiv.org/abs/2202.10054), so that after 0 epochs the network is that head; the
statistics of the normalisations stay those of the model.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from galclass.config import TrainConfig
from galclass.scoring.logistic import fit_logistic
from galclass.train.augment import draw, warp
from galclass.train.from_onnx import FrozenBody

Layers = Literal["last", "all"]

FOLDS = 3
BATCH = 32
LEARNING_RATE = 1e-4
WARM_UP = 0.1
_WEIGHT_DECAY = 0.01
_CHUNK = 256


class TunedNetwork(nn.Module):
    """A body whose normalisations are fixed, and a linear head on its embedding."""

    def __init__(self, start: FrozenBody, weights: NDArray[np.floating], bias: NDArray[np.floating]) -> None:
        super().__init__()
        self.body, self.scale, self.size_px = start
        self.head = nn.Linear(*weights.shape)
        self.head.weight.data = torch.from_numpy(weights.T.astype(np.float32))
        self.head.bias.data = torch.from_numpy(bias.astype(np.float32))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's annotation

    def train(self, mode: bool = True) -> TunedNetwork:
        """Stay in evaluation mode: statistics of a few labels would be worse than those of the model."""
        del mode
        return super().train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits for scaled pixels."""
        logits: Tensor = self.head(self.body(pixels))
        return logits

    def freeze(self, layers: Layers) -> None:
        """Let all layers be trained, or only the head and those after the last halving of the image."""
        units = [index for index, layer in enumerate(self.body.layers) if not hasattr(layer, "first")]
        for index, layer in enumerate(self.body.layers):
            layer.requires_grad_(layers == "all" or index > units[2])

    @torch.no_grad()
    def embed(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return embeddings of the centres of stored cutouts, (n, side, side, 3) -> (n, d)."""
        edge = (squares.shape[1] - self.size_px) // 2
        cutouts = squares[:, edge : edge + self.size_px, edge : edge + self.size_px]
        parts = [
            self.body(self.scaled(cutouts[start : start + _CHUNK])).numpy() for start in range(0, len(cutouts), _CHUNK)
        ]
        return np.concatenate(parts)

    def scaled(self, cutouts: NDArray[np.uint8]) -> Tensor:
        """Return scaled pixels, channels last."""
        planes = torch.from_numpy(np.ascontiguousarray(cutouts)).permute(0, 3, 1, 2).float()
        return self.scale.apply(planes).contiguous(memory_format=torch.channels_last)

    def logits(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the head's logits for embeddings."""
        weight, bias = self.head_arrays()
        return np.asarray(embeddings @ weight + bias, dtype=np.float64)

    def head_arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights (d, k) and bias (k,)."""
        return self.head.weight.detach().numpy().T.copy(), self.head.bias.detach().numpy().copy()


def started(
    start: FrozenBody, embeddings: NDArray[np.float32], codes: NDArray[np.int64], n_classes: int, *, seed: int
) -> TunedNetwork:
    """Return a copy of a body with a head that logistic regression fits to its embeddings of labelled objects."""
    folds = min(FOLDS, int(np.bincount(codes, minlength=n_classes).min()))
    fit = fit_logistic(embeddings, codes, n_classes, folds=folds, seed=seed)
    return TunedNetwork(copy.deepcopy(start), fit.weights, fit.bias)


def tune(
    network: TunedNetwork,
    squares: NDArray[np.uint8],
    codes: NDArray[np.int64],
    *,
    layers: Layers,
    epochs: int,
    stop: int | None = None,
    seed: int = 0,
    learning_rate: float | None = None,
    after_epoch: Callable[[int], bool] = lambda epoch: False,
) -> None:
    """Train a network in place.

    Parameters
    ----------
    network : TunedNetwork
    squares : uint8, (n, side, side, 3)
        Stored cutouts, wide enough for any turn.
    codes : int64, (n,)
    layers : "last" or "all"
    epochs : int
        Over which the learning rate falls, by half a cosine to 0.
    stop : int, optional
        Epochs after which it ends in any case.
    seed : int
    learning_rate : float, optional
        Its maximum; by default `LEARNING_RATE`.
    after_epoch : callable
        Called with the epoch, from 1; ends the training by returning True.
    """
    highest = LEARNING_RATE if learning_rate is None else learning_rate
    network.freeze(layers)
    trained = [one for one in network.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=highest, weight_decay=_WEIGHT_DECAY)
    steps = max(1, math.ceil(len(codes) / BATCH))
    options = TrainConfig()
    for epoch in range(min(epochs, epochs if stop is None else stop)):
        rng = np.random.default_rng([seed, epoch])
        for step, rows in enumerate(np.array_split(rng.permutation(len(codes)), steps)):
            done = (epoch * steps + step + 1) / (epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = highest * min(done / WARM_UP, 0.5 * (1 + math.cos(math.pi * done)))
            draws = draw(rng, len(rows), options)
            pixels = network.scaled(warp(squares[rows], draws, network.size_px))
            pixels = pixels * torch.from_numpy(draws.gain)[:, :, None, None]
            loss = functional.cross_entropy(network(pixels), torch.from_numpy(codes[rows]), label_smoothing=0.02)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's annotation
            nn.utils.clip_grad_norm_(trained, options.clip_norm)
            optimizer.step()
        if after_epoch(epoch + 1):
            return
