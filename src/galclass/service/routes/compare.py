"""Routes over models' accuracy: two compared on the same objects, and the objects behind a cell of a matrix."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from galclass.database.compare import compare_models
from galclass.database.confused import confused
from galclass.errors import RequestError
from galclass.scoring.fitted_ids import recorded
from galclass.service.engine.published import refused_as
from galclass.service.engine.state import state_of
from galclass.service.routes import service_schemas
from galclass.service.routes.access import Reader
from galclass.service.routes.known_query import KNOWN_QUERY
from galclass.service.routes.openapi import responses

router = APIRouter(tags=["services and models"], dependencies=[KNOWN_QUERY])

MAX_SHOWN = 60
"""Largest number of objects listed of each kind."""

MAX_CONFUSED = 500
"""Objects of a cell."""

Model = Annotated[str, Query(pattern=service_schemas.REFERENCE, description="NAME, NAME@VERSION or NAME@ALIAS")]


class ModelComparison(BaseModel):
    """Two models on the same labelled objects."""

    count: int = Field(description="Labelled objects with a prediction from both, without those left out")
    left_out: int = Field(description="Objects that one of them, or its base model, is known or may be fitted to")
    right: tuple[int, int]
    difference: tuple[float, float, float] | None = Field(
        description="Accuracy of the second minus that of the first, and its paired 95 % interval"
    )
    only_first: list[str] = Field(description="Objects on which only the first is right, up to a limit")
    only_second: list[str]
    only_first_count: int
    only_second_count: int


@router.get("/v1/comparison", summary="Compare two models", responses=responses(401, 404, 422, 429, 503))
def compare(request: Request, _: Reader, first: Model, second: Model) -> ModelComparison:
    """Return how often two models are right on the labelled objects that both have predicted, and where they differ."""
    state = state_of(request)
    with refused_as("unknown_model", "first"):
        one = state.registry.resolve(first)
    with refused_as("unknown_model", "second"):
        other = state.registry.resolve(second)
    records = [state.registry.get(f"{info.name}@{info.version}") for info in (one, other)]
    trained = [recorded(record.signature.trained, record.sha256) for record in records if record.signature]
    found = compare_models(state.database, one, other, trained)
    return ModelComparison(
        count=found.count,
        left_out=found.left_out,
        right=found.right,
        difference=found.difference,
        only_first=list(found.only_first[:MAX_SHOWN]),
        only_second=list(found.only_second[:MAX_SHOWN]),
        only_first_count=len(found.only_first),
        only_second_count=len(found.only_second),
    )


class ConfusedObject(BaseModel):
    """A stored object of a cell."""

    object_id: str
    label: str
    predicted_class: str


class ConfusionCell(BaseModel):
    """The stored objects behind a cell of a confusion matrix."""

    count: int = Field(description="Count in the evaluation's matrix")
    total: int = Field(
        description="Stored objects of the cell; their labels or predictions may have changed since the evaluation"
    )
    labelled: int = Field(description="Stored objects with a label and a prediction of the model, of all cells")
    objects: list[ConfusedObject]


@router.get(
    "/v1/confusion", summary="Objects behind a cell of a confusion matrix", responses=responses(401, 404, 422, 429, 503)
)
def confusion_cell(
    request: Request,
    _: Reader,
    model: Model,
    table: Annotated[str, Query(max_length=100, description="Title of the matrix in the model's evaluation")],
    volunteers: Annotated[str, Query(max_length=100, description="Its row: the volunteers' class")],
    predicted: Annotated[str, Query(max_length=100, description="Its column: the model's class")],
) -> ConfusionCell:
    """Return the stored objects that volunteers put into one class and a registered model into another."""
    state = state_of(request)
    with refused_as("unknown_model", "model"):
        info = state.registry.resolve(model)
    matrix = (state.registry.get(f"{info.name}@{info.version}").metrics or {}).get("tables", {}).get(table, {})
    names = matrix.get("names", []) if matrix.get("confusion") else []
    for field, name in (("volunteers", volunteers), ("predicted", predicted)):
        if name not in names:
            raise RequestError(
                "not_found", "the evaluation has no such cell", expected=", ".join(names) or None, field=field
            )
    found = confused(state.database, info, state.examples.labels(), volunteers, predicted)
    return ConfusionCell(
        count=matrix["confusion"][names.index(volunteers)][names.index(predicted)],
        total=len(found.objects),
        labelled=found.labelled,
        objects=[
            ConfusedObject(object_id=key, label=label, predicted_class=given)
            for key, label, given in found.objects[:MAX_CONFUSED]
        ],
    )
