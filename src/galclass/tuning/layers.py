"""Fine-tune the network itself to own labels: from squares of labelled images to a head and its network."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from galclass.cutouts import stored_cutout
from galclass.errors import ModelError
from galclass.extras import require
from galclass.scoring.fit_confidence import FEWEST_OF_FLAG, FEWEST_OF_SETS, fit_conformal, fit_unlike_by_networks
from galclass.scoring.heads import Head, estimated
from galclass.scoring.logistic import fit_temperature, softmax
from galclass.scoring.scorer import Scorer
from galclass.tuning.labelled import LabelledImage, bytes_of

Layers = Literal["head", "last", "all"]


@dataclass(frozen=True)
class TunedHead:
    """A head on a fine-tuned network.

    Attributes
    ----------
    base : bytes
        The model that supplies its network, with the tuned weights.
    head : Head
    layers : str
        "last" or "all".
    epochs : int
        After which objects left out were predicted best.
    losses : list of float
        Log loss of objects left out after 0 (the head alone), 1, ... epochs.
    """

    base: bytes
    head: Head
    layers: str
    epochs: int
    losses: list[float]

    def __str__(self) -> str:
        what = "all layers" if self.layers == "all" else "the last layers"
        alone, best = self.losses[0], min(self.losses)
        if not self.epochs:
            tried = min(self.losses[1:], default=alone)
            return (
                f"fine-tuning {what} was no better than the head alone (log loss of objects left out {tried:.3f} and "
                f"{alone:.3f}), so the network is unchanged"
            )
        return (
            f"fine-tuned {what} in {self.epochs} epochs: log loss of objects left out {best:.3f}, of the head alone "
            f"{alone:.3f}"
        )


def check_layers(layers: Layers) -> None:
    """Check that the packages for fitting these layers are installed, before anything is read.

    Raises
    ------
    ExtraError
        If torch or onnx is not.
    """
    if layers in ("last", "all"):
        require("train", what=f"`galclass finetune --layers {layers}`")


def tuned_head(
    scorer: Scorer,
    images: Sequence[LabelledImage],
    order: tuple[str, ...],
    *,
    layers: Literal["last", "all"],
    frame_px: int | None,
    seed: int,
    threads: int,
    advance: Callable[[int, int], None] = lambda count, total: None,
) -> TunedHead:
    """Fine-tune a model's network to labelled images.

    Parameters
    ----------
    scorer : Scorer
        The model.
    images : sequence of LabelledImage
        Already read; each class at least three times.
    order : tuple of str
        The classes.
    layers : "last" or "all"
    frame_px : int or None
    seed, threads : int
    advance : callable
        Called with how many more epochs are done and their largest number.

    Raises
    ------
    ModelError
        If the model's network is not one that galclass trains.
    """
    from galclass.train.fine_tuning import fine_tuned

    codes = np.array([order.index(one.label) for one in images], dtype=np.int64)
    try:
        tuned = fine_tuned(
            scorer.value, _squares(scorer, images, frame_px), codes, len(order),
            layers=layers, seed=seed, threads=threads or len(os.sched_getaffinity(0)), advance=advance,
        )  # fmt: skip
    except ModelError as error:
        raise ModelError(
            error.what, where=str(scorer.model), expected=error.expected, got=error.got,
            advice="fit a head alone: --layers head",
        ) from error  # fmt: skip
    temperature = fit_temperature(tuned.logits, codes)
    left_out = softmax(tuned.logits / temperature)
    counts = np.bincount(codes, minlength=len(order))
    head = Head(
        order,
        (tuned.weights / temperature).astype(np.float32),
        (tuned.bias / temperature).astype(np.float32),
        dict(zip(order, counts.tolist(), strict=True)),
        estimated(order, counts, codes, left_out.argmax(axis=1)),
        0.0,
        fit_conformal(left_out, codes) if len(codes) >= FEWEST_OF_SETS else None,
        fit_unlike_by_networks(tuned.embeddings, tuned.apart) if len(codes) >= FEWEST_OF_FLAG else None,
    )
    return TunedHead(tuned.model, head, layers, tuned.epochs, tuned.losses)


def _squares(scorer: Scorer, images: Sequence[LabelledImage], frame_px: int | None) -> NDArray[np.uint8]:
    side = scorer.parameters.store_side_px
    squares = np.empty((len(images), side, side, 3), dtype=np.uint8)
    for row, data in enumerate(bytes_of(images)):
        squares[row] = stored_cutout(data, scorer.parameters, frame_px=frame_px, limits=scorer.limits)
    return squares
