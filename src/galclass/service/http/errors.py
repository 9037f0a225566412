"""One table from error code to HTTP status, and the body `{"error": {code, message, field}}` of every refusal.

Takes exceptions, returns JSON responses; no traceback ever leaves the process.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from galclass.errors import CutoutError, DatabaseError, GalclassError, RequestError
from galclass.service.http.headers import security_headers
from galclass.service.http.logs import Seldom

log = logging.getLogger("galclass.service")

_DATABASE_AWAY = "the database does not respond; try again shortly"

STATUS: Mapping[str, int] = {
    "invalid": 422,
    "bad_request": 400,
    "bad_http": 400,
    "no_image": 400,
    "bad_base64": 400,
    "bad_json": 400,
    "bad_multipart": 400,
    "bad_archive": 400,
    "incomplete_body": 400,
    "client_left": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "cross_site": 403,
    "not_found": 404,
    "unknown_service": 404,
    "unknown_model": 404,
    "unknown_object": 404,
    "unknown_job": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "url_refused": 422,
    "url_failed": 422,
    "slow_body": 408,
    "conflict": 409,
    "is_function": 409,
    "no_function": 409,
    "exists": 409,
    "not_changed": 412,
    "too_large": 413,
    "body_too_large": 413,
    "too_many_images": 413,
    "unsupported_type": 415,
    "unknown_host": 421,
    "empty": 422,
    "truncated": 422,
    "not_an_image": 422,
    "unsound_model": 422,
    "too_many_requests": 429,
    "too_many_jobs": 429,
    "client_quota": 429,
    "headers_too_large": 431,
    "internal": 500,
    "function_failed": 500,
    "function_deadline": 504,
    "function_refused": 503,
    "overloaded": 503,
    "not_ready": 503,
    "database": 503,
    "model": 503,
    "storage_full": 507,
}
"""HTTP status of every error code; unlisted codes of images without a cutout are 422."""

RETRY_AFTER_S = 1
"""Seconds after which a refused client may retry, for 429 and 503."""


_EXPECTED = frozenset({"overloaded", "not_ready"})
"""Codes of the server's own that say nothing new with each request."""

_failures = Seldom(1.0)


def status_of(error: GalclassError) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, CutoutError | RequestError):
        return STATUS.get(error.code, 422)
    if isinstance(error, DatabaseError) and error.code not in STATUS:
        return STATUS["database"]
    return STATUS.get(error.code, STATUS["internal"])


def public_message(error: GalclassError) -> str:
    """Return the public message of an error: a database's own text names hosts and paths."""
    return _DATABASE_AWAY if error.code == DatabaseError.code else error.what


def error_body(code: str, message: str, field: str | None = None) -> dict[str, dict[str, str | None]]:
    """Return the body of an error response."""
    return {"error": {"code": code, "message": message, "field": field}}


def error_response(code: str, message: str, field: str | None = None, *, status: int | None = None) -> JSONResponse:
    """Return an error response, with Retry-After if waiting helps."""
    status = status or STATUS[code]
    headers = {"Cache-Control": "no-store"}
    if status in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error_body(code, message, field), status_code=status, headers=headers)


def install_handlers(app: FastAPI) -> None:
    """Make every exception of an app a response of the same shape."""
    app.add_exception_handler(GalclassError, _galclass_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


async def _galclass_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, GalclassError):
        return await _unexpected(request, error)
    return refusal_of(error, request.url.path)


def refusal_of(error: GalclassError, path: str) -> JSONResponse:
    """Return the response to an error; server faults are logged."""
    status = status_of(error)
    if status >= 500:
        _log_failure(error, path)
    message = public_message(error) if error.code == DatabaseError.code else str(error)
    field = "img" if isinstance(error, CutoutError) else getattr(error, "field", None)
    response = error_response(error.code, message, field, status=status)
    response.headers.update(getattr(error, "headers", {}))
    return response


def _log_failure(error: GalclassError, path: str) -> None:
    if error.code in _EXPECTED:
        log.info("request refused", extra={"code": error.code, "path": path, "reason": str(error)})
        return
    left_out = _failures.left_out(error.code)
    if left_out is not None:
        facts = {"code": error.code, "path": path, "reason": str(error), "left_out": left_out}
        log.error("request failed", extra=facts)


async def _invalid_request(_: Request, error: Exception) -> JSONResponse:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    texts = [f"{_location(fault)}: {fault['msg']}" for fault in faults]
    return error_response("invalid", "; ".join(texts) or "invalid request", _location(faults[0]) if faults else None)


def _location(fault: Mapping[str, Any]) -> str:
    source, *rest = fault["loc"]
    return ".".join(str(part) for part in rest) or str(source)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "bad_request")
    message = str(error.detail) if isinstance(error, HTTPException) else "bad request"
    response = error_response(code, message, status=status)
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    if status == 405:
        response.headers["Allow"] = ", ".join(_methods_of(request))
    return response


def _methods_of(request: Request) -> list[str]:
    """Return the methods of every route of a path; the router names those of the first one only."""
    fitting = [route for route in request.app.state.api_routes if route.matches(request.scope)[0] != Match.NONE]
    plainest = min((route.path.count("{") for route in fitting), default=0)  # .../log, not .../{version}
    chosen = [route for route in fitting if route.path.count("{") == plainest]
    return sorted({method for route in chosen for method in route.methods} or {"GET", "HEAD"})


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    request_id = request.scope.get("request_id", "")
    log.error("unexpected error", exc_info=error, extra={"path": request.url.path, "request_id": request_id})
    response = error_response(
        "internal", f"the server failed on this request; its log has the reason under {request_id}"
    )
    # This response is sent outside of `Observe`, which adds these to all others.
    response.raw_headers += [*security_headers(request.url.path), (b"x-request-id", request_id.encode())]
    return response
