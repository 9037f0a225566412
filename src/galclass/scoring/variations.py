"""What may change a model's prediction: the same image shifted, zoomed, blurred, noisy, and with neighbours masked.

Rotation by quarter turns and mirroring cannot change the prediction of an invariant model; these can, for every model.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from galclass.cutouts import CutoutParameters, DecodeLimits, stored_cutout

Pixels = NDArray[np.uint8]

_SHIFT = 0.08
"""Shift of the image as a share of the cutout's side."""

_ZOOM = 1.15
_BLUR = 0.02
"""Standard deviation of the blur as a share of the cutout's side."""

_NOISE = 6.0
"""Standard deviation of the noise, in levels of 0..255."""

_ABOVE_SKY = 5.0
"""A pixel above this many times the scatter of the sky belongs to a source."""

_LEAST_LEVELS = 8.0
_GROWN = 0.05
"""Share of the cutout's side by which a mask is enlarged, so that a source's faint rim is hidden, too."""


class Variation(NamedTuple):
    """One changed cutout: what was done to it, in words, and its pixels (y, x, 3)."""

    kind: str
    text: str
    pixels: Pixels


def variations(
    data: bytes, parameters: CutoutParameters, frame_px: int | None, limits: DecodeLimits
) -> list[Variation]:
    """Return the changed cutouts of an image file.

    Parameters
    ----------
    data : bytes
        JPEG, PNG, BMP or FITS file.
    parameters : CutoutParameters
        The model's.
    frame_px : int or None
        Side of the survey's frame in px; None: the file is a full frame.
    limits : DecodeLimits

    Returns
    -------
    list of Variation
        Always in the same order; "neighbours" only if there are other sources than the galaxy at the centre.

    Raises
    ------
    CutoutError
        If the bytes yield no cutout.
    """
    wide = stored_cutout(data, parameters, frame_px=frame_px, limits=limits)
    size = parameters.size_px
    plain = _crop(wide, size, 0, 0)
    step = max(1, round(_SHIFT * size))
    percent = f"{100 * step / size:.0f} %"
    moves = {"left": (step, 0), "right": (-step, 0), "up": (0, step), "down": (0, -step)}
    found = [Variation("shift", f"moved {percent} {way}", _crop(wide, size, x, y)) for way, (x, y) in moves.items()]
    found.append(Variation("zoom", f"zoomed in {_ZOOM:.2f} ×", _zoomed(wide, size, 1 / _ZOOM)))
    found.append(Variation("zoom", f"zoomed out {_ZOOM:.2f} ×", _zoomed(wide, size, _ZOOM)))
    found.append(Variation("blur", "blurred", np.asarray(cv2.GaussianBlur(plain, (0, 0), _BLUR * size), np.uint8)))
    found.append(Variation("noise", "noise added", _noisy(plain)))
    masked = masked_neighbours(plain)
    if masked is not None:
        found.append(Variation("neighbours", "neighbours masked", masked))
    return found


def _crop(wide: Pixels, side: int, x: int, y: int) -> Pixels:
    top, left = (len(wide) - side) // 2 + y, (len(wide) - side) // 2 + x
    return np.ascontiguousarray(wide[top : top + side, left : left + side])


def _zoomed(wide: Pixels, size: int, factor: float) -> Pixels:
    side = min(len(wide), round(size * factor))
    resampling = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(_crop(wide, side, 0, 0), (size, size), interpolation=resampling), np.uint8)


def _noisy(cutout: Pixels) -> Pixels:
    noise = np.random.default_rng(0).normal(0, _NOISE, cutout.shape)
    return np.clip(np.rint(cutout + noise), 0, 255).astype(np.uint8)


def masked_neighbours(cutout: Pixels) -> Pixels | None:
    """Return a cutout with all sources but the central one replaced by sky; None if there are no others.

    Parameters
    ----------
    cutout : uint8, (y, x, 3)
    """
    light = cutout.astype(np.float32).mean(axis=2)
    sky = float(np.median(light))
    scatter = 1.4826 * float(np.median(np.abs(light - sky)))
    bright = (light > sky + max(_ABOVE_SKY * scatter, _LEAST_LEVELS)).astype(np.uint8)
    _, sources = cv2.connectedComponents(bright)
    side = len(cutout)
    middle = sources[side // 3 : side - side // 3, side // 3 : side - side // 3]
    own = np.unique(middle[middle > 0])
    others = (bright > 0) & ~np.isin(sources, own)
    if not own.size or not others.any():
        return None
    grown = cv2.dilate(others.astype(np.uint8), np.ones((2 * max(1, round(_GROWN * side)) + 1,) * 2, np.uint8)) > 0
    hidden = grown & ~np.isin(sources, own)
    masked = cutout.copy()
    masked[hidden] = np.median(cutout[bright == 0], axis=0).astype(np.uint8)
    return masked
