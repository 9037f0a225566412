"""Fine-tune a model's network to own classes: the head is fitted first, then the last layers or all of them with it.

Takes cutouts and codes of classes, returns a model and its cross-validated predictions. Fine-tuning starts from the
logistic regression on the embeddings (Kumar et al. 2022, https://arxiv.org/abs/2202.10054), so that after 0 epochs the
network is that head; the statistics of the normalisations stay those of the model.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from galclass.config import TrainConfig
from galclass.scoring.logistic import fit_logistic, log_loss, softmax, stratified_folds
from galclass.train.augment import draw, warp
from galclass.train.from_onnx import FrozenBody, frozen_body, with_body

Layers = Literal["last", "all"]

FOLDS = 3
BATCH = 32
LEARNING_RATE = 1e-4
WARM_UP = 0.1
PATIENCE = 3
"""A fold ends after this many epochs without a smaller loss on the objects left out."""

_WEIGHT_DECAY = 0.01
_CHUNK = 256


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned network and its cross-validated predictions.

    Attributes
    ----------
    model : bytes
        The base model with the tuned body.
    weights : float32, (d, k)
    bias : float32, (k,)
        Of the head on its embedding; not yet calibrated.
    embeddings : float32, (n, d)
        Of the objects that it was tuned on.
    epochs : int
        As many as were best for objects left out; 0: the head alone was best.
    folds : int64, (n,)
    logits : float64, (n, k)
        Of each object by the network that was tuned without it.
    apart : list of (float32, float32)
        For each fold, embeddings of the others and of the fold by that network.
    losses : list of float
        Log loss of the objects left out after 0, 1, ... epochs.
    """

    model: bytes
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    epochs: int
    folds: NDArray[np.int64]
    logits: NDArray[np.float64]
    apart: list[tuple[NDArray[np.float32], NDArray[np.float32]]]
    losses: list[float]


def epochs_for(count: int) -> int:
    """Return how many epochs are planned for a number of labels: the fewer labels, the more epochs."""
    return int(np.clip(round(150 / math.sqrt(count)), 5, 20))


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


def fine_tuned(
    model: bytes,
    squares: NDArray[np.uint8],
    codes: NDArray[np.int64],
    n_classes: int,
    *,
    layers: Layers,
    seed: int = 0,
    threads: int = 1,
    advance: Callable[[int, int], None] = lambda count, total: None,
) -> Tuned:
    """Fine-tune a model, with the number of epochs chosen by cross-validation.

    Parameters
    ----------
    model : bytes
        ONNX bytes of a residual network of this package, also with a head for own classes.
    squares : uint8, (n, side, side, 3)
        Stored cutouts of the model's parameters (`galclass.cutouts.stored_cutout`).
    codes : int64, (n,)
        Classes, 0 to k - 1, each at least `FOLDS` times.
    n_classes : int
        k.
    layers : "last" or "all"
        Those after the last halving of the image, or all.
    seed : int
    threads : int
        Torch's, during the call.
    advance : callable
        Called after each epoch with the largest number there may be.

    Returns
    -------
    Tuned

    Raises
    ------
    ModelError
        If it has another network.
    ExtraError
        If the package onnx is not installed.
    """
    start = frozen_body(model)
    with _threads(threads):
        blank = np.zeros((start.embedding_size, n_classes))
        embeddings = TunedNetwork(start, blank, blank[0]).embed(squares)
        planned = epochs_for(len(codes))
        total = (FOLDS + 1) * planned
        folds = stratified_folds(codes, FOLDS, seed)
        left_out = []
        for fold in range(FOLDS):
            kept = folds != fold
            network = started(start, embeddings[kept], codes[kept], n_classes, seed=seed)
            one = _LeftOut(network, squares[~kept], codes[~kept], lambda: advance(1, total))
            tune(
                network, squares[kept], codes[kept], layers=layers, epochs=planned, seed=seed,
                after_epoch=one.look,
            )  # fmt: skip
            left_out.append(one)
        losses = _mean_losses(left_out)
        best = int(np.argmin(losses))
        network = started(start, embeddings, codes, n_classes, seed=seed)

        def count(epoch: int) -> bool:
            del epoch
            advance(1, total)
            return False

        if best:
            tune(network, squares, codes, layers=layers, epochs=planned, stop=best, seed=seed, after_epoch=count)
        logits = np.empty((len(codes), n_classes))
        apart = []
        for fold, one in enumerate(left_out):
            logits[folds == fold] = one.logits[best]
            one.go_back_to(best)
            apart.append((one.network.embed(squares[folds != fold]), one.network.embed(squares[folds == fold])))
        return Tuned(
            with_body(model, network.body) if best else model,
            *network.head_arrays(),
            network.embed(squares) if best else embeddings,
            best,
            folds,
            logits,
            apart,
            losses,
        )


class _LeftOut:
    """Objects that a network is not tuned on: its predictions for them and its weights after each epoch."""

    def __init__(
        self, network: TunedNetwork, squares: NDArray[np.uint8], codes: NDArray[np.int64], done: Callable[[], None]
    ) -> None:
        self.network, self.squares, self.codes, self.done = network, squares, codes, done
        self.logits: list[NDArray[np.float64]] = []
        self.losses: list[float] = []
        self._states: list[dict[str, Tensor]] = []
        self._keep()

    def look(self, epoch: int) -> bool:
        """Predict after an epoch; return whether the last ones brought no improvement."""
        self._keep()
        self.done()
        return epoch - int(np.argmin(self.losses)) >= PATIENCE

    def go_back_to(self, epoch: int) -> None:
        """Restore the weights that the network had after an epoch."""
        self.network.load_state_dict(self._states[epoch])

    def _keep(self) -> None:
        self.logits.append(self.network.logits(self.network.embed(self.squares)))
        self.losses.append(log_loss(softmax(self.logits[-1]), self.codes))
        self._states.append(copy.deepcopy(self.network.state_dict()))


def _mean_losses(left_out: list[_LeftOut]) -> list[float]:
    """Return the log loss of all objects left out, after each epoch that every fold reached."""
    reached = min(len(one.losses) for one in left_out)
    sizes = [len(one.codes) for one in left_out]
    return [float(np.average([one.losses[epoch] for one in left_out], weights=sizes)) for epoch in range(reached)]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
