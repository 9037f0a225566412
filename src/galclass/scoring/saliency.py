"""Where the model looked: a map of how much the probability falls when part of the cutout is hidden.

Takes one cutout and a function from cutouts to probabilities, returns maps and PNG bytes.
Occlusion after Zeiler and Fergus 2014 (ECCV, section 4.2): gradient-free, so it works on any ONNX model.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]
Score = Callable[[Pixels], Probabilities]

_PATCHES = 8
"""Positions of the patch along a side; neighbours overlap by half a patch."""

_CHUNK = 32
"""Cutouts scored in one call."""


def occlusion_map(cutout: Pixels, score: Score, column: int) -> NDArray[np.float32]:
    """Hide one patch after another and measure how much the probability of the predicted class falls.

    Parameters
    ----------
    cutout : uint8, (y, x, 3)
        What the model sees.
    score : callable
        Cutouts, uint8 (n, y, x, 3), to probabilities, (n, 13).
    column : int
        Index into `CLASSES` of the predicted class.

    Returns
    -------
    float32, (y, x)
        Mean decrease over the patches that cover a pixel; 0 where hiding does not lower the probability.
    """
    side = cutout.shape[0]
    patch = max(2, round(2 * side / (_PATCHES + 1)))
    starts = np.linspace(0, side - patch, _PATCHES).round().astype(int)
    corners = [(y, x) for y in starts for x in starts]
    hidden = np.repeat(cutout[np.newaxis], len(corners), axis=0)
    sky = _border_median(cutout)
    for image, (y, x) in zip(hidden, corners, strict=True):
        image[y : y + patch, x : x + patch] = sky
    plain = score(cutout[np.newaxis])[0]
    scores = [score(hidden[start : start + _CHUNK])[:, column] for start in range(0, len(hidden), _CHUNK)]
    falls = np.clip(plain[column] - np.concatenate(scores), 0, None)
    return _spread(falls, corners, patch, side)


def _border_median(cutout: Pixels) -> Pixels:
    border = np.concatenate([cutout[0], cutout[-1], cutout[:, 0], cutout[:, -1]])
    median: Pixels = np.median(border, axis=0).astype(np.uint8)
    return median


def _spread(falls: NDArray[np.float32], corners: list[tuple[int, int]], patch: int, side: int) -> NDArray[np.float32]:
    total = np.zeros((side, side), np.float32)
    count = np.zeros((side, side), np.float32)
    for fall, (y, x) in zip(falls, corners, strict=True):
        total[y : y + patch, x : x + patch] += fall
        count[y : y + patch, x : x + patch] += 1
    spread: NDArray[np.float32] = (total / np.maximum(count, 1)).astype(np.float32)
    return spread


def heat_png(heat: NDArray[np.float32], size_px: int = 256) -> bytes:
    """Draw a map as a PNG to lay over the cutout: orange, the more opaque the larger the decrease.

    Parameters
    ----------
    heat : float32, (y, x)
        Scaled so that its largest value is opaque; a transparent image if all are 0.
    size_px : int
        Side of the PNG in px.
    """
    largest = float(heat.max())
    alpha = (heat / largest * 230 if largest > 0 else np.zeros_like(heat)).astype(np.uint8)
    rgba = np.empty((*heat.shape, 4), np.uint8)
    rgba[..., :3] = (255, 120, 0)
    rgba[..., 3] = alpha
    return _png(Image.fromarray(rgba).resize((size_px, size_px), Image.Resampling.BICUBIC))


def cutout_png(cutout: Pixels, size_px: int = 256) -> bytes:
    """Draw a cutout as a PNG with its pixels visible.

    Parameters
    ----------
    cutout : uint8, (y, x, 3)
    size_px : int
        Side of the PNG in px.
    """
    return _png(Image.fromarray(cutout).resize((size_px, size_px), Image.Resampling.NEAREST))


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def eight_views(cutout: Pixels) -> list[tuple[int, bool, Pixels]]:
    """Return the eight turns and mirror images of a cutout.

    Returns
    -------
    list of (angle_deg, mirrored, uint8 (y, x, 3))
        The rotation is counter-clockwise, after mirroring left and right.
    """
    views = []
    for mirrored in (False, True):
        base = cutout[:, ::-1] if mirrored else cutout
        views += [(90 * turns, mirrored, np.ascontiguousarray(np.rot90(base, turns))) for turns in range(4)]
    return views
