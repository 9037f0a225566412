"""Routes of the label desk: the next objects, labels and undo, the ranked list, a head as a model."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from galclass.database import publish as publishing
from galclass.database.desk_labels import (
    GALAXY_ZOO,
    MAX_CLASSES,
    MAX_LABEL,
    check_label,
    give_label,
    list_desks,
    take_back,
)
from galclass.database.label_desk import DeskState
from galclass.database.models import ModelInfo
from galclass.errors import ExtraError, ModelError, RequestError, TrainingError
from galclass.morphology import CLASSES
from galclass.scoring.fitted_ids import FITTED_IDS, fitted_ids, recorded, with_base
from galclass.scoring.head_model import head_model
from galclass.scoring.heads import Estimate, Head, Share
from galclass.scoring.references import DEFAULT_MODEL, PRODUCTION
from galclass.service.engine.published import refused_as
from galclass.service.engine.state import ServiceState, state_of
from galclass.service.routes import desk_schemas as shapes
from galclass.service.routes import schemas, service_schemas
from galclass.service.routes.access import Publisher, Reader
from galclass.service.routes.json_body import DeskLabelBody, DeskModelBody, described
from galclass.service.routes.known_query import KNOWN_QUERY
from galclass.service.routes.openapi import responses
from galclass.service.routes.parameters import ObjectId

log = logging.getLogger("galclass.audit")

router = APIRouter(tags=["label desk"], dependencies=[KNOWN_QUERY])

MAX_SKIPPED = 200
MINE = 100
"""Largest number of the requester's labels in a response."""

Desk = Annotated[str, Path(pattern=service_schemas.NAME, description="Name of the desk; galaxy-zoo for the 13 classes")]
Model = Annotated[str, Query(pattern=service_schemas.REFERENCE, description="Model whose embeddings are used")]
Target = Annotated[str, Query(min_length=1, max_length=MAX_LABEL, description="The target class")]
Many = Annotated[list[str] | None, Query(max_length=MAX_SKIPPED)]


@router.get("/v1/desks", summary="List desks", responses=responses(401, 429, 503))
def desks(request: Request, _: Reader) -> shapes.DeskList:
    """Return the desks that have labels, the last used first."""
    found = list_desks(state_of(request).database)
    return shapes.DeskList(desks=[shapes.DeskRecord(**vars(one)) for one in found])


@router.get("/v1/desks/{desk}", summary="What to label next", responses=responses(401, 404, 422, 429, 503))
def desk_state(
    request: Request,
    actor: Reader,
    desk: Desk,
    target: Target,
    model: Model = DEFAULT_MODEL,
    classes: Annotated[
        list[str] | None, Query(max_length=MAX_CLASSES, description="Classes without labels yet")
    ] = None,
    skipped: Many = None,
    count: Annotated[int, Query(ge=1, le=50)] = 10,
) -> shapes.DeskStateRecord:
    """Return the most informative objects next, the labels so far, and how good the head is so far.

    The head is refitted to all labels whenever they change.
    """
    state = state_of(request)
    info = _model(state, model)
    for name in (target, *(classes or ())):
        check_label(desk, name)
    known = CLASSES if desk == GALAXY_ZOO else tuple(classes or ())
    found = state.desk.state(
        info.sha256, desk, target, by=actor.name, classes=known, count=count, left_out=skipped or ()
    )
    return _state_record(state, info, desk, target, actor.name, found)


@router.post(
    "/v1/desks/{desk}/labels",
    summary="Label an object at a desk",
    status_code=201,
    openapi_extra=described(shapes.DeskLabelBody),
    responses=responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 507),
)
def label_object(request: Request, actor: Publisher, desk: Desk, body: DeskLabelBody) -> shapes.DeskGivenRecord:
    """Store a person's label of an object, replacing their earlier one."""
    state = state_of(request)
    state.jobs.quotas.check_disk()
    given = give_label(state.database, desk, body.object_id, body.label, actor.name, body.note)
    if given is None:
        raise RequestError("unknown_object", "no image is stored for this object", field="object_id")
    before = given.replaced and shapes.DeskLabelRecord(**vars(given.replaced))
    return shapes.DeskGivenRecord(**{**vars(given), "replaced": before})


