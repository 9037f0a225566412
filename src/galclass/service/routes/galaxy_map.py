"""Routes of the map: positions of the stored objects by a model's embeddings, and sheets of their thumbnails."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from galclass.database.galaxy_map import MAX_POINTS, DrawnMap
from galclass.database.models import ModelInfo
from galclass.database.thumbnails import A_SHEET, ACROSS, THUMBNAIL_PX
from galclass.errors import RequestError
from galclass.scoring.projection import Projection
from galclass.scoring.references import DEFAULT_MODEL
from galclass.service.engine.published import refused_as
from galclass.service.engine.state import ServiceState, state_of
from galclass.service.http.outputs import JSON, REVALIDATE, json_bytes, matches
from galclass.service.routes import schemas
from galclass.service.routes.access import Reader
from galclass.service.routes.known_query import KNOWN_QUERY
from galclass.service.routes.openapi import responses
from galclass.service.routes.parameters import Model

router = APIRouter(tags=["catalog"], dependencies=[KNOWN_QUERY])

MAX_SHEETS = -(-MAX_POINTS // A_SHEET)

_A_DAY = "private, max-age=86400, immutable"
_DIGITS = 5


class Axis(BaseModel):
    """One axis: the position of an embedding e is that of the value e . weights + offset, linear between the knots."""

    weights: list[float]
    offset: float
    values: list[float]
    places: list[float]


class Sheets(BaseModel):
    """The layout of the sheets: row by row, in the order of the objects."""

    count: int
    across: int
    picture_px: int
    pictures: int = Field(description="In a whole sheet")


class GalaxyMap(BaseModel):
    """Objects as columns, with their positions in 0..1."""

    model: schemas.ModelRef
    version: str = Field(description="Changes whenever the map does; required for its sheets")
    stored: int = Field(description="Stored images")
    embedded: int = Field(description="Those that have an embedding or cannot have one")
    total: int = Field(description="Objects with an embedding; of more than 20,000 some are left out")
    object_id: list[str]
    x: list[float]
    y: list[float]
    predicted_class: list[int] = Field(description="Indices into `classes`")
    classes: list[str]
    sheets: Sheets
    axes: list[Axis] = Field(description="x and y; none if nothing is drawn")


@router.get(
    "/v1/map",
    summary="The stored objects on a map",
    response_model=GalaxyMap,
    responses={304: {"description": "The map is unchanged"}, **responses(401, 404, 422, 429, 503)},
)
def galaxy_map(request: Request, _: Reader, model: Model = DEFAULT_MODEL) -> Any:
    """Return the positions of the stored objects by a model's embeddings, and the axes to place others."""
    state = state_of(request)
    info = _model(state, model)
    drawn = state.maps.get(info.sha256)
    progress = state.desk.embeddings.progress(info.sha256)
    headers = {"ETag": f'"{drawn.version}-{progress.done}-{progress.total}"', "Cache-Control": REVALIDATE}
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    total = max(drawn.total, progress.done - progress.failed)  # the map is drawn from 50,000 at most
    body = _record(info, drawn) | {"stored": progress.total, "embedded": progress.done, "total": total}
    return Response(json_bytes(body), media_type=JSON, headers=headers)


@router.get(
    "/v1/map/sheets/{number}",
    summary="Thumbnails of objects on the map",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(401, 404, 409, 422, 429, 503),
    },
)
def map_sheet(
    request: Request,
    _: Reader,
    number: Annotated[int, Path(ge=0, lt=MAX_SHEETS)],
    version: Annotated[str, Query(max_length=64, description="Of the map")],
    model: Model = DEFAULT_MODEL,
) -> Response:
    """Return the thumbnails of one part of a map; 409 if the map has changed."""
    state = state_of(request)
    drawn = state.maps.get(_model(state, model).sha256)
    if version != drawn.version:
        raise RequestError("conflict", "the map has changed", advice="request it again", field="version")
    if number >= drawn.sheets:
        raise RequestError("not_found", "the map has no such sheet", field="number")
    sheet = state.maps.sheet(drawn, number)
    if sheet is None:
        raise RequestError("overloaded", "other thumbnails are being drawn", advice="try again shortly")
    return Response(sheet, media_type="image/jpeg", headers={"Cache-Control": _A_DAY})


def _model(state: ServiceState, reference: str) -> ModelInfo:
    with refused_as("unknown_model", "model"):
        return state.registry.resolve(reference)


def _record(info: ModelInfo, drawn: DrawnMap) -> dict[str, Any]:
    names = sorted(set(drawn.classes))
    positions = {name: position for position, name in enumerate(names)}
    places = drawn.positions.round(_DIGITS)
    return {
        "model": {"name": info.name, "version": info.version, "sha256": info.sha256},
        "version": drawn.version,
        "object_id": drawn.object_ids,
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "predicted_class": [positions[name] for name in drawn.classes],
        "classes": names,
        "sheets": {"count": drawn.sheets, "across": ACROSS, "picture_px": THUMBNAIL_PX, "pictures": A_SHEET},
        "axes": [] if drawn.projection is None else _axes(drawn.projection),
    }


def _axes(projection: Projection) -> list[dict[str, Any]]:
    return [
        {
            "weights": projection.weights[:, axis].tolist(),
            "offset": float(projection.offset[axis]),
            "values": projection.values[axis].tolist(),
            "places": projection.positions[axis].tolist(),
        }
        for axis in range(2)
    ]
