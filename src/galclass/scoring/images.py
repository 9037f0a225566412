"""What `Scorer.score` accepts as images, and the ids of those that come without one."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from galclass.cutouts.arrays import ACCEPTED, Image, is_image
from galclass.image_names import object_id_of


def own_id(image: Image | None, position: int) -> str:
    """Return the id of an image that came without one: its file's name without the suffix, else its position."""
    return object_id_of(os.fspath(image)) if isinstance(image, str | os.PathLike) else str(position)


def check_images(images: Sequence[Image | None]) -> None:
    """Refuse what is no sequence of images.

    Raises
    ------
    TypeError
        If something given is no image, or one image is not in a list.
    """
    one = is_image(images) and not (isinstance(images, np.ndarray) and images.ndim == 4)
    if one or isinstance(images, memoryview):
        raise TypeError(f"images must be a list of images, not {type(images).__name__}: put a single image into a list")
    for position, image in enumerate(images):
        if image is not None and not is_image(image):
            raise TypeError(f"images[{position}] must be {ACCEPTED}, not {type(image).__name__}")
