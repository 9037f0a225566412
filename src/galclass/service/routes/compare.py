"""Route that compares two models on the labelled objects that both have answered."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from galclass.database.compare import compare_models
from galclass.service.engine.published import refused_as
from galclass.service.engine.state import state_of
from galclass.service.routes import service_schemas
from galclass.service.routes.access import Reader
from galclass.service.routes.openapi import responses

router = APIRouter(tags=["services and models"])

MAX_SHOWN = 60
"""Objects that are named of each kind."""

Model = Annotated[str, Query(pattern=service_schemas.REFERENCE, description="NAME, NAME@VERSION or NAME@ALIAS")]


class ModelComparison(BaseModel):
    """Two models on the same labelled objects."""

    count: int = Field(description="Labelled objects with a prediction of both")
    right: tuple[int, int]
    difference: tuple[float, float, float] | None = Field(
        description="Accuracy of the second less that of the first, and its paired 95 % interval"
    )
    only_first: list[str] = Field(description="Objects on which the first alone is right; the first of them")
    only_second: list[str]
    only_first_count: int
    only_second_count: int


@router.get("/v1/comparison", summary="Compare two models", responses=responses(401, 404, 422, 429, 503))
def compare(request: Request, _: Reader, first: Model, second: Model) -> ModelComparison:
    """Return how often two models are right on the labelled objects that both have answered, and where they differ."""
    state = state_of(request)
    with refused_as("unknown_model", "first"):
        one = state.registry.resolve(first)
    with refused_as("unknown_model", "second"):
        other = state.registry.resolve(second)
    found = compare_models(state.database, one, other)
    return ModelComparison(
        count=found.count,
        right=found.right,
        difference=found.difference,
        only_first=list(found.only_first[:MAX_SHOWN]),
        only_second=list(found.only_second[:MAX_SHOWN]),
        only_first_count=len(found.only_first),
        only_second_count=len(found.only_second),
    )
