"""One image explained: the cutout the model sees, where it looked, and its predictions if rotated or changed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from galclass.cutouts import cutout
from galclass.scoring import Scorer
from galclass.scoring.saliency import Pixels, Probabilities, cutout_png, eight_views, heat_png, occlusion_map
from galclass.scoring.variations import variations

_DIGITS = 6
_SAME = 1e-4
"""Largest difference of probabilities between views that is due to rounding alone."""


def explain(scorer: Scorer, data: bytes, object_id: str, frame_px: int | None) -> dict[str, Any]:
    """Explain the prediction for one image.

    Parameters
    ----------
    scorer : Scorer
    data : bytes
        JPEG, PNG, BMP or FITS file.
    object_id : str
    frame_px : int or None
        Side of the survey's frame in px; None: the file is a full frame.

    Raises
    ------
    CutoutError
        If the bytes yield no cutout.
    """
    pixels = cutout(data, scorer.parameters, frame_px=frame_px, limits=scorer.limits)
    views = eight_views(pixels)
    changed = variations(data, scorer.parameters, frame_px, scorer.limits)
    outputs = scorer.score_cutouts(np.stack([view for _, _, view in views] + [one.pixels for one in changed]))
    probabilities = outputs.probabilities
    positions = scorer.classes_of(outputs)
    known = scorer.signature.classes
    classes = [known[position] for position in positions]
    turned = probabilities[: len(views)]
    (prediction,) = scorer.score([data], object_ids=[object_id], frame_px=frame_px)
    return {
        "object_id": object_id,
        "predicted_class": classes[0],
        "prediction": prediction.as_json(),
        "cutout": _text(cutout_png(pixels)),
        "saliency": _text(heat_png(occlusion_map(pixels, _score_of(scorer), int(positions[0])))),
        "views": [
            {
                "angle_deg": angle_deg,
                "mirrored": mirrored,
                "png": _text(cutout_png(view, 96)),
                **_outcome(own, cls, known),
            }
            for (angle_deg, mirrored, view), own, cls in zip(views, turned, classes[: len(views)], strict=True)
        ],
        "turning_changes": bool(np.abs(turned - turned[0]).max() > _SAME),
        "variations": [
            {
                "kind": one.kind,
                "text": one.text,
                "png": _text(cutout_png(one.pixels, 96)),
                **_outcome(own, cls, known),
            }
            for one, own, cls in zip(changed, probabilities[len(views) :], classes[len(views) :], strict=True)
        ],
        "model": {"name": scorer.model.name, "version": scorer.model.version, "sha256": scorer.model.sha256},
    }


def _outcome(probabilities: Probabilities, cls: str, known: Sequence[str]) -> dict[str, Any]:
    rounded = probabilities.round(_DIGITS).tolist()
    return {"predicted_class": cls, "probabilities": dict(zip(known, rounded, strict=True))}


def saliency_png(scorer: Scorer, data: bytes, frame_px: int | None) -> str:
    """Return the map of where the model looked in an image, as PNG bytes in base64.

    Raises
    ------
    CutoutError
        If the bytes yield no cutout.
    """
    pixels = cutout(data, scorer.parameters, frame_px=frame_px, limits=scorer.limits)
    own = int(scorer.classes_of(scorer.score_cutouts(pixels[np.newaxis]))[0])
    return _text(heat_png(occlusion_map(pixels, _score_of(scorer), own)))


def _score_of(scorer: Scorer) -> Callable[[Pixels], Probabilities]:
    return lambda cutouts: scorer.score_cutouts(cutouts).probabilities


def _text(data: bytes) -> str:
    return b64encode(data).decode()
