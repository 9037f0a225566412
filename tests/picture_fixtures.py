"""Real galaxies, and image files made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

DATA = Path(__file__).parent / "cutouts" / "data"


@pytest.fixture(scope="session")
def galaxy() -> Callable[[str], bytes]:
    """Bytes of a file of `data/`, e.g. galaxy("gz2_103169.jpg")."""
    return lambda name: (DATA / name).read_bytes()


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Bytes of an array or Pillow image saved in a format, e.g. encode(pixels, "PNG")."""

    def save(picture: Any, format: str, **options: Any) -> bytes:
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        file = BytesIO()
        image.save(file, format, **options)
        return file.getvalue()

    return save


@pytest.fixture(scope="session")
def sky() -> Callable[..., np.ndarray]:
    """A smooth picture without symmetry, uint8 (height, width, 3)."""

    def draw(width: int, height: int | None = None) -> np.ndarray:
        height = height or width
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        red = 60 + 150 * np.exp(-((x - 0.55 * width) ** 2 + (y - 0.45 * height) ** 2) / (0.02 * width * width))
        green = 40 + 100 * x / width
        blue = 30 + 80 * y / height + 20 * np.sin(x / 9)
        return np.stack([red, green, blue], -1).clip(0, 255).astype(np.uint8)

    return draw


@pytest.fixture(scope="session")
def unlike() -> Callable[[bytes, int], bytes]:
    """Bytes of a JPEG of which two coefficients are scaled by a number: another picture, nearly alike."""

    def change(data: bytes, number: int) -> bytes:
        table = data.index(b"\xff\xdb") + 5
        steps = bytes([1 + number % 251, 1 + number // 251 % 251])
        return data[: table + 1] + steps + data[table + 3 :]

    return change
