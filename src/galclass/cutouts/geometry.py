"""Where each pixel of a cutout comes from in a file: the package's only affine map.

Takes sizes and angles, returns a `SamplingPlan`; everything is in px. Pixel (i, j) covers
[i, i+1) x [j, j+1), the centre of a frame of n px is at n / 2.

Positions are whole multiples of 1/32 of a decoded pixel. Weights are then multiples of 1/1024 and
every sum of the warp is exact in float32: the same pixel comes out whatever the order of the sums,
the batch, the neighbours in the plan, the processor and the version of the warp.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS_PER_PX = 32
"""Positions are rounded to 1/32 of a decoded px: at most 1/64 px off, and exact in float32."""
SMOOTH_FROM_RATIO = 1.3
"""Decoded px per cutout px from which one [1 6 1]/8 smoothing brings the warp nearer to the mean over
the cutout pixel's area (least squares over all phases; below it, the warp alone is nearer)."""


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """How to draw square images from a decoded file.

    Attributes
    ----------
    reduction : int
        Decode at 1 / reduction.
    rows, columns : slice
        The part of the decoded pixels that the images need.
    x, y : float32, (images * side, side)
        Positions in that part; 0 is the centre of its first pixel.
    smooth : bool
        Whether to smooth by [1 6 1]/8 along both sides first.
    side : int
        Side of an image in px.
    """

    reduction: int
    rows: slice
    columns: slice
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    smooth: bool
    side: int


def reduction_for(crop_px: float, size_px: int) -> int:
    """Return the largest power of two that leaves at least one decoded pixel per cutout pixel."""
    reduction = 1
    while crop_px / (2 * reduction) >= size_px - 1e-6:  # 1e-6 px: a fraction such as 204/424 is not exact
        reduction *= 2
    return reduction


def sampling_plan(
    width: int, height: int, crop_px: float, size_px: int, side: int, angles_deg: tuple[float, ...]
) -> SamplingPlan:
    """Plan the images of one geometry.

    Parameters
    ----------
    width, height : int
        The file's sides in px; the images are centred on the file's centre.
    crop_px : float
        What the model sees, in px of the file, along each side; it becomes `size_px` px.
    size_px, side : int
        The model's input, and the image's side at the same scale (`side` > `size_px` keeps sky round it).
    angles_deg : tuple of float
        One image each; a positive angle turns the image counter-clockwise.
    """
    reduction = reduction_for(crop_px, size_px)
    step = crop_px / size_px / reduction
    offset: NDArray[np.float64] = (np.arange(side, dtype=np.float64) - (side - 1) / 2) * step
    centre_x, centre_y = _steps(np.array([width, height]) / (2 * reduction) - 0.5)
    turned = [_turn(offset, angle) for angle in angles_deg]
    x = np.concatenate([_steps(x) for x, _ in turned]) + centre_x
    y = np.concatenate([_steps(y) for _, y in turned]) + centre_y
    columns, rows = _part(x, -(-width // reduction)), _part(y, -(-height // reduction))
    return SamplingPlan(
        reduction=reduction,
        rows=rows,
        columns=columns,
        x=_positions(x, columns.start),
        y=_positions(y, rows.start),
        smooth=step > SMOOTH_FROM_RATIO,
        side=side,
    )


def _turn(offset: NDArray[np.float64], angle_deg: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    u, v = offset[np.newaxis, :], offset[:, np.newaxis]
    cosine, sine = (math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg)))
    if angle_deg == 0:
        cosine, sine = 1.0, 0.0
    return u * cosine - v * sine, u * sine + v * cosine


def _steps(px: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round to whole steps, half away from zero, so that mirrored positions stay mirrored."""
    return (np.sign(px) * np.floor(np.abs(px) * STEPS_PER_PX + 0.5)).astype(np.int64)


def _part(steps: NDArray[np.int64], length: int) -> slice:
    """Return the pixels that positions touch, one more on each side for the smoothing, inside the file."""
    first = int(steps.min()) // STEPS_PER_PX - 1
    last = int(steps.max()) // STEPS_PER_PX + 2
    return slice(min(max(first, 0), length - 1), max(min(last + 1, length), 1))


def _positions(steps: NDArray[np.int64], start: int) -> NDArray[np.float32]:
    return ((steps - start * STEPS_PER_PX) / STEPS_PER_PX).astype(np.float32)