@router.delete(
    "/v1/desks/{desk}/labels/{object_id:path}",
    summary="Undo a label",
    responses=responses(401, 403, 404, 422, 429, 503),
)
def unlabel_object(request: Request, actor: Publisher, desk: Desk, object_id: ObjectId) -> dict[str, str]:
    """Delete the requester's label of an object; the labels of others are kept."""
    if not take_back(state_of(request).database, desk, object_id, actor.name):
        raise RequestError("unknown_object", "you have not labelled this object here", field="object_id")
    return {"object_id": object_id}


@router.get("/v1/desks/{desk}/ranking", summary="The ranked list", responses=responses(401, 404, 409, 422, 429, 503))
def ranking(
    request: Request,
    _: Reader,
    desk: Desk,
    target: Target,
    model: Model = DEFAULT_MODEL,
    limit: Annotated[int, Query(ge=1, le=2000)] = 200,
) -> shapes.RankedList:
    """Return the objects most probable of a class by the head, with their labels."""
    state = state_of(request)
    info = _model(state, model)
    with _too_few():
        found = state.desk.ranking(info.sha256, desk, target)
    return shapes.RankedList(
        target=target, total=len(found), objects=[shapes.RankedObject(**vars(one)) for one in found[:limit]]
    )


@router.post(
    "/v1/desks/{desk}/model",
    summary="Save the head as a model",
    status_code=201,
    openapi_extra=described(shapes.DeskModelBody),
    responses=responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503, 507),
)
def save_head(request: Request, actor: Publisher, desk: Desk, body: DeskModelBody) -> shapes.DeskModelRecord:
    """Register the head with its network as a model of the desk's classes, and publish it if a service is named."""
    state = state_of(request)
    state.jobs.quotas.check_disk()
    info = _model(state, body.model)
    with _too_few():
        head, fitted = state.desk.head(info.sha256, desk)
    _check_free(state, body.name, head)
    try:
        base = state.registry.get(f"{info.name}@{info.version}")
        before = recorded(base.signature.trained, base.sha256) if base.signature else {}
        trained = {FITTED_IDS: with_base(fitted_ids(fitted), before)}
        value = head_model(base.value, head, name=body.name, trained=trained)
    except ExtraError as error:
        raise RequestError("not_ready", f"models cannot be written here: {error}") from error
    try:
        with refused_as("conflict", "name"):
            # the first version is production; later ones share no held-out objects to be compared on (decision 25)
            first = state.registry.points_at(body.name, PRODUCTION) is None
            made = state.registry.register(
                value,
                name=body.name,
                aliases=(PRODUCTION,) if first else (),
                metrics=_metrics(head),
                card=_card(desk, info, head),
                by=actor.name,
            )
    except ModelError as error:
        raise RequestError("unsound_model", f"the model is refused: {error.what}", field="name") from error
    log.info("register", extra={"actor": actor.name, "subject": f"{made.name}@{made.version}"})
    version = _publish(state, actor.name, made, body) if body.service else None
    return shapes.DeskModelRecord(
        name=made.name,
        version=made.version,
        sha256=made.sha256,
        classes=list(head.classes),
        accuracy=_interval(head.estimate.accuracy),
        limits=[*head.limits(), *_not_promoted(made)],
        service=body.service,
        service_version=version,
    )


@router.get("/v1/embeddings", summary="Progress of the embeddings", responses=responses(401, 404, 422, 429, 503))
def embedding_progress(request: Request, _: Reader, model: Model = DEFAULT_MODEL) -> shapes.EmbeddingProgress:
    """Return how many stored images have an embedding of a model."""
    state = state_of(request)
    return _progress(state, _model(state, model))


@router.post(
    "/v1/embeddings",
    summary="Compute embeddings",
    status_code=202,
    responses=responses(401, 403, 404, 409, 422, 429, 503, 507),
)
def compute_embeddings(request: Request, actor: Publisher, model: Model = DEFAULT_MODEL) -> shapes.EmbeddingProgress:
    """Compute the missing embeddings in the background; a repeated request continues."""
    state = state_of(request)
    state.jobs.quotas.check_disk()
    info = _model(state, model)
    progress = _progress(state, info)
    if progress.done < progress.total and not progress.running:
        if not state.fill_embeddings(info.model):
            raise RequestError("conflict", "the embeddings of another model are computed", field="model")
        log.info("embed", extra={"actor": actor.name, "subject": f"{info.name}@{info.version}"})
    return progress.model_copy(update={"running": state.filling.fills(info.sha256)})


