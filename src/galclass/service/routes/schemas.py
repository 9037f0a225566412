"""The shapes of requests and answers, as OpenAPI shows them; answers are checked against them in the tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from galclass.morphology import CLASSES
from galclass.scoring import references

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


class ImageBody(BaseModel):
    """One image as JSON."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field("image", min_length=1, max_length=200)
    img: str = Field(
        min_length=4,
        description="JPEG, PNG, BMP or FITS bytes in base64 (also URL-safe, without padding, with line breaks or as a "
        "data URL), or in hexadecimal digits",
    )


class ImageUrlBody(BaseModel):
    """One image by its address, only at hosts that the server allows."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field("image", min_length=1, max_length=200)
    url: str = Field(min_length=9, max_length=2000, pattern="^https://")


class ImagesBody(BaseModel):
    """Several images as JSON."""

    model_config = ConfigDict(extra="forbid")

    images: list[ImageBody | ImageUrlBody] = Field(min_length=1)


class FunctionRef(BaseModel):
    """A function that answers: its import path and the hash of its files, requirements, models and limits."""

    path: str
    sha256: str


class ServiceRecord(BaseModel):
    """A published service: a model answers, or a function."""

    name: str
    version: str
    description: str
    model: ModelRef | None
    function: FunctionRef | None = None
    aliases: list[str]
    created_at: datetime
    created_by: str


class FunctionCapabilities(BaseModel):
    """What a service over code takes and gives."""

    service: ServiceRecord
    inputs: dict[str, Any] = Field(description="JSON schema of the body of a call")
    output: dict[str, Any] = Field(description="JSON schema of what a call returns")
    definitions: dict[str, Any] = Field(description="Schemas that both refer to")
    requirements: dict[str, str]
    models: list[ModelRef]
    python: str
    deadline_s: float
    memory_mib: int
    max_body_bytes: int


class ServiceList(BaseModel):
    """The published services."""

    services: list[ServiceRecord]


NAME = f"^{references.NAME}$"
VERSION = r"^[0-9][A-Za-z0-9_.+-]{0,31}$"
REFERENCE = f"^{references.NAME}(@{references.NAME})?$"


class ServiceBody(BaseModel):
    """What a new version of a service is."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=NAME)
    version: str = Field(pattern=VERSION)
    model: str = Field(description="NAME, NAME@VERSION or NAME@ALIAS", pattern=REFERENCE)
    description: str = Field("", max_length=2000)


class AliasBody(BaseModel):
    """The version an alias shall stand for."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(description="A version, or another alias", pattern=NAME)


class ServiceEventRecord(BaseModel):
    """One line of the log of a service."""

    name: str
    action: str
    version: str | None
    alias: str | None
    old_version: str | None
    at: datetime
    by: str


class ServiceLog(BaseModel):
    """Every publish, move and delete, oldest first."""

    events: list[ServiceEventRecord]


class Capabilities(BaseModel):
    """What a service takes and gives."""

    service: ServiceRecord
    inputs: list[str]
    outputs: list[str]
    classes: dict[str, str]
    groups: dict[str, list[str]]
    max_body_bytes: int
    max_images: int
    signature: dict[str, Any]


class MeasuredAccuracy(BaseModel):
    """Share of right classes on a test set, with its 95 % interval."""

    table: str = Field(description='What was counted as right, such as "13 classes"')
    count: int = Field(description="Objects of the test set")
    accuracy: float
    low: float
    high: float


class ModelSummary(BaseModel):
    """A registered version of a model."""

    name: str
    version: int
    sha256: str
    aliases: list[str]
    created_at: datetime
    created_by: str
    accuracy: MeasuredAccuracy | None = Field(description="null where the version has no evaluation")


class ModelList(BaseModel):
    """The registered models."""

    models: list[ModelSummary]


class AliasMoveRecord(BaseModel):
    """One move of an alias; null where it was made or taken away."""

    alias: str
    old: int | None
    new: int | None
    set_at: datetime
    set_by: str


class ModelDetail(ModelSummary):
    """A registered version with what is known about it."""

    metrics: dict[str, Any]
    card: str
    signature: dict[str, Any]
    alias_log: list[AliasMoveRecord]


class Example(BaseModel):
    """A bundled galaxy with what the volunteers said."""

    object_id: str
    label: str | None
    text: str = Field(description="The label in words")
    classes: list[str] = Field(description="Classes that agree with the label; none where it says nothing about them")
    image: str = Field(description="path of the JPEG")
    frame_px: int | None = Field(description="Side of the survey's frame where the image holds only its centre")
    votes: dict[str, float] = Field(description="Fractions of the questions that somebody answered")


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
    scored_at: datetime
    ra: float | None
    dec: float | None
    image: str
    human_label: str | None
    labelled_by: str | None
    labelled_at: datetime | None
    separation_arcsec: float | None = Field(description="Distance from the centre of the cone, where one was given")
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

    total: int = Field(description="Objects with a position; the columns hold the first of them")
    object_id: list[str]
    predicted_class: list[str | None]
    ra: list[float]
    dec: list[float]


class LabelBody(BaseModel):
    """A class given by a person."""

    model_config = ConfigDict(extra="forbid")

    object_id: str = Field(min_length=1, max_length=200)
    label: str = Field(max_length=40, json_schema_extra={"enum": list(CLASSES)})


class LabelRecord(BaseModel):
    """A stored human label."""

    object_id: str
    label: str
    source: str
    labelled_by: str
    labelled_at: datetime


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


class JobRecord(BaseModel):
    """A batch job."""

    id: str
    service: str
    version: str
    state: Literal["open", "queued", "running", "done", "cancelled", "failed"]
    total: int
    done: int
    error: str | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    expires_at: datetime


class FilledJob(JobRecord):
    """A batch job after a request that brought images."""

    skipped_count: int = Field(description="Files of the archive that were left out")
    skipped: list[str] = Field(description="Their names, up to 100")


class JobResults(BaseModel):
    """Some results of a batch job; `next` is the `after` to go on with, null at the end."""

    predictions: list[PredictionRecord]
    next: int | None
    state: Literal["open", "queued", "running", "done", "cancelled", "failed"]
    total: int
    done: int


class Health(BaseModel):
    """The process lives."""

    ok: bool


class Readiness(BaseModel):
    """What works and what does not, by part."""

    ok: list[str]
    failing: dict[str, str]
