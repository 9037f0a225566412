"""The shapes of stored predictions, positions, labels and bundled examples."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from galclass.image_names import MAX_ID_CHARACTERS
from galclass.morphology import CLASSES
from galclass.service.routes.schemas import Probability, VoteFraction


class Example(BaseModel):
    """A bundled galaxy with the volunteers' votes."""

    object_id: str
    label: str | None
    text: str = Field(description="The label in words")
    classes: list[str] = Field(description="Classes that agree with the label; none if it does not decide on a class")
    image: str = Field(description="path of the JPEG")
    frame_px: int | None = Field(description="Side of the survey's frame if the image is only its centre")
    votes: dict[str, float] = Field(description="Fractions of the questions that were asked")


class ExampleList(BaseModel):
    """Galaxies to try."""

    examples: list[Example]


class CatalogRow(BaseModel):
    """A stored prediction with the object's position."""

    object_id: str
    predicted_class: str | None
    predicted_group: str | None
    probability: float | None
    probabilities: dict[str, Probability] | None
    prediction_set: list[str]
    flags: list[str]
    error: str | None
    model_name: str
    model_version: int
    model_sha256: str | None
    scored_at: datetime
    ra: float | None
    dec: float | None
    image: str
    human_label: str | None
    labelled_by: str | None
    labelled_at: datetime | None
    separation_arcsec: float | None = Field(description="Distance from the centre of the cone, if there is one")
    vote_fractions: dict[str, VoteFraction] | None = Field(
        None, description="Debiased; only with votes=true, null for predictions without them"
    )
    raw_vote_fractions: dict[str, VoteFraction] | None = Field(None, description="The same, raw")


class CatalogPage(BaseModel):
    """One page of stored predictions."""

    predictions: list[CatalogRow]
    page: int
    page_size: int
    total: int


class SkyPositions(BaseModel):
    """Objects on the sky as columns of one length; degrees, J2000."""

    total: int = Field(description="Objects with a position; the columns contain the first of them")
    object_id: list[str]
    predicted_class: list[str | None]
    ra: list[float]
    dec: list[float]


def _class(name: str) -> str:
    if name not in CLASSES:
        raise ValueError(f"unknown class, expected one of {' '.join(CLASSES)}")
    return name


GalaxyClass = Annotated[str, Field(max_length=40, json_schema_extra={"enum": list(CLASSES)}), AfterValidator(_class)]
"""One of the 13 classes."""


class LabelBody(BaseModel):
    """A class given by a person."""

    model_config = ConfigDict(extra="forbid")

    object_id: str = Field(min_length=1, max_length=MAX_ID_CHARACTERS)
    label: GalaxyClass


class LabelRecord(BaseModel):
    """A stored human label."""

    object_id: str
    label: str
    source: str
    labelled_by: str
    labelled_at: datetime
