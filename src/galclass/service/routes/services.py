"""Routes that list and manage services and models; every change needs a token and is logged in the database."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from galclass.database.model_figures import Accuracy, accuracies, accuracy_of, shown_metrics
from galclass.database.models import ModelInfo
from galclass.database.references import Reference
from galclass.database.service_rows import LATEST, ServiceRecord
from galclass.errors import ModelError, RequestError
from galclass.morphology import CLASS_NAMES
from galclass.scoring.fitted_ids import without_hashes
from galclass.service.engine.auth import Actor
from galclass.service.engine.published import refused_as
from galclass.service.engine.state import ServiceState, state_of
from galclass.service.http.outputs import MEDIA_TYPES, REVALIDATE, etag_of, matches
from galclass.service.routes import schemas, service_schemas
from galclass.service.routes.access import Admin, Publisher, Reader
from galclass.service.routes.functions import capabilities_of, openapi_of
from galclass.service.routes.json_body import AliasBody, ServiceBody, described
from galclass.service.routes.known_query import KNOWN_QUERY
from galclass.service.routes.openapi import one_service, responses

log = logging.getLogger("galclass.audit")

router = APIRouter(tags=["services and models"], dependencies=[KNOWN_QUERY])

Name = Annotated[str, Path(max_length=64)]
Version = Annotated[str, Path(description='Version such as "1.0", or an alias such as "latest"', max_length=64)]


@router.get("/v1/services", summary="List services", responses=responses(401, 429, 503))
def list_services(
    request: Request, _: Reader, name: Annotated[str | None, Query(max_length=64)] = None
) -> service_schemas.ServiceList:
    """Return every version of every service, or of one."""
    state = state_of(request)
    return service_schemas.ServiceList(services=[service_record(record) for record in state.services.list(name)])


@router.post(
    "/v1/services",
    summary="Publish",
    status_code=201,
    openapi_extra=described(service_schemas.ServiceBody),
    responses=responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503, 507),
)
def publish(request: Request, actor: Publisher, body: ServiceBody) -> service_schemas.ServiceRecord:
    """Publish a model under a new version and move `latest` to it; repeating this changes nothing.

    The model is tried first, as at registration.
    """
    state = state_of(request)
    state.jobs.quotas.check_disk()
    with refused_as("unknown_model", "model"):
        model = state.registry.resolve(body.model)
        with _sound():
            state.registry.verify(Reference(model.name, version=model.version))
    with refused_as("conflict", "version"):
        record = state.services.publish(
            body.name, body.version, model.name, model.version, body.description, by=actor.name
        )
    return service_record(_changed(state, actor, "publish", record))


@router.get("/v1/services/{name}/log", summary="Show the log of a service", responses=responses(401, 422, 429, 503))
def service_log(request: Request, _: Reader, name: Name) -> service_schemas.ServiceLog:
    """Return every publish, alias move and delete of a service, oldest first."""
    events = state_of(request).services.log(name)
    return service_schemas.ServiceLog(events=[service_schemas.ServiceEventRecord(**vars(event)) for event in events])


@router.get("/v1/services/{name}/{version}", summary="Show a service", responses=responses(401, 404, 422, 429, 503))
def show_service(request: Request, _: Reader, name: Name, version: Version) -> service_schemas.ServiceRecord:
    """Return one version, or the one an alias points to."""
    state = state_of(request)
    return service_record(state.published.look_up(name, version).record)


@router.delete(
    "/v1/services/{name}/{version}",
    summary="Delete a version",
    responses=responses(401, 403, 404, 409, 422, 429, 503),
)
def delete_service(request: Request, actor: Admin, name: Name, version: Version) -> service_schemas.ServiceRecord:
    """Delete a version that no alias points to, or the last one of a service."""
    state = state_of(request)
    shown = service_record(state.published.look_up(name, version).record)
    with refused_as("conflict", "version"):
        _changed(state, actor, "delete", state.services.delete(name, version, by=actor.name))
    return shown


@router.put(
    "/v1/services/{name}/aliases/{alias}",
    summary="Move an alias",
    openapi_extra=described(service_schemas.AliasBody),
    responses=responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503, 507),
)
def move_alias(
    request: Request,
    actor: Publisher,
    name: Name,
    alias: Annotated[str, Path(pattern=service_schemas.NAME)],
    body: AliasBody,
) -> service_schemas.ServiceRecord:
    """Point an alias to another version, from the next request on."""
    state = state_of(request)
    state.jobs.quotas.check_disk()
    state.published.look_up(name, body.version)
    with refused_as("conflict", "alias"), _sound():
        record = state.services.alias(name, alias, body.version, by=actor.name)
    return service_record(_changed(state, actor, "alias", record))


@router.post(
    "/v1/services/{name}/rollback", summary="Roll back", responses=responses(401, 403, 404, 409, 422, 429, 503)
)
def rollback(
    request: Request,
    actor: Publisher,
    name: Name,
    alias: Annotated[str, Query(pattern=service_schemas.NAME)] = LATEST,
) -> service_schemas.ServiceRecord:
    """Point an alias to its previous version."""
    state = state_of(request)
    state.published.look_up(name, alias)
    with refused_as("conflict", "alias"), _sound():
        record = state.services.rollback(name, alias, by=actor.name)
    return service_record(_changed(state, actor, "rollback", record))


@router.get(
    "/v1/services/{name}/{version}/capabilities",
    summary="Inputs and outputs of a service",
    responses=responses(401, 404, 422, 429, 503),
)
def capabilities(
    request: Request, _: Reader, name: Name, version: Version
) -> service_schemas.Capabilities | service_schemas.FunctionCapabilities:
    """Return inputs, outputs, classes, limits and the model's signature; of a function, the schemas of both."""
    state = state_of(request)
    service = state.published.look_up(name, version)
    if service.record.code is not None:
        shown = service_record(service.record)
        return capabilities_of(service.record, shown, state.config.serve.max_body_bytes)
    signature = state.models.get(service.model).signature
    settings = state.config.serve
    return service_schemas.Capabilities(
        service=service_record(service.record),
        inputs=["image/*", "application/fits", "application/octet-stream", "multipart/form-data", "application/json"],
        outputs=list(MEDIA_TYPES),
        classes={leaf: CLASS_NAMES.get(leaf, leaf) for leaf in signature.classes},
        groups={group: list(leaves) for group, leaves in (signature.groups or {}).items()},
        max_body_bytes=settings.max_body_bytes,
        max_images=settings.max_images,
        signature=without_hashes(signature.to_dict()),
    )


