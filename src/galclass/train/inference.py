"""The outputs of a network for many cutouts, in evaluation mode, batch by batch.

Takes a network and index rows, returns tensors or arrays along the rows; writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from galclass.train.batches import scaled_central
from galclass.train.dataset import TrainingData
from galclass.train.networks import Outputs

if TYPE_CHECKING:
    from galclass.train.trainer import Trainer

_VALIDATION_BATCH = 256


@torch.no_grad()
def network_outputs(
    network: nn.Module, data: TrainingData, rows: NDArray[np.int64], trainer: Trainer
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return class logits (n, 13), vote logits (n, 37 or 0) and embeddings (n, d) of index rows' central cutouts."""
    outputs = all_outputs(network, data, rows, trainer)
    given = outputs.logits.new_zeros(len(rows), 0) if outputs.votes is None else outputs.votes
    logits, votes, embedding = (part.float().cpu().numpy() for part in (outputs.logits, given, outputs.embedding))
    return logits, votes, embedding


@torch.no_grad()
def all_outputs(network: nn.Module, data: TrainingData, rows: NDArray[np.int64], trainer: Trainer) -> Outputs:
    """Return all outputs of the network for index rows' central cutouts, in evaluation mode."""
    was_training = network.training
    network.eval()
    parts = []
    for start in range(0, len(rows), _VALIDATION_BATCH):
        pixels = scaled_central(data, rows[start : start + _VALIDATION_BATCH], trainer.scale, trainer.device)
        parts.append(network(pixels.contiguous(memory_format=torch.channels_last)))
    network.train(was_training)
    columns = zip(*parts, strict=True)
    together = [None if column[0] is None else torch.cat(column) for column in columns]
    return Outputs(*together)  # type: ignore[arg-type]  # None only where Outputs may have it


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities, row by row."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shifted / shifted.sum(1, keepdims=True), dtype=np.float32)
