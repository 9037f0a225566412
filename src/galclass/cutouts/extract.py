"""The one function from image bytes to a cutout, used from training to SQL to HTTP.

Takes the bytes of a JPEG, PNG, BMP or FITS file and `CutoutParameters`, returns uint8 RGB pixels
(y, x, channel); raises `CutoutError` with a code for any file that gives none.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from galclass.cutouts.decode import decode
from galclass.cutouts.facts import Header
from galclass.cutouts.geometry import SamplingPlan, sampling_plan
from galclass.cutouts.headers import read_header
from galclass.cutouts.limits import LOCAL, DecodeLimits
from galclass.errors import ConfigError, CutoutError

Pixels: TypeAlias = NDArray[np.uint8]
_Placing: TypeAlias = tuple[int, bool, int, int]
"""First row of the drawn image, whether it is transposed, and then the step (1 or -1) along rows and columns."""

ALGORITHM_VERSION = 1
"""Raised whenever the same bytes and parameters would give other pixels."""
TRUNCATED = "truncated"
"""The flag of an image made of the whole scans of a progressive JPEG that was cut off."""
NO_CONTENT_SPAN = 2
"""Levels that every channel of an image spans at most where it shows nothing."""
ORIGINAL_CROP_FRACTION = 204 / 424
"""The original's crop: 26 % off each side of 424 px, rounded."""

_SMOOTHING = np.array([1, 6, 1], np.float32) / 8
_EXIF_TURNS = {
    1: (0, False),
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (1, True),
    6: (3, False),
    7: (3, True),
    8: (1, False),
}
"""EXIF orientation -> (quarter turns counter-clockwise, mirrored left-right before them)."""