def _model(state: ServiceState, reference: str) -> ModelInfo:
    with refused_as("unknown_model", "model"):
        return state.registry.resolve(reference)


def _progress(state: ServiceState, info: ModelInfo) -> shapes.EmbeddingProgress:
    running = state.filling.fills(info.sha256)
    return shapes.EmbeddingProgress(**vars(state.desk.embeddings.progress(info.sha256)), running=running)


def _state_record(
    state: ServiceState, info: ModelInfo, desk: str, target: str, by: str, found: DeskState
) -> shapes.DeskStateRecord:
    mine = [one for one in found.labels if one.labelled_by == by][:MINE]
    return shapes.DeskStateRecord(
        desk=desk,
        model=schemas.ModelRef(name=info.name, version=info.version, sha256=info.sha256),
        target=target,
        embeddings=_progress(state, info),
        pool=found.pool,
        counts=found.counts,
        disputed=len(found.votes.disputed),
        untold=len(found.votes.untold),
        mine=[shapes.DeskLabelRecord(**vars(one)) for one in mine],
        queue=[shapes.NextObject(**vars(one)) for one in found.queue],
        estimate=_estimate(found.estimate, target),
        refit_ms=found.refit_ms,
    )


def _estimate(estimate: Estimate | None, target: str) -> shapes.DeskEstimate | None:
    if estimate is None:
        return None
    return shapes.DeskEstimate(
        objects=estimate.objects,
        accuracy=_interval(estimate.accuracy),
        precision=_interval(estimate.precision.get(target)),
        recall=_interval(estimate.recall.get(target)),
        lacking=dict(estimate.lacking),
    )


def _interval(share: Share | None) -> shapes.Interval | None:
    return None if share is None else shapes.Interval(value=share.value, low=share.low, high=share.high)


@contextmanager
def _too_few() -> Iterator[None]:
    """Return the refusal that a head needs more labels."""
    try:
        yield
    except TrainingError as error:
        raise RequestError("conflict", str(error), field="target") from error


def _not_promoted(made: ModelInfo) -> list[str]:
    """Return the remark that a later version is not the default one, and how to make it so."""
    if PRODUCTION in made.aliases:
        return []
    how = f"`galclass models alias {made.name} {PRODUCTION} {made.version}`"
    return [f"not promoted: {made.name}@{PRODUCTION} is unchanged; to promote it: {how}"]


def _check_free(state: ServiceState, name: str, head: Head) -> None:
    """Refuse a name whose model has other classes: users of "galaxy" must not suddenly get rings."""
    versions = state.registry.list(name)
    if versions:
        signature = state.registry.get(f"{name}@{versions[-1].version}").signature
        if signature is None or set(signature.classes) != set(head.classes):
            raise RequestError("conflict", "a model of other classes has this name", field="name")


def _publish(state: ServiceState, by: str, made: ModelInfo, body: shapes.DeskModelBody) -> str:
    with refused_as("conflict", "service"):
        summary = publishing.publish(
            state.database,
            str(body.service),
            f"{made.name}@{made.version}",
            body.version,
            f"Classes of the label desk: {made.name}"[:200],
            by=by,
            next_version=True,
        )
    state.published.forget()
    log.info("publish", extra={"actor": by, "subject": f"{summary.service.name}@{summary.service.version}"})
    return summary.service.version


def _metrics(head: Head) -> dict[str, Any]:
    """Return a head's entry in the registry: its counts and its cross-validated estimate."""
    accuracy = head.estimate.accuracy
    return {
        "labels": dict(head.counts),
        "cross_validated": vars(accuracy) | {"objects": head.estimate.objects} if accuracy else None,
    }


def _card(desk: str, info: ModelInfo, head: Head) -> str:
    counts = ", ".join(f"{count} of {name}" for name, count in head.counts.items())
    lines = [
        f"A head of the label desk {desk!r} on the embeddings of {info.name}@{info.version}.",
        f"Labels: {counts}.",
        f"{head.estimate}.",
        "The labelled objects were chosen to be informative: the estimate is about them, not about a random sample.",
        *(f"{limit}." for limit in head.limits()),
    ]
    return "\n".join(lines)
