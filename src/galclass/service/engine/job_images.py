"""The images of a request for a job: each header is checked before anything is stored."""

from __future__ import annotations

from collections.abc import Sequence

from galclass.cutouts import SERVED, DecodeLimits
from galclass.cutouts.headers import read_header
from galclass.database.jobs.records import stored_record
from galclass.database.jobs.rows import JobImage
from galclass.errors import CutoutError
from galclass.scoring import ImageFault, ModelId, Prediction
from galclass.service.http.image_inputs import ImageInput


def checked_images(images: Sequence[ImageInput], model: ModelId, limits: DecodeLimits = SERVED) -> list[JobImage]:
    """Check the header of each image before it is stored; one that no decoder would take keeps its refusal instead.

    Parameters
    ----------
    images : sequence of ImageInput
        A stored one refers to the image of its id in the database; an empty file does not.
    model : ModelId
        Named in the records of refused images.
    limits : DecodeLimits
        How long a decode may take.
    """
    return [JobImage(image.object_id, b"") if image.stored else _checked(image, model, limits) for image in images]


def _checked(image: ImageInput, model: ModelId, limits: DecodeLimits) -> JobImage:
    try:
        read_header(image.data, limits)
    except CutoutError as error:
        refused = Prediction(image.object_id, model, error=ImageFault(error.code, error.what))
        return JobImage(image.object_id, b"", stored_record(refused))
    return JobImage(image.object_id, image.data)
