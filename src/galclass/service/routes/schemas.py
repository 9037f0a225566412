"""The shapes of requests and responses, as in OpenAPI; responses are checked against them in the tests."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Probability = float


class ErrorDetail(BaseModel):
    """The fault, and its field."""

    code: str
    message: str
    field: str | None


class ErrorBody(BaseModel):
    """Every refusal."""

    error: ErrorDetail


class ModelRef(BaseModel):
    """The model; version 0 is one that is not registered."""

    name: str
    version: int
    sha256: str


class VoteFraction(BaseModel):
    """Predicted share of the votes of those asked, with its 90 % interval."""

    fraction: float
    low: float
    high: float


class PredictionRecord(BaseModel):
    """The prediction for one image; a faulty one among several has `error` and no class."""

    object_id: str
    predicted_class: str | None
    predicted_group: str | None
    probabilities: dict[str, Probability] | None
    prediction_set: list[str]
    flags: list[str]
    vote_fractions: dict[str, VoteFraction] = Field(description="Debiased; empty if the model has none")
    raw_vote_fractions: dict[str, VoteFraction] | None = Field(
        None, description="As volunteers would vote on this image; absent if the model has none"
    )
    model: ModelRef
    embedding: list[float] | None = None
    saliency: str | None = Field(None, description="PNG in base64, to be laid over the cutout")
    error: ErrorDetail | None = None


class PredictionList(BaseModel):
    """The predictions for several images, in the order of the request."""

    predictions: list[PredictionRecord]


class View(BaseModel):
    """One rotation or mirror image of a cutout with the model's prediction."""

    angle_deg: int
    mirrored: bool
    png: str = Field(description="PNG in base64")
    predicted_class: str
    probabilities: dict[str, Probability]


class Variation(BaseModel):
    """A changed cutout with the model's prediction."""

    kind: Literal["shift", "zoom", "blur", "noise", "neighbours"]
    text: str = Field(description="What was changed, in words")
    png: str = Field(description="PNG in base64")
    predicted_class: str
    probabilities: dict[str, Probability]


class Explanation(BaseModel):
    """Explanation of a prediction; images are PNGs in base64."""

    object_id: str
    predicted_class: str
    prediction: PredictionRecord
    cutout: str
    saliency: str
    views: list[View]
    turning_changes: bool = Field(description="Whether the predictions for the eight views differ at all")
    variations: list[Variation]
    model: ModelRef


class Neighbour(BaseModel):
    """A stored galaxy that is similar by the model."""

    object_id: str
    similarity: float = Field(description="Cosine of the embeddings, in [-1, 1]")
    predicted_class: str
    label: str | None = Field(description="The volunteers' label, if known")
    text: str | None = Field(description="The label in words")
    image: str


class ClassNeighbours(BaseModel):
    """The most similar galaxies of one class: by the volunteers' label if there is one, else by the model."""

    predicted_class: str
    nearest: list[Neighbour]


class NeighbourList(BaseModel):
    """The most similar galaxies, nearest first; then those of the two most probable classes."""

    similar: list[Neighbour]
    contrast: list[ClassNeighbours]
    compared: int = Field(default=0, description="Stored galaxies that were compared")
    lacking: int = Field(default=0, description="Stored images left out, as they have no embedding yet (db embed)")


class Health(BaseModel):
    """The process is alive."""

    ok: bool


class Readiness(BaseModel):
    """State of each part: working or not."""

    ok: list[str]
    failing: dict[str, str]
