"""The shapes of requests and answers, as OpenAPI shows them; answers are checked against them in the tests."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Probability = float


class ErrorDetail(BaseModel):
    """What is wrong, and with which field."""

    code: str
    message: str
    field: str | None


class ErrorBody(BaseModel):
    """Every refusal."""

    error: ErrorDetail


class ModelRef(BaseModel):
    """Which model answered; version 0 is a model that is not registered."""

    name: str
    version: int
    sha256: str


class VoteFraction(BaseModel):
    """Predicted share of the votes of those asked, with its 90 % interval."""

    fraction: float
    low: float
    high: float


class PredictionRecord(BaseModel):
    """The answer for one image; a faulty one among several has `error` and no class."""

    object_id: str
    predicted_class: str | None
    predicted_group: str | None
    probabilities: dict[str, Probability] | None
    prediction_set: list[str]
    flags: list[str]
    vote_fractions: dict[str, VoteFraction] = Field(description="Debiased; empty where the model has none")
    raw_vote_fractions: dict[str, VoteFraction] | None = Field(
        None, description="As volunteers would vote on this picture; left out where the model has none"
    )
    model: ModelRef
    embedding: list[float] | None = None
    saliency: str | None = Field(None, description="PNG in base64, to be laid over the cutout")
    error: ErrorDetail | None = None


class PredictionList(BaseModel):
    """The answers for several images, in the order of the request."""

    predictions: list[PredictionRecord]


class View(BaseModel):
    """One turn or mirror image of a cutout with the model's answer to it."""

    angle_deg: int
    mirrored: bool
    png: str = Field(description="PNG in base64")
    predicted_class: str
    probabilities: dict[str, Probability]


class Variation(BaseModel):
    """A changed cutout with the model's answer to it."""

    kind: Literal["shift", "zoom", "blur", "noise", "neighbours"]
    text: str = Field(description="What was changed, in words")
    png: str = Field(description="PNG in base64")
    predicted_class: str
    probabilities: dict[str, Probability]


class Explanation(BaseModel):
    """Why the model answers as it does; pictures are PNGs in base64."""

    object_id: str
    predicted_class: str
    prediction: PredictionRecord
    cutout: str
    saliency: str
    views: list[View]
    turning_changes: bool = Field(description="Whether the answers to the eight views differ at all")
    variations: list[Variation]
    model: ModelRef


class Neighbour(BaseModel):
    """A galaxy of the sample that the model sees as similar."""

    object_id: str
    similarity: float = Field(description="Cosine of the embeddings, in [-1, 1]")
    predicted_class: str
    label: str | None = Field(description="What the volunteers said, where known")
    text: str | None = Field(description="The label in words")
    image: str


class ClassNeighbours(BaseModel):
    """The most similar galaxies of one class: by the volunteers' label where there is one, else by the model."""

    predicted_class: str
    nearest: list[Neighbour]


class NeighbourList(BaseModel):
    """The most similar galaxies, nearest first; then those of the two most probable classes."""

    similar: list[Neighbour]
    contrast: list[ClassNeighbours]


class Health(BaseModel):
    """The process lives."""

    ok: bool


class Readiness(BaseModel):
    """What works and what does not, by part."""

    ok: list[str]
    failing: dict[str, str]
