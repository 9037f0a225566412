"""Fine-tune a model's network to own classes for as many epochs as are best for objects left out.

Takes cutouts and codes of classes, returns a model and its cross-validated predictions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galclass.scoring.logistic import log_loss, softmax, stratified_folds
from galclass.train.from_onnx import FrozenBody, frozen_body, with_body
from galclass.train.tune import FOLDS, Layers, TunedNetwork, started, tune

PATIENCE = 3
"""A fold ends after this many epochs without a smaller loss on the objects left out."""


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
    planned = epochs_for(len(codes))
    with _threads(threads):
        blank = np.zeros((start.embedding_size, n_classes))
        embeddings = TunedNetwork(start, blank, blank[0]).embed(squares)
        run = _Run(
            start, squares, codes, embeddings, n_classes, layers, planned, seed,
            lambda: advance(1, (FOLDS + 1) * planned),
        )  # fmt: skip
        folds = stratified_folds(codes, FOLDS, seed)
        left_out = [run.without(folds == fold) for fold in range(FOLDS)]
        losses = _mean_losses(left_out)
        best = int(np.argmin(losses))
        network = run.on_all(best)
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


@dataclass(frozen=True)
class _Run:
    """What the trainings of a cross-validation have in common; `done` is called after each epoch."""

    start: FrozenBody
    squares: NDArray[np.uint8]
    codes: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    n_classes: int
    layers: Layers
    planned: int
    seed: int
    done: Callable[[], None]

    def without(self, left: NDArray[np.bool_]) -> _LeftOut:
        """Tune a network on all objects but some."""
        rows = ~left
        network = started(self.start, self.embeddings[rows], self.codes[rows], self.n_classes, seed=self.seed)
        found = _LeftOut(network, self.squares[left], self.codes[left], self.done)
        tune(
            network, self.squares[rows], self.codes[rows], layers=self.layers, epochs=self.planned, seed=self.seed,
            after_epoch=found.look,
        )  # fmt: skip
        return found

    def on_all(self, epochs: int) -> TunedNetwork:
        """Tune a network on all objects for some of the planned epochs."""
        network = started(self.start, self.embeddings, self.codes, self.n_classes, seed=self.seed)

        def count(_: int) -> bool:
            self.done()
            return False

        if epochs:
            tune(
                network, self.squares, self.codes, layers=self.layers, epochs=self.planned, stop=epochs,
                seed=self.seed, after_epoch=count,
            )  # fmt: skip
        return network


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
