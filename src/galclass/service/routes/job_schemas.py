"""The shapes of batch jobs and their results."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from galclass.service.routes.schemas import PredictionRecord


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
    """A batch job after a request with images."""

    skipped_count: int = Field(description="Files of the archive that were left out")
    skipped: list[str] = Field(description="Their names, up to 100")


class JobResults(BaseModel):
    """Some results of a batch job; `next` is the `after` to continue with, null at the end."""

    predictions: list[PredictionRecord]
    next: int | None
    state: Literal["open", "queued", "running", "done", "cancelled", "failed"]
    total: int
    done: int
