"""Routes over what the database holds: example galaxies, images, stored predictions and human labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import select

from galclass.database.schema import images, labels
from galclass.database.statements import upsert
from galclass.database.types import now
from galclass.morphology import CLASSES
from galclass.scoring.output import vote_fraction_columns
from galclass.scoring.prediction import flat_votes, read_votes
from galclass.service import schemas
from galclass.service.access import Publisher, Reader
from galclass.service.catalog import HUMAN, MAX_PAGE_SIZE, VOTES, find_predictions
from galclass.service.catalog_export import time_text
from galclass.service.catalog_filters import Filters
from galclass.service.errors import RequestError
from galclass.service.examples import MAX_COUNT
from galclass.service.json_body import LabelBody, described
from galclass.service.openapi import responses
from galclass.service.outputs import JSON, choose_media_type, matches, table_response
from galclass.service.state import ServiceState, state_of

router = APIRouter(tags=["catalog"])

ObjectId = Annotated[str, Path(min_length=1, max_length=200)]

_MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n": "image/png", b"BM": "image/bmp"}
_COLUMNS = (
    *("object_id", "predicted_class", "predicted_group", "probability"),
    *("prediction_set", "flags", "error", "model_name", "model_version", "scored_at", "ra", "dec"),
    *("human_label", "labelled_by", "labelled_at", "separation_arcsec"),
    *(f"predicted_{leaf}" for leaf in CLASSES),
)
"""Columns of the catalog as a table."""

_A_DAY = "private, max-age=86400"


@router.get("/v1/examples", summary="Galaxies to try", responses=responses(401, 422, 429, 503))
def list_examples(
    request: Request,
    _: Reader,
    draw: Annotated[int, Query(ge=0, le=1_000_000, description="Which draw; each is the same every time")] = 0,
    count: Annotated[int, Query(ge=1, le=MAX_COUNT)] = 24,
) -> schemas.ExampleList:
    """Return a random draw of the prepared test split, every class in proportion, with the volunteers' votes."""
    examples = state_of(request).examples.draw(draw, count)
    return schemas.ExampleList(examples=[schemas.Example(**one) for one in examples])


@router.get(
    "/v1/images/{object_id}",
    summary="One stored image",
    response_class=Response,
    responses={
        200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _MAGIC.values()}},
        304: {"description": "The image is the one you have"},
        **responses(401, 404, 422, 429, 503),
    },
)
def get_image(request: Request, _: Reader, object_id: ObjectId) -> Response:
    """Give the bytes of a stored image as they were added."""
    query = select(images.c.img, images.c.sha256).where(images.c.object_id == object_id)
    with state_of(request).database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None or row.img is None:
        raise RequestError("unknown_object", "no image is stored for this object", field="object_id")
    headers = {"ETag": f'"{row.sha256}"', "Cache-Control": _A_DAY}
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(bytes(row.img), media_type=_kind_of(bytes(row.img)), headers=headers)


def _kind_of(data: bytes) -> str:
    """Name the type by the first bytes; anything else is never shown as a document."""
    kinds = [kind for magic, kind in _MAGIC.items() if data.startswith(magic)]
    return kinds[0] if kinds else "application/octet-stream"


@router.get(
    "/v1/predictions",
    summary="Browse stored predictions",
    response_model=schemas.CatalogPage,
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
        columns = (*_COLUMNS, *vote_fraction_columns(state.models.get(info.model).signature if votes else None))
        return table_response([_flat(row) for row in rows], columns, media_type, {"X-Total-Count": str(total)})
    found = [schemas.CatalogRow(**row) for row in rows]
    return schemas.CatalogPage(predictions=found, page=page, page_size=page_size, total=total)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    probabilities = row["probabilities"] or {}
    plain = {name: value for name, value in row.items() if name not in ("probabilities", "image", *VOTES)}
    sets = {name: "|".join(row[name]) for name in ("prediction_set", "flags")}
    times = {name: time_text(row[name]) for name in ("scored_at", "labelled_at")}
    leaves = {f"predicted_{leaf}": probabilities.get(leaf) for leaf in CLASSES}
    flat = {**plain, **leaves, **sets, **times}
    for name, kind in zip(VOTES, ("debiased", "raw"), strict=True):
        flat |= flat_votes(read_votes(row.get(name)), kind)
    return flat


@router.post(
    "/v1/labels",
    summary="Label a galaxy",
    status_code=201,
    openapi_extra=described(schemas.LabelBody),
    responses=responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 507),
)
def add_label(request: Request, actor: Publisher, body: LabelBody) -> schemas.LabelRecord:
    """Store a class given by a person, with who and when; the same person's next label replaces it."""
    state = state_of(request)
    if body.label not in CLASSES:
        raise RequestError("invalid", "unknown class", expected=" ".join(CLASSES), field="label")
    row = {
        "object_id": body.object_id,
        "source": HUMAN,
        "label": {"class": body.label},
        "labelled_by": actor.name,
        "labelled_at": now(),
    }
    state.jobs.quotas.check_disk()
    _store_label(state, row)
    return _label_record(row)


def _store_label(state: ServiceState, row: dict[str, Any]) -> None:
    known = select(images.c.object_id).where(images.c.object_id == row["object_id"])
    with state.database.write() as connection:
        if connection.scalar(known) is None:
            raise RequestError("unknown_object", "no image is stored for this object", field="object_id")
        connection.execute(upsert(connection, labels, row))


@router.get("/v1/labels", summary="Labels given by people", responses=responses(401, 422, 429, 503))
def list_labels(
    request: Request, _: Reader, object_id: Annotated[str | None, Query(max_length=200)] = None
) -> list[schemas.LabelRecord]:
    """Give human labels, newest first, for all objects or one; what `train` can learn from."""
    query = select(labels).where(labels.c.source == HUMAN).order_by(labels.c.labelled_at.desc())
    if object_id is not None:
        query = query.where(labels.c.object_id == object_id)
    with state_of(request).database.read() as connection:
        return [_label_record(row) for row in connection.execute(query).mappings()]


def _label_record(row: Any) -> schemas.LabelRecord:
    names = ("object_id", "source", "labelled_by", "labelled_at")
    return schemas.LabelRecord(label=row["label"]["class"], **{name: row[name] for name in names})
