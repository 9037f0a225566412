"""The shapes of the label desk's requests and responses."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from galclass.database.desk_labels import MAX_LABEL, MAX_NOTE
from galclass.image_names import MAX_ID_CHARACTERS
from galclass.service.routes.schemas import ModelRef, Probability
from galclass.service.routes.service_schemas import NAME, REFERENCE

ObjectId = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS)]
ClassName = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]


class DeskLabelBody(BaseModel):
    """A person's label of an object; null: cannot tell."""

    model_config = ConfigDict(extra="forbid")

    object_id: ObjectId
    label: ClassName | None
    note: str | None = Field(None, max_length=MAX_NOTE, description="Default: as before")


class DeskLabelRecord(BaseModel):
    """A stored label of a desk."""

    object_id: str
    label: str | None
    note: str
    labelled_by: str
    labelled_at: datetime


class DeskGivenRecord(DeskLabelRecord):
    """A label as it was stored, with the earlier one of the same person that it replaced."""

    replaced: DeskLabelRecord | None


class DeskRecord(BaseModel):
    """A desk with the objects of each class."""

    name: str
    counts: dict[str, int]
    people: list[str]
    last_at: datetime


class DeskList(BaseModel):
    """The desks with labels, the last used first."""

    desks: list[DeskRecord]


class EmbeddingProgress(BaseModel):
    """How many stored images have an embedding; `failed` of them have no cutout."""

    total: int
    done: int
    failed: int
    running: bool = Field(description="Whether this process computes them")


class NextObject(BaseModel):
    """An object to label, and why it is next."""

    object_id: str
    reason: Literal["different", "likely", "unsure"]
    probabilities: dict[str, Probability] | None


class Interval(BaseModel):
    """A share with its 95 % interval (Wilson)."""

    value: float
    low: float
    high: float


class DeskEstimate(BaseModel):
    """How well the head predicts labelled objects that it was not fitted on; null shares: too few labels."""

    objects: int
    accuracy: Interval | None
    precision: Interval | None = Field(description="Of the target class")
    recall: Interval | None
    lacking: dict[str, int] = Field(description="Labels of each class that has fewer than 10")


class DeskStateRecord(BaseModel):
    """The state of a desk, and the next objects."""

    desk: str
    model: ModelRef
    target: str
    embeddings: EmbeddingProgress
    pool: int = Field(description="Objects that are chosen from: with an embedding, the first 50,000 by id")
    counts: dict[str, int]
    disputed: int
    untold: int
    mine: list[DeskLabelRecord] = Field(description="The requester's newest labels, at most 100")
    queue: list[NextObject]
    estimate: DeskEstimate | None
    refit_ms: float


class RankedObject(BaseModel):
    """An object of the ranked list; label: that of the people, null if there is none."""

    object_id: str
    probability: Probability
    label: str | None


class RankedList(BaseModel):
    """Objects by the probability of a class, the most probable first."""

    target: str
    total: int = Field(description="Objects that were ranked: with an embedding, the first 50,000 by id")
    objects: list[RankedObject]


class DeskModelBody(BaseModel):
    """The name under which a head is registered, and the service that publishes it."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(pattern=REFERENCE, max_length=130, description="The model whose embeddings it reads")
    name: str = Field(pattern=NAME)
    service: str | None = Field(None, pattern=NAME)
    version: str = Field("1.0", max_length=64)


class DeskModelRecord(BaseModel):
    """A head that became a model."""

    name: str
    version: int
    sha256: str
    classes: list[str]
    accuracy: Interval | None
    limits: list[str] = Field(description="What it lacks because there are too few labels")
    service: str | None
    service_version: str | None
