"""Turn, mirror, zoom and shift a batch: one affine warp from the stored squares to the model's input.

Takes (n, side, side, 3) uint8, returns (n, size, size, 3) uint8 on the CPU (cv2) or float on a GPU (grid_sample).
All draws come from a generator seeded by (seed, epoch, step), so a resumed run makes the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galclass.config import TrainConfig

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """How each cutout of a batch is changed.

    Attributes
    ----------
    matrix : float64, (n, 2, 3)
        From an output position (x, y), in px from the output's centre, to px from the stored square's centre.
    gain : float32, (n, 3)
        Factor for each channel.
    """

    matrix: NDArray[np.float64]
    gain: NDArray[np.float32]

    def part(self, chosen: slice) -> Draws:
        """Return the draws for a part of the batch."""
        return Draws(self.matrix[chosen], self.gain[chosen])


def draw(rng: np.random.Generator, count: int, config: TrainConfig) -> Draws:
    """Draw any angle, mirroring, zoom, shift and brightness for `count` cutouts."""
    angle = rng.uniform(0, 2 * np.pi, count)
    zoom = np.exp(rng.uniform(-config.zoom, config.zoom, count))
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    shift = rng.uniform(-config.shift_px, config.shift_px, (count, 2))
    gain = 1 + config.gain * rng.standard_normal((count, 1)) + config.colour_gain * rng.standard_normal((count, 3))
    return Draws(_matrices(angle, zoom, mirror, shift), gain.astype(np.float32))


def fixed(angle_deg: NDArray[np.float64]) -> Draws:
    """Rotate by given angles and change nothing else."""
    count = len(angle_deg)
    ones = np.ones(count)
    matrix = _matrices(np.deg2rad(angle_deg), ones, ones, np.zeros((count, 2)))
    return Draws(matrix, np.ones((count, 3), dtype=np.float32))


def warp(squares: NDArray[np.uint8], draws: Draws, size_px: int) -> NDArray[np.uint8]:
    """Resample each square once (bicubic; pixels outside are the border's).

    Parameters
    ----------
    squares : uint8, (n, side, side, 3)
        Stored squares.
    draws : Draws
        One for each square.
    size_px : int
        Side of the output.

    Returns
    -------
    uint8, (n, size_px, size_px, 3)
    """
    import cv2

    output = np.empty((len(squares), size_px, size_px, 3), dtype=np.uint8)
    to_corner = corner_matrices(draws.matrix, squares.shape[1], size_px)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    for square, matrix, target in zip(squares, to_corner, output, strict=True):
        cv2.warpAffine(square, matrix, (size_px, size_px), target, flags, cv2.BORDER_REPLICATE)
    return output


def warp_on_device(squares: Tensor, draws: Draws, size_px: int) -> Tensor:
    """Do the same on the squares' device, (n, side, side, 3) uint8 -> (n, 3, size_px, size_px) float 0..255."""
    import torch
    from torch.nn import functional

    side = squares.shape[1]
    scale = np.array([size_px / side, size_px / side, 2 / side])
    theta = torch.from_numpy(draws.matrix * scale).to(squares.device, torch.float32, non_blocking=True)
    grid = functional.affine_grid(theta, [len(squares), 3, size_px, size_px], align_corners=False)
    pixels = squares.permute(0, 3, 1, 2).to(torch.float32)
    turned = functional.grid_sample(pixels, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return turned.clamp_(0, 255)


def _matrices(
    angle: NDArray[np.float64], zoom: NDArray[np.float64], mirror: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle) * zoom, np.sin(angle) * zoom
    rows = [np.stack([cosine, -sine * mirror, shift[:, 0]], 1), np.stack([sine, cosine * mirror, shift[:, 1]], 1)]
    return np.stack(rows, 1)


def corner_matrices(matrix: NDArray[np.float64], side_px: int, size_px: int) -> NDArray[np.float64]:
    """Express the maps between pixel indices (cv2: the centre of the first pixel is 0)."""
    turn, shift = matrix[:, :, :2], matrix[:, :, 2]
    moved = shift + (side_px - 1) / 2 - (turn * ((size_px - 1) / 2)).sum(2)
    return np.concatenate([turn, moved[:, :, None]], 2)
