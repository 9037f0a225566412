"""From measured fluxes to an 8-bit colour image: the asinh stretch of Lupton et al. (2004) as SDSS uses it.

Takes one band or three, returns uint8 (y, x, channel). The colours are those of SDSS: i, r, g as red, green, blue with
weights 1, 1.5, 2.5. The scale comes from the image itself, so that units and exposure do not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from galclass.errors import CutoutError

SDSS_WEIGHTS = (1.0, 1.5, 2.5)
"""Weights of the bands that become red, green and blue (i, r, g of SDSS), as its image servers have them."""
SOFTENING = 0.07
"""What the noise of the sky is multiplied by before the asinh. SDSS draws asinh(20 I) / sqrt(20); the sky of its images
in Galaxy Zoo 2 has a noise of 4 levels of 255, which is I = 0.0035."""
WHITE_SIGMAS = 620.0
"""Where these images are white, in units of the same noise: asinh(20 I) / sqrt(20) = 1."""
WHITE_PERCENTILE = 99.9
"""Deeper images are white where this percentage of their pixels is darker."""

_SAMPLE = 1 << 14
_ROUNDS, _CLIP, _SIGMAS_PER_MAD = 5, 3.0, 1.4826
_BAND_PIXELS = 1 << 20


class Stretch(NamedTuple):
    """The numbers of a stretch, in the units of the bands' mean.

    Attributes
    ----------
    sigma : float
        Noise of the sky; where it cannot be measured, white / 620.
    white : float
        Brightness that is white.
    """

    sigma: float
    white: float

    @property
    def softening(self) -> float:
        """The factor before the asinh: Q / stretch in astropy's `make_lupton_rgb`."""
        return SOFTENING / self.sigma


def render_bands(bands: Sequence[NDArray[Any]], weights: Sequence[float] | None = None) -> NDArray[np.uint8]:
    """Draw one band in grey, or three in colour.

    Parameters
    ----------
    bands : one or three arrays, (y, x)
        Fluxes of one zero point for the bands that become red, green and blue (i, r, g), on one grid. NaN and infinity
        are no measurement: they are drawn as sky.
    weights : sequence of float, optional
        One for each band; left out, those of SDSS for three bands.

    Returns
    -------
    uint8, (y, x, 3), 0..255
        Rows as in the bands.

    Raises
    ------
    CutoutError
        no_content, where no pixel or only one value is measured.
    """
    factors = weights or (SDSS_WEIGHTS if len(bands) == 3 else (1.0,))
    scale = _common_scale(bands)
    planes = [_above_sky(band, factor, scale) for band, factor in zip(bands, factors, strict=True)]
    stretch = measure(planes)
    image = np.empty((*planes[0].shape, 3), np.uint8)
    step = max(1, _BAND_PIXELS // max(1, planes[0].shape[1]))
    for row in range(0, len(image), step):
        _draw([plane[row : row + step] for plane in planes], stretch, image[row : row + step])
    return image


def measure(planes: Sequence[NDArray[np.float32]]) -> Stretch:
    """Measure noise and white of bands without their sky.

    Raises
    ------
    CutoutError
        no_content.
    """
    brightness = np.asarray(np.mean([_sample(plane) for plane in planes], axis=0, dtype=np.float64))
    brightness = brightness[np.isfinite(brightness)]
    if not brightness.size:
        raise CutoutError("no_content", "no pixel of the image was measured in all bands")
    _, sigma = _sky(brightness)
    top = float(np.percentile(brightness, WHITE_PERCENTILE))
    top = top if top > 0 else float(brightness.max(initial=0))
    if top <= 0:
        raise CutoutError("no_content", "the image shows nothing above its sky")
    white = max(top, WHITE_SIGMAS * sigma)
    return Stretch(sigma or white / WHITE_SIGMAS, white)


def _common_scale(bands: Sequence[NDArray[Any]]) -> float:
    """Return the power of two that brings the largest flux to between 1/2 and 1: float32 holds the rest well."""
    peak = 0.0
    for band in bands:
        values = np.abs(np.asarray(band, np.float64))
        known = np.isfinite(values)
        if not known.any():
            raise CutoutError("no_content", "no pixel of a band is a finite number")
        peak = max(peak, float(values.max(where=known, initial=0)))
    exponent = int(np.frexp(peak)[1])
    return float(np.ldexp(1.0, -min(max(exponent, -1000), 1000)))


def _above_sky(band: NDArray[Any], factor: float, scale: float) -> NDArray[np.float32]:
    """Return a band without its sky, times the scale; NaN where nothing was measured."""
    values = np.asarray(band, np.float64) * scale
    known = np.isfinite(values)
    sample, sample_known = _sample(values), _sample(known)
    level, _ = _sky(sample[sample_known] if sample_known.any() else values[known])
    values -= level
    values[~known] = np.nan
    return (values * factor).astype(np.float32)


def _sample(plane: NDArray[Any]) -> NDArray[Any]:
    """Return every k-th pixel along rows and columns, 2^14 to 2^16 of them, always the same."""
    step = max(1, int(np.sqrt(plane.size / _SAMPLE)))
    return plane[::step, ::step]


def _sky(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return median and noise of the pixels that are sky: those within three sigmas, again and again."""
    kept = values.ravel()
    level = sigma = 0.0
    for _ in range(_ROUNDS):
        if not kept.size:
            break
        level = float(np.median(kept))
        sigma = _SIGMAS_PER_MAD * float(np.median(np.abs(kept - level)))
        inside = np.abs(kept - level) <= _CLIP * sigma
        if sigma == 0 or inside.all():
            break
        kept = kept[inside]
    return level, sigma


def _draw(planes: Sequence[NDArray[np.float32]], stretch: Stretch, onto: NDArray[np.uint8]) -> None:
    """Stretch the bands' mean, keep their ratios; where a channel is above white all three are dimmed alike.

    What is below the sky is none, as SDSS has it.
    """
    planes = [np.fmax(plane, 0) for plane in planes]  # NaN becomes 0
    brightness = sum(planes[1:], planes[0]) / np.float32(len(planes))
    np.maximum(brightness, np.finfo(np.float32).tiny, out=brightness)
    factor = np.arcsinh(brightness * np.float32(stretch.softening))
    factor /= brightness * np.float32(np.arcsinh(stretch.white * stretch.softening))
    channels = [plane * factor for plane in planes]
    brightest = np.maximum(np.float32(1), channels[0])
    for channel in channels[1:]:
        np.maximum(brightest, channel, out=brightest)
    scale = np.float32(255) / brightest
    for at in range(3):
        onto[..., at] = channels[at % len(channels)] * scale + np.float32(0.5)
