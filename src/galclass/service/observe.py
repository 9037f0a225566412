"""Around every request: an id, security headers, metrics and one log line; plain ASGI, as it is on every path."""

from __future__ import annotations

import itertools
import logging
import secrets
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from galclass.service.headers import security_headers
from galclass.service.metrics import Metrics

log = logging.getLogger("galclass.access")

_SLOW_S = 1.0


class Observe:
    """ASGI middleware.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
        Gets one count and one duration a request, labelled by the route's template.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics
        self._process = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        request_id = f"{self._process}-{next(self._numbers)}"
        scope["request_id"] = request_id
        extra = [*security_headers(scope["path"]), (b"x-request-id", request_id.encode())]
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            self._record(scope, request_id, status, perf_counter() - started)

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = scope.get("route")
        template = getattr(route, "path_format", None) or getattr(route, "path", None) or "other"
        self.metrics.record(scope["method"] if template != "other" else "any", template, status, seconds)
        level = logging.INFO if status >= 400 or seconds > _SLOW_S else logging.DEBUG
        if log.isEnabledFor(level):
            client = scope.get("client")
            log.log(
                level,
                "request",
                extra={
                    "request_id": request_id,
                    "method": scope["method"],
                    "path": scope["path"][:200],
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                    "client": client[0] if client else None,
                },
            )