@dataclass(frozen=True)
class CutoutParameters:
    """What a cutout shows and how large it is; part of every model's signature.

    Attributes
    ----------
    size_px : int
        Side of the cutout in px, 8..1024.
    crop_fraction : float
        Side of the crop as a fraction of the survey's frame, in (0, 1].
    """

    size_px: int = 64
    crop_fraction: float = ORIGINAL_CROP_FRACTION

    def __post_init__(self) -> None:
        if not 8 <= self.size_px <= 1024:
            raise ConfigError(
                "a cutout of this size cannot be made", where="size_px", expected="8..1024", got=self.size_px
            )
        if not 0 < self.crop_fraction <= 1:
            raise ConfigError(
                "crop_fraction is out of range", where="crop_fraction", expected="in (0, 1]", got=self.crop_fraction
            )

    @property
    def sha256(self) -> str:
        """Hash of everything that decides the pixels: the parameters and the version of the algorithm."""
        facts = {"algorithm": ALGORITHM_VERSION, "size_px": self.size_px, "crop_fraction": float(self.crop_fraction)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def store_side_px(self) -> int:
        """Side of a stored cutout: covers the crop at any rotation, same parity as `size_px`, same scale."""
        side = math.ceil(self.size_px * math.sqrt(2))
        return side + (side - self.size_px) % 2


class Cutout(NamedTuple):
    """A cutout and what is to be said of it.

    Attributes
    ----------
    pixels : uint8, (side, side, 3), 0..255
    flags : tuple of str
        "truncated" where the file is a progressive JPEG that was cut off, and its whole scans are shown.
    """

    pixels: Pixels
    flags: tuple[str, ...]


def cutout(
    data: bytes,
    parameters: CutoutParameters,
    *,
    frame_px: int | None = None,
    angle_deg: float = 0,
    limits: DecodeLimits = LOCAL,
) -> Pixels:
    """Cut the centre out of an image file: decode, crop, rotate and resize in one step.

    Parameters
    ----------
    data : bytes
        A whole JPEG, PNG, BMP or FITS file.
    parameters : CutoutParameters
    frame_px : int, optional
        Side of the survey's frame in the file's px, where the file holds its centre only (424 for a
        296 px file cut from 424). Left out: the file is a full frame, and its shorter side counts.
    angle_deg : float
        Turns the image counter-clockwise.
    limits : DecodeLimits
        `SERVED` for images that others send.

    Returns
    -------
    uint8, (size_px, size_px, 3), 0..255
        Red, green, blue; row 0 is the top of the image.

    Raises
    ------
    CutoutError
        Its `code` is empty, not_an_image, truncated, corrupt, unsupported, too_large, too_small, too_costly,
        frame_too_small or no_content.
    """
    image: Pixels = _render(data, parameters, parameters.size_px, (angle_deg,), frame_px, limits)[0][0]
    return image


def flagged_cutout(
    data: bytes, parameters: CutoutParameters, *, frame_px: int | None = None, limits: DecodeLimits = LOCAL
) -> Cutout:
    """Cut the centre out of an image file, as `cutout` does, and say what is to be known of it."""
    images, header = _render(data, parameters, parameters.size_px, (0,), frame_px, limits)
    return Cutout(images[0], _flags(header))


def views(
    data: bytes,
    parameters: CutoutParameters,
    angles_deg: Sequence[float] = (0, 45, 90),
    *,
    frame_px: int | None = None,
    limits: DecodeLimits = LOCAL,
) -> Pixels:
    """Cut several rotated views out of an image file that is decoded once.

    Each view equals, bit for bit, what `cutout` returns for its angle alone.

    Returns
    -------
    uint8, (len(angles_deg), size_px, size_px, 3), 0..255
    """
    return _render(data, parameters, parameters.size_px, tuple(angles_deg), frame_px, limits)[0]


def stored_cutout(
    data: bytes, parameters: CutoutParameters, *, frame_px: int | None = None, limits: DecodeLimits = LOCAL
) -> Pixels:
    """Cut the unrotated centre with enough sky round it for any rotation, as the packed store keeps it.

    Its central `size_px` px equal, bit for bit, what `cutout` returns.

    Returns
    -------
    uint8, (store_side_px, store_side_px, 3), 0..255
    """
    return flagged_stored_cutout(data, parameters, frame_px=frame_px, limits=limits).pixels


def flagged_stored_cutout(
    data: bytes, parameters: CutoutParameters, *, frame_px: int | None = None, limits: DecodeLimits = LOCAL
) -> Cutout:
    """Cut the centre as `stored_cutout` does, and say what is to be known of it."""
    images, header = _render(data, parameters, parameters.store_side_px, (0,), frame_px, limits)
    return Cutout(images[0], _flags(header))


def has_content(pixels: Pixels) -> bool:
    """Return whether an image shows anything: whether some channel spans more than 2 levels.

    Parameters
    ----------
    pixels : uint8, (side, side, 3)
    """
    middle, corner = pixels[len(pixels) // 2, len(pixels) // 2].tolist(), pixels[0, 0].tolist()
    if any(abs(a - b) > NO_CONTENT_SPAN for a, b in zip(middle, corner, strict=True)):
        return True  # a galaxy in the middle and sky in the corner: nearly every image
    span = pixels.max(axis=(0, 1)).astype(np.int16) - pixels.min(axis=(0, 1))
    return bool((span > NO_CONTENT_SPAN).any())


def _flags(header: Header) -> tuple[str, ...]:
    return (TRUNCATED,) if header.truncated else ()


def _render(
    data: bytes,
    parameters: CutoutParameters,
    side: int,
    angles_deg: tuple[float, ...],
    frame_px: int | None,
    limits: DecodeLimits,
) -> tuple[Pixels, Header]:
    header = read_header(data, limits)
    size = header.width, header.height
    plan, placings = _recipe(size, header.orientation, parameters, side, angles_deg, frame_px)
    images = _warp(decode(data, plan.reduction, header, limits).pixels, plan)
    if placings is not None:
        drawn, images = images, np.empty((len(placings) * side, side), np.uint32)
        for row, (start, transposed, down, right) in enumerate(placings):
            image = drawn[start : start + side]
            images[row * side : (row + 1) * side] = (image.T if transposed else image)[::down, ::right]
    rgb = cv2.cvtColor(images.view(np.uint8).reshape(-1, side, 4), cv2.COLOR_RGBA2RGB)
    shown = cast(Pixels, rgb).reshape(-1, side, side, 3)
    margin = (side - parameters.size_px) // 2
    if not has_content(shown[0, margin : side - margin, margin : side - margin]):
        raise no_content()
    return shown, header


def no_content() -> CutoutError:
    """Return the error for an image that shows nothing."""
    return CutoutError(
        "no_content", "the image shows nothing", expected="a channel that spans 3 levels or more", got="one colour"
    )


@lru_cache(maxsize=128)
def _recipe(
    size: tuple[int, int],
    orientation: int,
    parameters: CutoutParameters,
    side: int,
    angles_deg: tuple[float, ...],
    frame_px: int | None,
) -> tuple[SamplingPlan, tuple[_Placing, ...] | None]:
    """Return the images to draw, and how each view is made of them; None where the views are the images.

    Angles are split into quarter turns, which move whole pixels, and a rest in [0, 90), which is drawn.
    Kept for the next file, since a survey has one frame size.
    """
    turns, mirrored = _EXIF_TURNS[orientation]
    split = [divmod(-angle if mirrored else angle, 90) for angle in angles_deg]
    drawn = tuple(dict.fromkeys(float(rest) for _, rest in split))
    plan = sampling_plan(*size, _crop_px(size, parameters, frame_px), parameters.size_px, side, drawn)
    if not mirrored and len(drawn) == len(split) and all((quarter + turns) % 4 == 0 for quarter, _ in split):
        return plan, None
    return plan, tuple(
        (drawn.index(rest) * side, *_whole_pixel_move(int(quarter), mirrored, turns)) for quarter, rest in split
    )


def _crop_px(size: tuple[int, int], parameters: CutoutParameters, frame_px: int | None) -> float:
    shorter = min(size)
    if frame_px is None:
        return parameters.crop_fraction * shorter
    crop_px = parameters.crop_fraction * frame_px
    if shorter > frame_px + 1:  # one px is rounding: 423 and 424 px stand for the same frame
        raise CutoutError(
            "frame_too_small",
            f"a frame of {frame_px} px is smaller than the file that was supposedly cut from it",
            expected=f"frame_px >= {shorter}",
            got=f"a file of {size[0]} x {size[1]} px",
            advice="frame_px is the side of the survey's frame, in px of the file; omit it for full frames",
        )
    if shorter < crop_px - 1:
        raise CutoutError(
            "too_small",
            f"the file holds less than the crop of a {frame_px} px frame",
            expected=f">= {crop_px:.0f} px on a side",
            got=f"{size[0]} x {size[1]} px",
            advice="frame_px is the side of the survey's frame, in px of the file",
        )
    return crop_px


def _warp(pixels: Pixels, plan: SamplingPlan) -> NDArray[np.uint32]:
    """Draw the images of a plan: uint32, (images * side, side), four bytes a pixel.

    The sums are exact and rounded half up.
    """
    part = cv2.cvtColor(pixels[plan.rows, plan.columns], cv2.COLOR_RGB2RGBA)  # four channels warp twice as fast
    if plan.smooth:
        source = cv2.sepFilter2D(part, cv2.CV_32F, _SMOOTHING, _SMOOTHING, delta=0.5, borderType=cv2.BORDER_REPLICATE)
    else:
        source = part.astype(np.float32)
        source += np.float32(0.5)  # type: ignore[arg-type]  # OpenCV's stubs do not say float
    drawn = cv2.remap(source, plan.x, plan.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    rounded = drawn.astype(np.uint8)  # a half is in: dropping the fraction rounds half up
    return rounded.view(np.uint32)[..., 0]


def _whole_pixel_move(quarters: int, mirrored: bool, then: int) -> tuple[bool, int, int]:
    """Return the transform that turns by quarters counter-clockwise, mirrors left-right, then turns again."""
    square = np.arange(4).reshape(2, 2)
    wanted = np.rot90(np.rot90(square, quarters)[:, :: -1 if mirrored else 1], then)
    moves = itertools.product((False, True), (1, -1), (1, -1))
    return next(
        move for move in moves if np.array_equal((square.T if move[0] else square)[:: move[1], :: move[2]], wanted)
    )
