"""A small exported residual network with normalisations that differ from each other, as after training."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

import torch

from galclass.cutouts import CutoutParameters
from galclass.scoring import Signature
from galclass.train.export import ExportModule, PixelScale, export_onnx
from galclass.train.networks import RESIDUAL_SIZES, VOTE_COLUMNS, Network, ResidualBody

SIZE_PX = 24
SCALE = PixelScale(4 / 255, -0.2)


@torch.no_grad()
def network(seed: int = 0, topology: str = "residual") -> Network:
    """A network with random weights and the statistics of random pictures."""
    torch.manual_seed(seed)
    body = ResidualBody(SIZE_PX, *RESIDUAL_SIZES[topology])
    found = Network(body, body.embedding_size, invariant=True, views=8, vote_head=True, dropout=0.2)
    for _ in range(20):
        found(torch.randn(16, 3, SIZE_PX, SIZE_PX))
    for name, value in found.named_parameters():
        if "norm" in name:
            value += 0.1 * torch.randn(value.shape)
    return found.eval()


@lru_cache
def residual_model(seed: int = 0, topology: str = "residual", crop_fraction: float = 0.8) -> bytes:
    """The ONNX bytes of such a network."""
    parameters = CutoutParameters(SIZE_PX, crop_fraction)
    made = network(seed, topology)
    signature = Signature(
        SIZE_PX, crop_fraction, parameters.sha256, made.embedding_size, vote_columns=VOTE_COLUMNS, scale=str(SCALE)
    )
    with tempfile.TemporaryDirectory() as folder:
        return export_onnx(ExportModule(made, SCALE, 1.0, (9.0,) * 11), signature, Path(folder) / "model.onnx")
