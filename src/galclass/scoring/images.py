"""What `Scorer.score` accepts as images, and the ids of those that come without one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from math import isfinite
from numbers import Integral, Real
from typing import cast

import numpy as np

from galclass.cutouts.arrays import ACCEPTED, Image, is_image
from galclass.image_names import object_id_of


def own_id(image: Image | None, position: int) -> str:
    """Return the id of an image without one: its file's name without the suffix, else its index."""
    return object_id_of(os.fspath(image)) if isinstance(image, str | os.PathLike) else str(position)


def given_ids(values: Iterable[object]) -> list[str]:
    """Return ids as text.

    Raises
    ------
    TypeError
        If one is neither text nor an integer: a float has lost digits already, and a missing value names no object.
    """
    ids: list[str] = []
    for position, value in enumerate(map(_plain, values)):
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, str | Integral) or isinstance(value, bool):
            kind = type(value).__name__
            raise TypeError(f"object_ids[{position}] must be text or an integer, not {kind}: {value!r:.40}")
        ids.append(str(value))
    return ids


def _plain(value: object) -> object:
    """Return an item of an Arrow column, which is a scalar of Arrow's own, as Python's; others as they are."""
    return value.as_py() if hasattr(value, "as_py") else value


def listed(images: Sequence[Image | None]) -> Sequence[Image | None]:
    """Return images as they are, those of a column (of a table, or an array of paths or objects) as a list."""
    values = images.to_numpy() if hasattr(images, "to_numpy") else images
    column = isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "OUT"
    return list(values) if column else images


def check_images(images: Sequence[Image | None]) -> None:
    """Refuse anything but a sequence of images.

    Raises
    ------
    TypeError
        If an item is not an image, or a single image is not in a list.
    """
    one = is_image(images) and not (isinstance(images, np.ndarray) and images.ndim == 4)
    if one or isinstance(images, memoryview):
        raise TypeError(f"images must be a list of images, not {type(images).__name__}: put a single image into a list")
    if not hasattr(images, "__len__"):
        raise TypeError(f"images must be a list of images, not {type(images).__name__}")
    for position, image in enumerate(images):
        if image is not None and not is_image(image):
            raise TypeError(f"images[{position}] must be {ACCEPTED}, not {type(image).__name__}")


def frame_sizes(frame_px: float | None | Iterable[float | None], images: int) -> list[int | None]:
    """Return the frame of each image.

    Parameters
    ----------
    frame_px : number, None or one for each image
        A list, an array or a column of a table.
    images : int

    Raises
    ------
    TypeError
        If a frame is no number.
    ValueError
        If one is not finite.
    """
    given = (
        list(map(_plain, frame_px))
        if isinstance(frame_px, Iterable) and not isinstance(frame_px, str)
        else [frame_px] * images
    )
    frames: list[int | None] = []
    for position, one in enumerate(given):
        if one is not None and (not isinstance(one, Real) or isinstance(one, bool)):
            raise TypeError(f"frame_px[{position}] must be a number of pixels or None, not {type(one).__name__}")
        if one is not None and not isfinite(one):
            raise ValueError(f"frame_px[{position}] must be a number of pixels or None, not {one}")
        frames.append(cast("int | None", one))  # a fraction of a pixel does no harm
    return frames
