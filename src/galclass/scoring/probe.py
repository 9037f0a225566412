"""Check that a model still predicts the probabilities recorded in its signature for the probe image."""

from __future__ import annotations

import hashlib

import numpy as np

from galclass.cutouts import CutoutParameters, cutout
from galclass.errors import ModelError
from galclass.scoring.labels import PROBABILITIES
from galclass.scoring.scorer import Scorer
from galclass.scoring.session import open_session
from galclass.scoring.shipped import probe_image
from galclass.scoring.signature_parts import Probe

TOLERANCE = 1e-4
"""Largest difference of a probability from the recorded one; processors differ in rounding."""


def make_probe(model: bytes, parameters: CutoutParameters) -> Probe:
    """Record a model's probabilities for the probe image; `model` need not have a signature yet."""
    image = probe_image()
    planes = cutout(image, parameters).transpose(2, 0, 1)[np.newaxis]
    (probabilities,) = open_session(model).run([PROBABILITIES], np.ascontiguousarray(planes))
    return Probe(hashlib.sha256(image).hexdigest(), tuple(float(value) for value in probabilities[0]))


def check_probe(scorer: Scorer) -> float | None:
    """Compare the probabilities for the probe image with the recorded ones.

    Returns
    -------
    float or None
        The largest difference of a probability; None if the model has no probe for this package's image.

    Raises
    ------
    ModelError
        If the difference is above the tolerance.
    """
    probe = scorer.signature.probe
    image = probe_image()
    if probe is None or probe.image_sha256 != hashlib.sha256(image).hexdigest():
        return None
    found = scorer.score_cutouts(cutout(image, scorer.parameters)[np.newaxis]).probabilities[0]
    difference = float(np.abs(found - np.array(probe.probabilities)).max())
    if difference > TOLERANCE:
        raise ModelError(
            "it does not predict the probe image as recorded",
            where=str(scorer.model),
            expected=f"a difference up to {TOLERANCE}",
            got=f"{difference:.2g}",
            advice="the file was changed after it was written, or this machine computes differently",
        )
    return difference
