"""Routes for those who run the server: /healthz, /readyz, /metrics."""

from __future__ import annotations

import logging

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from galclass.errors import GalclassError
from galclass.service.engine.models import MAX_LOADED
from galclass.service.engine.state import ServiceState, state_of
from galclass.service.http.errors import RETRY_AFTER_S, public_message
from galclass.service.routes.schemas import Health, Readiness

log = logging.getLogger("galclass.service")

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="The process is alive")
async def healthz() -> Health:
    """Respond as long as the process accepts requests; says nothing about database or models."""
    return Health(ok=True)


@router.get(
    "/readyz",
    summary="The server is ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not ready; Retry-After says when to retry"}},
)
def readyz(request: Request) -> JSONResponse:
    """Check that the database responds and that the models behind the aliases load."""
    ok, failing = check_parts(state_of(request))
    status = 503 if failing else 200
    headers = {"Cache-Control": "no-store", **({"Retry-After": str(RETRY_AFTER_S)} if failing else {})}
    return JSONResponse({"ok": ok, "failing": failing}, status_code=status, headers=headers)


def check_parts(state: ServiceState) -> tuple[list[str], dict[str, str]]:
    """Return which parts work and which do not, with the reason."""
    ok: list[str] = []
    failing: dict[str, str] = {}
    try:
        records = [record for record in state.services.list() if record.aliases][:MAX_LOADED]
        ok.append("database")
    except GalclassError as error:
        return ok, {"database": _shown(error)}
    for record in records:
        part = f"service {record.name}@{record.version}"
        try:
            state.models.get(state.published.look_up(record.name, record.version).model)
            ok.append(part)
        except GalclassError as error:
            failing[part] = _shown(error)
    return ok, failing


def _shown(error: GalclassError) -> str:
    log.warning("not ready", extra={"code": error.code, "reason": str(error)})
    return public_message(error)


@router.get("/metrics", summary="Prometheus metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Return counters and histograms, summed over the processes."""
    return Response(state_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)
