"""Routes of batch jobs: submit an archive or a list, poll, read partial results, cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from galclass.database.jobs.quotas import MAX_IMAGES, client_of
from galclass.database.jobs.records import classes_of, row_of
from galclass.database.jobs.rows import UNFINISHED, Job, JobImage
from galclass.errors import RequestError
from galclass.morphology import CLASSES
from galclass.scoring.prediction import row_columns, vote_columns_of
from galclass.service.engine.job_images import checked_images
from galclass.service.engine.published import PublishedService
from galclass.service.engine.state import ServiceState, state_of
from galclass.service.http.archives import read_zip
from galclass.service.http.body import HeldBody, media_type_of
from galclass.service.http.image_inputs import ImageInput
from galclass.service.http.outputs import JSON, choose_media_type, prediction_columns, table_response
from galclass.service.routes import job_schemas
from galclass.service.routes.access import Reader
from galclass.service.routes.functions import calls_of
from galclass.service.routes.known_query import KNOWN_QUERY
from galclass.service.routes.openapi import BATCH_BODY, responses
from galclass.service.routes.predict import Name, Version

router = APIRouter(tags=["batches"], dependencies=[KNOWN_QUERY])

JobId = Annotated[str, Path(max_length=64)]

_MAX_RESULTS = 1000
_MAX_SKIPPED = 100
_ZIP_TYPES = ("application/zip", "application/x-zip-compressed", "application/x-zip")
_ZIP = b"PK\x03\x04"
_TAKES = (400, 401, 404, 408, 409, 413, 415, 422, 429, 503, 507)


@router.post(
    "/v1/services/{name}/{version}/batches",
    summary="Submit a batch",
    status_code=202,
    openapi_extra=BATCH_BODY,
    responses=responses(*_TAKES),
)
async def submit(
    request: Request,
    actor: Reader,
    name: Name,
    version: Version,
    start: Annotated[bool, Query(description="false leaves the job open for more images")] = True,
) -> job_schemas.FilledJob:
    """Take images as a zip archive, an upload or JSON, or {"object_ids": [...]} of stored images; respond immediately.

    For a service over code: {"inputs": [{...}, ...]}; results are {"object_id", "result"} or {"object_id", "error"}.

    `skipped` names the files of an archive that were left out: what macOS and Windows add, and hidden files that are
    no images. Every other file gets a record.
    """
    state = state_of(request)
    service = await state.resolve_any(name, version)
    state.jobs.quotas.check_disk()
    async with state.bodies.hold(request) as body:
        new, skipped = await _images(state, request, body, service)
        record, client = service.record, client_of(actor.key)
        create = partial(state.jobs.submit, record.name, record.version, actor.name, new, start=start, client=client)
        return _filled(await run_in_threadpool(create), skipped)


@router.post(
    "/v1/jobs/{id}/images",
    summary="Add images to an open job",
    openapi_extra=BATCH_BODY,
    responses=responses(*_TAKES),
)
async def add_images(request: Request, _: Reader, id: JobId) -> job_schemas.FilledJob:
    """Add images to a job that was submitted with start=false; `skipped` as in the job's own request."""
    state = state_of(request)
    state.jobs.quotas.check_disk()
    job = await run_in_threadpool(state.jobs.get, id)
    async with state.bodies.hold(request) as body:
        new, skipped = await _images(state, request, body, await state.resolve_any(job.service, job.version))
        return _filled(await run_in_threadpool(state.jobs.add, id, new), skipped)


@router.post("/v1/jobs/{id}/start", summary="Start an open job", responses=responses(401, 404, 422, 429, 503))
def start_job(request: Request, _: Reader, id: JobId) -> job_schemas.JobRecord:
    """Queue a job that was submitted with start=false; a started one is unchanged."""
    return _shown(state_of(request).jobs.start(id))


@router.get("/v1/jobs/{id}", summary="Show a job", responses=responses(401, 404, 422, 429, 503))
def show_job(request: Request, _: Reader, id: JobId) -> job_schemas.JobRecord:
    """Return a job's state and progress."""
    return _shown(state_of(request).jobs.get(id))


