"""A chunk of image files -> predictions, and what a process needs to make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from galclass.cutouts import DecodeLimits
from galclass.cutouts.headers import MAX_BYTES
from galclass.image_files import ImageFile, read_image
from galclass.image_files.reading import READ_ERRORS
from galclass.scoring.prediction import ImageFault, Prediction
from galclass.scoring.scorer import Scorer

Given = tuple[ImageFile, bytes | None]
"""An image and its bytes; None: they are read when it is scored."""


@dataclass(frozen=True)
class Setup:
    """The model of a scoring process and how it scores; arguments of `Scorer` and of `score_images`."""

    value: bytes
    name: str
    version: int
    limits: DecodeLimits
    provider: str
    frame_px: int | None
    embedding: bool

    @classmethod
    def of(cls, scorer: Scorer, frame_px: int | None, embedding: bool) -> Setup:
        """Return the setup of a process that scores as this scorer does."""
        model = scorer.model
        return cls(scorer.value, model.name, model.version, scorer.limits, scorer.provider, frame_px, embedding)

    def scorer(self) -> Scorer:
        """Load the model."""
        return Scorer(
            self.value, name=self.name, version=self.version, limits=self.limits, provider=self.provider
        )  # fmt: skip


def score_images(
    scorer: Scorer, chunk: Sequence[Given], frame_px: int | None, embedding: bool = False
) -> list[Prediction]:
    """Score a few images, reading those not read yet."""
    data, faults = [], {}
    for number, (image, given) in enumerate(chunk):
        try:
            if image.fault is not None:
                faults[number] = ImageFault(image.fault.code, image.fault.reason)
            data.append(b"" if image.fault else read_image(image, MAX_BYTES) if given is None else given)
        except READ_ERRORS as error:
            data.append(b"")
            faults[number] = ImageFault("unreadable", getattr(error, "strerror", None) or str(error))
    predictions = scorer.score(data, object_ids=[image.object_id for image, _ in chunk], frame_px=frame_px)
    for number, fault in faults.items():
        predictions[number] = without_prediction(scorer, chunk[number][0], fault)
    return [replace(one, cutout=None, embedding=one.embedding if embedding else None) for one in predictions]


def without_prediction(scorer: Scorer, image: ImageFile, fault: ImageFault) -> Prediction:
    """Return the record of an image that has no prediction."""
    return Prediction(
        image.object_id, scorer.model, datetime.now(UTC), error=fault, classes=scorer.signature.classes
    )  # fmt: skip
