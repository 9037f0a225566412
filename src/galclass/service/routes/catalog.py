"""Routes over the contents of the database: example galaxies, images, stored predictions and human labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from galclass.database.catalog import MAX_PAGE_SIZE, VOTES, find_predictions
from galclass.database.catalog_export import flat_values
from galclass.database.examples import MAX_COUNT
from galclass.database.labels import HUMAN, HumanLabel, add_human_label, human_labels
from galclass.errors import RequestError
from galclass.scoring.output import vote_fraction_columns
from galclass.scoring.prediction import flat_votes, read_votes
from galclass.service.engine.state import state_of
from galclass.service.http.outputs import JSON, choose_media_type, matches, table_response
from galclass.service.routes import catalog_schemas
from galclass.service.routes.access import Publisher, Reader
from galclass.service.routes.catalog_filters import Filters
from galclass.service.routes.json_body import LabelBody, described
from galclass.service.routes.known_query import KNOWN_QUERY
from galclass.service.routes.openapi import responses
from galclass.service.routes.parameters import ObjectId

router = APIRouter(tags=["catalog"], dependencies=[KNOWN_QUERY])

_MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n": "image/png", b"BM": "image/bmp"}
_COLUMNS = (
    *("object_id", "predicted_class", "predicted_group", "probability"),
    *("prediction_set", "flags", "error", "model_name", "model_version", "model_sha256", "scored_at", "ra", "dec"),
    *("human_label", "labelled_by", "labelled_at", "separation_arcsec"),
)
"""Columns of the catalog as a table, before those of the model's classes and votes."""

MAX_LABELS = 10_000
"""Most labels in one response."""

_A_MINUTE = "private, max-age=60"
"""An image may be replaced."""


@router.get("/v1/examples", summary="Galaxies to try", responses=responses(401, 422, 429, 503))
def list_examples(
    request: Request,
    _: Reader,
    draw: Annotated[int, Query(ge=0, le=1_000_000, description="Seed of the draw")] = 0,
    count: Annotated[int, Query(ge=1, le=MAX_COUNT)] = 24,
) -> catalog_schemas.ExampleList:
    """Return a random draw of the prepared test split, every class in proportion, with the volunteers' votes."""
    examples = state_of(request).examples.draw(draw, count)
    return catalog_schemas.ExampleList(examples=[catalog_schemas.Example(**one) for one in examples])


@router.get(
    "/v1/images/{object_id:path}",
    summary="One stored image",
    response_class=Response,
    responses={
        200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _MAGIC.values()}},
        304: {"description": "The image is unchanged"},
        **responses(401, 404, 422, 429, 503),
    },
)
def get_image(request: Request, _: Reader, object_id: ObjectId) -> Response:
    """Return the bytes of a stored image as they were added."""
    stored = state_of(request).images.get_with_sha256(object_id)
    if stored is None:
        raise RequestError("unknown_object", "no image is stored for this object", field="object_id")
    img, sha256 = stored
    headers = {"ETag": f'"{sha256}"', "Cache-Control": _A_MINUTE}
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(img, media_type=_kind_of(img), headers=headers)


def _kind_of(data: bytes) -> str:
    """Return the type by the first bytes; anything else is never shown as a document."""
    kinds = [kind for magic, kind in _MAGIC.items() if data.startswith(magic)]
    return kinds[0] if kinds else "application/octet-stream"


@router.get(
    "/v1/predictions",
    summary="Browse stored predictions",
    response_model=catalog_schemas.CatalogPage,
    response_model_exclude_unset=True,
    responses=responses(401, 404, 406, 422, 429, 503),
)
def list_predictions(
    request: Request,
    _: Reader,
    filters: Filters,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = 50,
    votes: Annotated[bool, Query(description="Add the vote fractions, debiased and raw")] = False,
) -> Any:
    """Return a page of the predictions of one model version, sorted and filtered; CSV and Parquet by Accept."""
    query = replace(filters, page=page, page_size=page_size, votes=votes)
    state = state_of(request)
    media_type = choose_media_type(request.headers.get("accept"))
    rows, total = find_predictions(state.database, query)
    if media_type != JSON:
        info = state.registry.resolve(f"{query.model_name}@{query.model_version}")
        signature = state.models.get(info.model).signature
        leaves = [f"predicted_{leaf}" for leaf in signature.classes]
        columns = (*_COLUMNS, *leaves, *vote_fraction_columns(signature if votes else None))
        return table_response([_flat(row) for row in rows], columns, media_type, {"X-Total-Count": str(total)})
    found = [catalog_schemas.CatalogRow(**row) for row in rows]
    return catalog_schemas.CatalogPage(predictions=found, page=page, page_size=page_size, total=total)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in row.items() if name not in ("probabilities", "image", *VOTES)}
    flat = plain | flat_values(row, tuple(row["probabilities"] or {}))
    for name, kind in zip(VOTES, ("debiased", "raw"), strict=True):
        flat |= flat_votes(read_votes(row.get(name)), kind)
    return flat


@router.post(
    "/v1/labels",
    summary="Label a galaxy",
    status_code=201,
    openapi_extra=described(catalog_schemas.LabelBody),
    responses=responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 507),
)
def add_label(request: Request, actor: Publisher, body: LabelBody) -> catalog_schemas.LabelRecord:
    """Store a class given by a person, with author and time; the same person's next label replaces it."""
    state = state_of(request)
    state.jobs.quotas.check_disk()
    label = add_human_label(state.database, body.object_id, body.label, actor.name)
    if label is None:
        raise RequestError("unknown_object", "no image is stored for this object", field="object_id")
    return _label_record(label)


@router.get("/v1/labels", summary="Labels given by people", responses=responses(401, 422, 429, 503))
def list_labels(
    request: Request,
    response: Response,
    _: Reader,
    object_id: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LABELS)] = MAX_LABELS,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1, description="Labels to skip")] = 0,
) -> list[catalog_schemas.LabelRecord]:
    """Return human labels, newest first, for all objects or one; the header `X-Total-Count` says how many there are."""
    found, total = human_labels(state_of(request).database, object_id, limit=limit, offset=offset)
    response.headers["X-Total-Count"] = str(total)
    return [_label_record(label) for label in found]


def _label_record(label: HumanLabel) -> catalog_schemas.LabelRecord:
    return catalog_schemas.LabelRecord(source=HUMAN, **vars(label))
