"""Routes over the whole catalog: a file of every filtered row, and the objects' positions on the sky."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask
from starlette.types import Receive, Scope, Send

from galclass.database.catalog_export import FORMATS, positions, write_catalog
from galclass.errors import RequestError
from galclass.service.engine.state import state_of
from galclass.service.routes import catalog_schemas
from galclass.service.routes.access import Reader
from galclass.service.routes.catalog_filters import Filters
from galclass.service.routes.known_query import KNOWN_QUERY
from galclass.service.routes.openapi import responses

router = APIRouter(tags=["catalog"], dependencies=[KNOWN_QUERY])

MAX_POSITIONS = 20_000
"""Objects on a sky map."""

_exporting = threading.Semaphore(1)  # one is written at a time in a process; others are refused at once


class _NewFile(FileResponse):
    """A file written anew for each request: parts of two need not fit together, so it is always sent whole."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


@router.get(
    "/v1/predictions/export",
    summary="Every filtered row as a file",
    response_class=FileResponse,
    responses={
        200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for _, kind in FORMATS.values()}},
        **responses(401, 404, 422, 429, 503),
    },
)
def export_predictions(
    request: Request,
    _: Reader,
    filters: Filters,
    format: Annotated[Literal["csv", "parquet", "fits", "votable"], Query(description="File format")] = "csv",
) -> FileResponse:
    """Return all predictions that match the filters as one file, with the newest hand label, its author and time."""
    suffix, media_type = FORMATS[format]
    state = state_of(request)
    state.jobs.quotas.check_disk()
    with _one_at_a_time():
        folder = tempfile.TemporaryDirectory(prefix="galclass-export-")
        path = Path(folder.name) / f"catalog{suffix}"
        try:
            rows = write_catalog(state.database, filters, path)
        except BaseException:
            folder.cleanup()
            raise
    headers = {"X-Total-Count": str(rows), "Cache-Control": "no-store", "Accept-Ranges": "none"}
    return _NewFile(
        path, media_type=media_type, filename=path.name, headers=headers, background=BackgroundTask(folder.cleanup)
    )


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    if not _exporting.acquire(blocking=False):  # waiting would hold a thread that other routes need
        raise RequestError("overloaded", "another export is being written", advice="try again shortly")
    try:
        yield
    finally:
        _exporting.release()


@router.get("/v1/predictions/sky", summary="Where the objects are", responses=responses(401, 404, 422, 429, 503))
def sky(
    request: Request,
    _: Reader,
    filters: Filters,
    limit: Annotated[int, Query(ge=1, le=MAX_POSITIONS)] = MAX_POSITIONS,
) -> catalog_schemas.SkyPositions:
    """Return id, class and position, as columns, of the first matching predictions with a position, and how many."""
    found, total = positions(state_of(request).database, filters, limit)
    return catalog_schemas.SkyPositions(
        total=total,
        object_id=[object_id for object_id, _, _, _ in found],
        predicted_class=[leaf for _, leaf, _, _ in found],
        ra=[ra for _, _, ra, _ in found],
        dec=[dec for _, _, _, dec in found],
    )
