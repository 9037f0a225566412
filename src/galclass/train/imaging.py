"""Scale, PSF, noise and stretch of other surveys: cutouts as another instrument might have recorded them.

Takes stored squares (n, side, side, 3) uint8 and draws, returns cutouts (n, size, size, 3) uint8. Where a smaller scale
reaches beyond the stored square, it is filled with sky: the level and noise of the square's border.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galclass.config import TrainConfig
from galclass.train.augment import Draws, corner_matrices, warp

_BORDER_PX = 3
"""Width of the border of pixels in which the sky is measured."""

_TO_SIGMA = 1.4826
"""Standard deviation over median absolute deviation, of a normal distribution."""


@dataclass(frozen=True)
class Imaging:
    """How each cutout of a batch is imaged.

    Attributes
    ----------
    scale : float64, (n,)
        Size of the galaxy in the cutout relative to its usual one.
    blur_px, noise : float32, (n,)
        Standard deviations of a Gaussian PSF (px of the cutout) and of added noise (grey levels).
    gamma, saturation : float32, (n,)
        Power of the grey levels (in units of 255), and factor for the distance of each channel from grey.
    seed : uint32, (n,)
        Of the sky and noise.
    """

    scale: NDArray[np.float64]
    blur_px: NDArray[np.float32]
    noise: NDArray[np.float32]
    gamma: NDArray[np.float32]
    saturation: NDArray[np.float32]
    seed: NDArray[np.uint32]

    @property
    def usual(self) -> NDArray[np.bool_]:
        """Which cutouts keep their scale, PSF, noise and stretch, (n,)."""
        found: NDArray[np.bool_] = (self.scale == 1) & (self.gamma == 1) & (self.saturation == 1)
        found &= (self.blur_px == 0) & (self.noise == 0)
        return found

    def part(self, chosen: slice) -> Imaging:
        """Return the draws for a part of the batch."""
        return Imaging(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def draw_imaging(rng: np.random.Generator, count: int, config: TrainConfig) -> Imaging:
    """Draw the imaging of `count` cutouts; a share of 1 - `config.survey_share` keeps its own."""
    other = rng.random(count) < config.survey_share

    def some(values: NDArray[np.float64], usual: float) -> NDArray[np.float32]:
        chosen = other & (rng.random(count) < 0.5)
        return np.where(chosen, values, usual).astype(np.float32)

    reach, stretch = np.log(config.survey_scale), config.survey_stretch
    scale = np.where(other, np.exp(rng.uniform(-reach, reach, count)), 1.0)
    return Imaging(
        scale,
        some(rng.uniform(0, config.survey_blur_px, count), 0.0),
        some(rng.uniform(0, config.survey_noise, count), 0.0),
        some(np.exp(rng.uniform(-stretch, stretch, count)), 1.0),
        some(np.exp(rng.uniform(-2 * stretch, stretch, count)), 1.0),
        rng.integers(0, 2**32, count, dtype=np.uint32),
    )


def imaged(squares: NDArray[np.uint8], draws: Draws, imaging: Imaging, size_px: int) -> NDArray[np.uint8]:
    """Resample each square once, at its scale, and image it; what keeps its usual imaging is left to `augment.warp`.

    Parameters
    ----------
    squares : uint8, (n, side, side, 3)
        Stored squares.
    draws : Draws
        Rotation, mirroring, zoom and shift.
    imaging : Imaging
        Scale, PSF, noise and stretch.
    size_px : int
        Side of the output.

    Returns
    -------
    uint8, (n, size_px, size_px, 3)
    """
    matrix = draws.matrix.copy()
    matrix[:, :, :2] /= imaging.scale[:, None, None]
    to_corner = corner_matrices(matrix, squares.shape[1], size_px)
    output = np.empty((len(squares), size_px, size_px, 3), dtype=np.uint8)
    usual = imaging.usual
    output[usual] = warp(squares[usual], Draws(draws.matrix[usual], draws.gain[usual]), size_px)
    for position in np.flatnonzero(~usual).tolist():
        square = squares[position]
        rng = np.random.default_rng(int(imaging.seed[position]))
        step = float(np.sqrt(abs(np.linalg.det(matrix[position, :, :2]))))
        cutout = _resampled(square, to_corner[position], step, size_px, rng)
        output[position] = _developed(cutout, imaging, position, rng)
    return output


def _resampled(
    square: NDArray[np.uint8], to_corner: NDArray[np.float64], step: float, size_px: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Resample one square on sky; `step` is how many of its pixels a pixel of the output spans."""
    import cv2

    if step > 1.1:  # like an area mean: otherwise noise and arms alias
        sigma = 0.5 * float(np.sqrt(step**2 - 1))
        square = cv2.GaussianBlur(square, (0, 0), sigma)  # type: ignore[assignment]
    output = _sky(square, size_px, rng)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    cv2.warpAffine(square, to_corner, (size_px, size_px), output, flags, cv2.BORDER_TRANSPARENT)
    return output


def _sky(square: NDArray[np.uint8], size_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a cutout of empty sky like that at the square's border."""
    edge = _BORDER_PX
    sides = (square[:edge], square[-edge:], square[:, :edge], square[:, -edge:])
    border = np.concatenate([side.reshape(-1, 3) for side in sides]).astype(np.float32)
    level = np.median(border, axis=0)
    spread = _TO_SIGMA * np.median(np.abs(border - level), axis=0)
    sky = level + spread * rng.standard_normal((size_px, size_px, 3), dtype=np.float32)
    return _rounded(sky)


def _rounded(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    whole: NDArray[np.uint8] = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return whole


def _developed(
    cutout: NDArray[np.uint8], imaging: Imaging, position: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    import cv2

    blur, noise = float(imaging.blur_px[position]), float(imaging.noise[position])
    gamma, saturation = float(imaging.gamma[position]), float(imaging.saturation[position])
    pixels = cutout.astype(np.float32)
    if blur > 0.2:
        pixels = cv2.GaussianBlur(pixels, (0, 0), blur)  # type: ignore[assignment]
    if saturation != 1:
        grey = pixels.mean(2, keepdims=True)
        pixels = grey + saturation * (pixels - grey)
    if gamma != 1:
        pixels = 255 * np.power(np.clip(pixels, 0, 255) / 255, gamma)
    if noise > 0:
        pixels = pixels + noise * rng.standard_normal(pixels.shape, dtype=np.float32)
    return _rounded(pixels)
