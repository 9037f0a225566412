"""Route that stores the labels of a downloaded report under their author's name."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from galclass.database.report_labels import MARK, ReportLabel, store_report_labels
from galclass.image_names import MAX_ID_CHARACTERS
from galclass.service.engine.state import state_of
from galclass.service.routes.access import Publisher
from galclass.service.routes.catalog_schemas import GalaxyClass
from galclass.service.routes.json_body import described, json_body
from galclass.service.routes.known_query import KNOWN_QUERY
from galclass.service.routes.openapi import responses

log = logging.getLogger("galclass.audit")

router = APIRouter(tags=["catalog"], dependencies=[KNOWN_QUERY])

MAX_REPORT_LABELS = 300
"""Labels of one request; a report with more is sent in parts."""


def _printable(name: str) -> str:
    if not name.isprintable() or name.strip() != name:
        raise ValueError("expected printable characters, no blank at either end")
    return name


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a time in the years 1 to 9999 in UTC") from None


class OneReportLabel(BaseModel):
    """A class given to an object in a report."""

    model_config = ConfigDict(extra="forbid")

    object_id: str = Field(min_length=1, max_length=MAX_ID_CHARACTERS)
    label: GalaxyClass
    labelled_at: Annotated[AwareDatetime, AfterValidator(_in_utc)] = Field(
        description="By the author's clock; a future time counts as now"
    )


class ReportLabelsBody(BaseModel):
    """Labels of a report, all of one author."""

    model_config = ConfigDict(extra="forbid")

    author: Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_printable)]
    labels: list[OneReportLabel] = Field(min_length=1, max_length=MAX_REPORT_LABELS)


class ReportLabelsRecord(BaseModel):
    """Outcome for the labels; the counts and the unknown objects add up to those sent."""

    labelled_by: str
    stored: int
    same: int = Field(description="Stored before with the same class")
    older: int = Field(description="Older than this author's stored label, which is kept")
    unknown: list[str] = Field(description="Objects without a stored image")


Body = Annotated[ReportLabelsBody, Depends(json_body(ReportLabelsBody))]


@router.post(
    "/v1/labels/report",
    summary="Store the labels of a report",
    openapi_extra=described(ReportLabelsBody),
    responses=responses(400, 401, 403, 408, 413, 415, 422, 429, 503, 507),
)
def add_report_labels(request: Request, actor: Publisher, body: Body) -> ReportLabelsRecord:
    """Store classes given in a downloaded report, marked as such beside the author's name."""
    state = state_of(request)
    state.jobs.quotas.check_disk()
    given = [ReportLabel(one.object_id, one.label, one.labelled_at) for one in body.labels]
    found = store_report_labels(state.database, body.author, given)
    log.info("labels of a report", extra={"actor": actor.name, "subject": f"{found.stored} by {body.author}"})
    return ReportLabelsRecord(
        labelled_by=body.author + MARK,
        stored=found.stored,
        same=found.same,
        older=found.older,
        unknown=list(found.unknown),
    )
