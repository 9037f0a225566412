"""Routes that take images: predict, explain, cutout and similar."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from galclass.cutouts import cutout
from galclass.database.similar import Found, Neighbour
from galclass.errors import RequestError
from galclass.label_words import label_words
from galclass.scoring.explain import explain, saliency_png
from galclass.scoring.saliency import cutout_png
from galclass.service.engine.auth import READER
from galclass.service.engine.published import PublishedService
from galclass.service.engine.state import ServiceState, state_of
from galclass.service.http.body import unless_gone
from galclass.service.http.inputs import ImageInput, Inputs, too_many
from galclass.service.http.outputs import (
    JSON,
    MEDIA_TYPES,
    cache_headers,
    choose_media_type,
    json_bytes,
    prediction_columns,
    raise_fault,
    raise_if_known,
    record_of,
    table_response,
)
from galclass.service.routes.known_query import KNOWN_QUERY
from galclass.service.routes.openapi import IMAGE_BODY, responses
from galclass.service.routes.schemas import Explanation, NeighbourList, PredictionList, PredictionRecord

MAX_SALIENCY = 8
"""Largest number of images per request that get a map: each takes 65 runs of the model."""

router = APIRouter(tags=["predict"], dependencies=[KNOWN_QUERY])

Name = Annotated[str, Path(description="Service name", max_length=64)]
Version = Annotated[str, Path(description='Version such as "1.0", or an alias such as "latest"', max_length=64)]
FramePx = Annotated[
    int | None,
    Query(ge=1, le=65536, description="Side of the survey's full frame in px; by default the file is a full frame"),
]
ObjectId = Annotated[
    str | None, Query(min_length=1, max_length=200, description="Id of a raw body; other bodies name their own")
]
Embedding = Annotated[bool, Query(description="Add the model's embedding to each JSON record")]
Saliency = Annotated[
    bool, Query(description=f"Add a map of where the model looked, a PNG in base64; up to {MAX_SALIENCY} images")
]

_PREDICTED = {"model": PredictionRecord | PredictionList, "description": "One record, or a list for several images"}
_TABLES: dict[str, Any] = {
    media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES if media_type != JSON
}
_FAULTS = (400, 401, 404, 406, 408, 412, 413, 415, 422, 429, 503)


@router.post(
    "/v1/services/{name}/{version}/predict",
    summary="Classify one image or several",
    openapi_extra=IMAGE_BODY,
    responses={200: {**_PREDICTED, "content": _TABLES}, **responses(*_FAULTS)},
    response_model=None,
)
async def predict(
    request: Request,
    name: Name,
    version: Version,
    frame_px: FramePx = None,
    object_id: ObjectId = None,
    embedding: Embedding = False,
    saliency: Saliency = False,
) -> Response:
    """Classify the images of a body: a raw image, a multipart upload of one or many, or JSON.

    The response is one image's record, or {"predictions": [...]} for several, where a faulty one has `error`. Accept
    chooses JSON, CSV or Parquet. The ETag depends only on image bytes, model and options; a POST with a matching
    If-None-Match gets 412 without scoring. The map of `saliency`, to be laid over the cutout, shows where hiding a part
    of it lowers the probability (occlusion).
    """
    state = state_of(request)
    await state.admit(request, READER)
    service = await state.resolve(name, version)
    media_type = choose_media_type(request.headers.get("accept"))
    async with state.bodies.hold(request) as body:
        inputs = await state.inputs(body, request.headers.get("content-type", ""), object_id)
        options = {"frame_px": frame_px, "embedding": embedding, "saliency": saliency}
        headers = cache_headers(service.model, inputs, media_type, options)
        raise_if_known(request.headers.get("if-none-match"), headers)
        if saliency and len(inputs.images) > MAX_SALIENCY:
            raise too_many(MAX_SALIENCY)
        scoring = state.scoring.score(service, inputs.images, frame_px)
        predictions = await (scoring if len(inputs.images) == 1 else unless_gone(request, scoring))
        afterwards = state.shadows.after(service, inputs.images, predictions, frame_px)
        if media_type != JSON:
            scorer = await state.pool.run(state.models.get, service.model)
            columns = prediction_columns(scorer.signature)
            rows = [prediction.as_row() for prediction in predictions]
            table = await state.pool.run(table_response, rows, columns, media_type, headers)
            table.background = afterwards
            return table
        if not inputs.many:
            raise_fault(predictions[0])
        records = [record_of(prediction, embedding=embedding) for prediction in predictions]
        if saliency:
            scorer = await state.pool.run(state.models.get, service.model)
            for image, record in zip(inputs.images, records, strict=True):
                if "error" not in record:
                    mapping = state.run_on(image.data, saliency_png, scorer, image.data, frame_px)
                    record["saliency"] = await unless_gone(request, mapping)
    if not inputs.many:
        return Response(json_bytes(records[0]), media_type=JSON, headers=headers, background=afterwards)
    written = await run_in_threadpool(json_bytes, {"predictions": records})
    return Response(written, media_type=JSON, headers=headers, background=afterwards)


@asynccontextmanager
async def _one_image(
    request: Request, name: str, version: str, object_id: str | None = None
) -> AsyncIterator[tuple[ServiceState, PublishedService, ImageInput]]:
    """Admit a reader, find the service and hold the body while its one image is used."""
    state = state_of(request)
    await state.admit(request, READER)
    service = await state.resolve(name, version)
    async with state.bodies.hold(request) as body:
        yield state, service, _only(await state.inputs(body, request.headers.get("content-type", ""), object_id))


@router.post(
    "/v1/services/{name}/{version}/explain",
    summary="Explain the prediction for one image",
    openapi_extra=IMAGE_BODY,
    responses={200: {"model": Explanation}, **responses(400, 401, 404, 408, 413, 415, 422, 429, 503)},
    response_model=None,
)
async def explain_one(
    request: Request, name: Name, version: Version, frame_px: FramePx = None, object_id: ObjectId = None
) -> Response:
    """Show the cutout as the model sees it, where it looked (occlusion), and its predictions for the eight views."""
    async with _one_image(request, name, version, object_id) as (state, service, image):
        return JSONResponse(
            await state.run_on(
                image.data, lambda: explain(state.models.get(service.model), image.data, image.object_id, frame_px)
            )
        )


@router.post(
    "/v1/services/{name}/{version}/cutout",
    summary="Show what the model sees",
    openapi_extra=IMAGE_BODY,
    responses={
        200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(400, 401, 404, 408, 413, 415, 422, 429, 503),
    },
    response_class=Response,
)
async def cutout_of(request: Request, name: Name, version: Version, frame_px: FramePx = None) -> Response:
    """Return the cutout of one image that the model sees as a PNG of 256 px, for files that a browser cannot draw."""
    async with _one_image(request, name, version) as (state, service, image):

        def draw() -> bytes:
            scorer = state.models.get(service.model)
            return cutout_png(cutout(image.data, scorer.parameters, frame_px=frame_px, limits=scorer.limits))

        return Response(await state.run_on(image.data, draw), media_type="image/png")


@router.post(
    "/v1/services/{name}/{version}/similar",
    summary="Find similar galaxies",
    openapi_extra=IMAGE_BODY,
    responses={200: {"model": NeighbourList}, **responses(400, 401, 404, 408, 413, 415, 422, 429, 503)},
    response_model=None,
)
async def similar(
    request: Request,
    name: Name,
    version: Version,
    frame_px: FramePx = None,
    count: Annotated[int, Query(ge=1, le=100, description="Number of neighbours")] = 8,
) -> Response:
    """Return the stored galaxies most similar by the model, nearest first."""
    async with _one_image(request, name, version) as (state, service, image):
        labels = await run_in_threadpool(state.examples.labels)
        found = await state.run_on(
            image.data, lambda: state.similar.find(state.models.get(service.model), image.data, frame_px, count, labels)
        )
    return JSONResponse(neighbours(found, labels))


def neighbours(found: Found, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the body of a response with similar galaxies."""

    def shown(one: Neighbour) -> dict[str, Any]:
        label = labels.get(one.object_id)
        words = label_words(label) if label else None
        return {**vars(one), "label": label, "text": words, "image": f"v1/images/{one.object_id}"}

    return {
        "similar": [shown(one) for one in found.nearest],
        "contrast": [
            {"predicted_class": leaf, "nearest": [shown(one) for one in nearest]}
            for leaf, nearest in found.by_class.items()
        ],
        "compared": found.compared,
        "lacking": found.lacking,
    }


def _only(inputs: Inputs) -> ImageInput:
    if len(inputs.images) != 1:
        raise RequestError(
            "too_many_images", "this takes one image", expected="1", got=len(inputs.images), field="body"
        )
    return inputs.images[0]
