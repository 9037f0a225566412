"""One image explained: the cutout the model sees, where it looked, and its answer to the eight views."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import numpy as np

from galclass.morphology import CLASSES
from galclass.preprocess import cutout
from galclass.scoring import Scorer
from galclass.service.saliency import Pixels, Probabilities, cutout_png, eight_views, heat_png, occlusion_map

_DIGITS = 6


def explain(scorer: Scorer, data: bytes, object_id: str, frame_px: int | None) -> dict[str, Any]:
    """Explain the answer for one image.

    Parameters
    ----------
    scorer : Scorer
    data : bytes
        JPEG, PNG or BMP file.
    object_id : str
    frame_px : int or None
        Side of the survey's frame in px; None: the file is a full frame.

    Raises
    ------
    CutoutError
        If the bytes give no cutout.
    """
    pixels = cutout(data, scorer.parameters, frame_px=frame_px, limits=scorer.limits)
    views = eight_views(pixels)
    outputs = scorer.score_cutouts(np.stack([view for _, _, view in views]))
    positions = scorer.classes_of(outputs)
    classes = [CLASSES[position] for position in positions]
    return {
        "object_id": object_id,
        "predicted_class": classes[0],
        "cutout": _text(cutout_png(pixels)),
        "saliency": _text(heat_png(occlusion_map(pixels, _score_of(scorer), int(positions[0])))),
        "views": [
            {
                "angle_deg": angle_deg,
                "mirrored": mirrored,
                "png": _text(cutout_png(view, 96)),
                "predicted_class": cls,
                "probabilities": dict(zip(CLASSES, answer.round(_DIGITS).tolist(), strict=True)),
            }
            for (angle_deg, mirrored, view), answer, cls in zip(views, outputs.probabilities, classes, strict=True)
        ],
        "model": {"name": scorer.model.name, "version": scorer.model.version, "sha256": scorer.model.sha256},
    }


def saliency_png(scorer: Scorer, data: bytes, frame_px: int | None) -> str:
    """Give the map of where the model looked in an image, as PNG bytes in base64.

    Raises
    ------
    CutoutError
        If the bytes give no cutout.
    """
    pixels = cutout(data, scorer.parameters, frame_px=frame_px, limits=scorer.limits)
    answer = int(scorer.classes_of(scorer.score_cutouts(pixels[np.newaxis]))[0])
    return _text(heat_png(occlusion_map(pixels, _score_of(scorer), answer)))


def _score_of(scorer: Scorer) -> Callable[[Pixels], Probabilities]:
    return lambda cutouts: scorer.score_cutouts(cutouts).probabilities


def _text(data: bytes) -> str:
    return b64encode(data).decode()