@router.get(
    "/v1/jobs/{id}/results",
    summary="Read results, also partial ones",
    response_model=job_schemas.JobResults,
    responses=responses(401, 404, 406, 422, 429, 503),
)
def job_results(
    request: Request,
    _: Reader,
    id: JobId,
    after: Annotated[int, Query(ge=-1, le=MAX_IMAGES)] = -1,
    limit: Annotated[int, Query(ge=1, le=_MAX_RESULTS)] = 200,
) -> Any:
    """Return the results after a position, in the order of the images; JSON, CSV or Parquet by Accept."""
    state = state_of(request)
    media_type = choose_media_type(request.headers.get("accept"))
    job, found = state.jobs.results(id, after, limit)
    records = [record for _, record in found]
    last = found[-1][0] if found else after
    ended = last + 1 >= job.total or (not found and job.state not in UNFINISHED)
    headers = {"Cache-Control": "no-store"}
    if media_type != JSON:
        if any("result" in record or "probabilities" not in record for record in records):
            raise RequestError("not_acceptable", "results of a function are JSON", expected=JSON, field="Accept")
        columns = _columns(state, job, records)
        rows = [row_of(record) for record in records]
        return table_response(rows, columns, media_type, headers)
    shown = [{key: value for key, value in record.items() if key != "scored_at"} for record in records]
    body = {"predictions": shown, "next": None if ended else last, "state": job.state}
    return JSONResponse({**body, "total": job.total, "done": job.done}, headers=headers)


@router.delete("/v1/jobs/{id}", summary="Cancel or delete a job", responses=responses(401, 404, 422, 429, 503))
def cancel_job(
    request: Request,
    _: Reader,
    id: JobId,
    results: Annotated[bool, Query(description="true deletes the results too: the job is gone")] = False,
) -> job_schemas.JobRecord:
    """Stop a job and free its images; its results can be read until it expires or is deleted."""
    jobs = state_of(request).jobs
    return _shown(jobs.delete(id) if results else jobs.cancel(id))


async def _images(
    state: ServiceState, request: Request, body: HeldBody, service: PublishedService
) -> tuple[list[JobImage], list[str]]:
    """Return the images of a body, checked by their headers, and the names of the files that were left out."""
    if service.record.code is not None:
        return await state.pool.run(calls_of, body.data), []
    kind = media_type_of(request)
    images: Sequence[ImageInput]
    skipped: list[str] = []
    if kind in _ZIP_TYPES or (kind == "application/octet-stream" and body.data.startswith(_ZIP)):
        found = await state.pool.run(read_zip, body.data, MAX_IMAGES, state.config.serve.max_body_bytes, body.add)
        images, skipped = found.images, found.skipped
    else:
        content_type = request.headers.get("content-type", "")
        images = (await state.inputs(body, content_type, None, max_images=MAX_IMAGES, stored=True)).images
    return await state.pool.run(checked_images, images, service.model, state.decode_limits), skipped


def _filled(job: Job, skipped: list[str]) -> job_schemas.FilledJob:
    shown = ["".join(sign for sign in name[-200:] if sign.isprintable()) for name in skipped[:_MAX_SKIPPED]]
    return job_schemas.FilledJob(**vars(job), skipped=shown, skipped_count=len(skipped))


def _shown(job: Job) -> job_schemas.JobRecord:
    return job_schemas.JobRecord(**vars(job))


def _columns(state: ServiceState, job: Job, records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the columns of a job's model; if its service was deleted, those of its records."""
    try:
        return prediction_columns(state.models.get(state.published.look_up(job.service, job.version).model).signature)
    except RequestError:
        debiased = dict.fromkeys(stem for record in records for stem in record["vote_fractions"])
        raw = dict.fromkeys(stem for record in records for stem in record.get("raw_vote_fractions", {}))
        classes = next((classes_of(record) for record in records if record["probabilities"]), CLASSES)
        return (*row_columns(classes), *vote_columns_of(debiased, "debiased"), *vote_columns_of(raw, "raw"))
