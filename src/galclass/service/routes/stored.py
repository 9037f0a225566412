"""Routes that explain stored objects: by a registered model, at the frame the object was stored with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from galclass.database.stored import ImageBytes, image_bytes
from galclass.errors import RequestError
from galclass.scoring import Scorer
from galclass.scoring.explain import explain
from galclass.scoring.references import DEFAULT_MODEL
from galclass.service.engine.published import refused_as
from galclass.service.engine.state import ServiceState, state_of
from galclass.service.routes import schemas
from galclass.service.routes.access import Reader
from galclass.service.routes.known_query import KNOWN_QUERY
from galclass.service.routes.openapi import responses
from galclass.service.routes.parameters import Model, ObjectId
from galclass.service.routes.predict import neighbours

router = APIRouter(tags=["catalog"], dependencies=[KNOWN_QUERY])


@router.get(
    "/v1/images/{object_id:path}/explain",
    summary="Explain the prediction for a stored image",
    response_model=schemas.Explanation,
    responses=responses(401, 404, 422, 429, 503),
)
async def explain_stored(
    request: Request, _: Reader, object_id: ObjectId, model: Model = DEFAULT_MODEL
) -> JSONResponse:
    """Explain a registered model's prediction for a stored image, as the service's `explain` does for an upload."""
    state = state_of(request)
    image, scorer = await _loaded(state, object_id, model)
    return JSONResponse(await state.run_on(image.data, explain, scorer, image.data, object_id, image.frame_px))


@router.get(
    "/v1/images/{object_id:path}/similar",
    summary="Find galaxies similar to a stored image",
    response_model=schemas.NeighbourList,
    responses=responses(401, 404, 422, 429, 503),
)
async def similar_to_stored(
    request: Request,
    _: Reader,
    object_id: ObjectId,
    model: Model = DEFAULT_MODEL,
    count: Annotated[int, Query(ge=1, le=100)] = 8,
) -> JSONResponse:
    """Return the stored galaxies most similar to a stored one by a registered model, nearest first."""
    state = state_of(request)
    image, scorer = await _loaded(state, object_id, model)
    labels = await run_in_threadpool(state.examples.labels)
    found = await state.run_on(image.data, state.similar.find, scorer, image.data, image.frame_px, count, labels)
    return JSONResponse(neighbours(found, labels))


async def _loaded(state: ServiceState, object_id: str, model: str) -> tuple[ImageBytes, Scorer]:
    image = await run_in_threadpool(image_bytes, state.database, object_id)
    if image is None:
        raise RequestError("unknown_object", "no image is stored for this object", field="object_id")
    with refused_as("unknown_model", "model"):
        info = await run_in_threadpool(state.registry.resolve, model)
    return image, await state.pool.run(state.models.get, info.model)
