"""The shapes of services, functions and registered models."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from galclass.scoring import references
from galclass.service.routes.schemas import ModelRef


class FunctionRef(BaseModel):
    """A published function: its import path and the hash of its files, requirements, models and limits."""

    path: str
    sha256: str


class ServiceRecord(BaseModel):
    """A published service: a model or a function."""

    name: str
    version: str
    description: str
    model: ModelRef | None
    function: FunctionRef | None = None
    aliases: list[str]
    created_at: datetime
    created_by: str


class FunctionCapabilities(BaseModel):
    """Inputs and outputs of a service over code."""

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
    """A new version of a service."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=NAME)
    version: str = Field(pattern=VERSION)
    model: str = Field(description="NAME, NAME@VERSION or NAME@ALIAS", pattern=REFERENCE)
    description: str = Field("", max_length=2000)


class AliasBody(BaseModel):
    """The version an alias is to point to."""

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
    """Inputs and outputs of a service."""

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

    table: str = Field(description='What counts as right, such as "13 classes"')
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
    accuracy: MeasuredAccuracy | None = Field(description="null if the version has no evaluation")


class ModelList(BaseModel):
    """The registered models."""

    models: list[ModelSummary]


class AliasMoveRecord(BaseModel):
    """One move of an alias; null if it was created or removed."""

    alias: str
    old: int | None
    new: int | None
    set_at: datetime
    set_by: str


class ModelDetail(ModelSummary):
    """A registered version with its metrics, card and history."""

    metrics: dict[str, Any]
    card: str
    signature: dict[str, Any]
    alias_log: list[AliasMoveRecord]
