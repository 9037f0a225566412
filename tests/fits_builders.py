"""FITS files of galaxies, made of the sample's JPEGs or drawn, for tests."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from astropy.io import fits

from galclass.cutouts import decode

WEIGHTS = np.array([1.0, 1.5, 2.5])


def fluxes(jpeg: bytes) -> np.ndarray:
    """Bands i, r, g of a colour JPEG by SDSS' own stretch turned round: float32, (3, y, x), row 0 the bottom."""
    rgb = decode(jpeg).pixels.astype(np.float64) / 255
    shown = np.maximum(rgb.mean(axis=2, keepdims=True), 1e-9)
    bands = rgb * (np.sinh(shown * np.sqrt(20)) / 20 / shown) / WEIGHTS
    return np.moveaxis(bands, -1, 0)[:, ::-1].astype(np.float32)


def drawn(side: int = 64, noise: float = 1.0) -> np.ndarray:
    """A red galaxy with a blue companion at its upper right (FITS' way up): float32, (3, y, x)."""
    y, x = np.mgrid[:side, :side] - side / 2
    red = 900 * np.exp(-(x**2 + y**2) / 60)
    blue = 500 * np.exp(-((x - side / 4) ** 2 + (y - side / 4) ** 2) / 12)
    sky = np.random.default_rng(0).normal(40, noise, (3, side, side))
    return (sky + np.stack([red + blue / 5, red / 2 + blue / 2, red / 6 + blue])).astype(np.float32)


def as_file(*hdus: fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU | np.ndarray) -> bytes:
    """The bytes of a FITS file of these HDUs; a first array becomes the primary HDU."""
    first, *others = hdus
    primary = (
        first
        if isinstance(first, fits.PrimaryHDU)
        else fits.PrimaryHDU(first)
        if isinstance(first, np.ndarray)
        else None
    )
    rest = others if primary is not None else list(hdus)
    sink = BytesIO()
    fits.HDUList([primary or fits.PrimaryHDU(), *rest]).writeto(sink)
    return sink.getvalue()