@router.get(
    "/v1/services/{name}/{version}/openapi.json",
    summary="OpenAPI document of one service",
    responses=responses(401, 404, 422, 429, 503),
)
def service_openapi(request: Request, _: Reader, name: Name, version: Version) -> dict[str, Any]:
    """Return the part of the API for this service, with its name and version filled in."""
    state = state_of(request)
    record = state.published.look_up(name, version).record
    if record.code is not None:
        return openapi_of(request.app.openapi(), record)
    return one_service(request.app.openapi(), record.name, record.version, record.description)


@router.get("/v1/models", summary="List models", responses=responses(401, 429, 503))
def list_models(request: Request, _: Reader) -> service_schemas.ModelList:
    """Return every version of every model."""
    state = state_of(request)
    measured = accuracies(state.database)
    infos = state.registry.list()
    return service_schemas.ModelList(
        models=[
            service_schemas.ModelSummary(**_summary(info, measured.get((info.name, info.version)))) for info in infos
        ]
    )


@router.get(
    "/v1/models/{name}/{version}",
    summary="Show a model",
    response_model=service_schemas.ModelDetail,
    responses={304: {"description": "The response is unchanged"}, **responses(401, 404, 422, 429, 503)},
)
def show_model(request: Request, _: Reader, name: Name, version: Version) -> Response:
    """Return metrics, model card, signature and alias history of a version or alias."""
    state = state_of(request)
    with refused_as("unknown_model", "version"):
        record = state.registry.get(f"{name}@{version}")
    moves = [vars(move) for move in state.registry.log(name)]
    detail = service_schemas.ModelDetail(
        **_summary(record, accuracy_of(record.metrics)),
        metrics=shown_metrics(record.metrics),
        card=record.card,
        signature=without_hashes(record.signature.to_dict()) if record.signature else {},
        alias_log=[
            service_schemas.AliasMoveRecord(**{key: move[key] for key in move if key != "name"}) for move in moves
        ],
    )
    text = detail.model_dump_json()
    etag = etag_of(text)
    headers = {"ETag": etag, "Cache-Control": REVALIDATE, "Vary": "Authorization"}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="application/json", headers=headers)


@contextmanager
def _sound() -> Iterator[None]:
    """Refuse a model that fails its trial: a row inserted with SQL or before the checks was never tried."""
    try:
        yield
    except ModelError as error:
        raise RequestError("unsound_model", f"the model is refused: {error.what}", field="model") from error


def service_record(record: ServiceRecord) -> service_schemas.ServiceRecord:
    """Return a service in the API's form."""
    model = function = None
    if record.code is not None:
        function = service_schemas.FunctionRef(path=str(record.function), sha256=str(record.code["sha256"]))
    else:
        named = {"name": record.model_name, "version": record.model_version, "sha256": record.model_sha256}
        model = schemas.ModelRef.model_validate(named)
    return service_schemas.ServiceRecord(
        name=record.name,
        version=record.version,
        description=record.description,
        model=model,
        function=function,
        aliases=list(record.aliases),
        created_at=record.created_at,
        created_by=record.created_by,
    )


def _summary(info: ModelInfo, measured: Accuracy | None) -> dict[str, Any]:
    names = ("name", "version", "sha256", "created_at", "created_by")
    accuracy = service_schemas.MeasuredAccuracy(**vars(measured)) if measured else None
    return {**{name: getattr(info, name) for name in names}, "aliases": list(info.aliases), "accuracy": accuracy}


def _changed(state: ServiceState, actor: Actor, action: str, record: ServiceRecord) -> ServiceRecord:
    state.published.forget()
    log.info(action, extra={"actor": actor.name, "subject": f"{record.name}@{record.version}"})
    return record
