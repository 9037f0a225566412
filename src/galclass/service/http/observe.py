"""Around every request: an id, security headers, metrics and one log line; plain ASGI, as it is on every path."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from galclass.service.http.connections import client_network
from galclass.service.http.errors import error_response
from galclass.service.http.headers import security_headers
from galclass.service.http.metrics import Metrics
from galclass.service.http.refusals import PACED, Refusals
from galclass.service.http.sending import SLICE_BYTES, Responses

log = logging.getLogger("galclass.access")

_SLOW_S = 1.0


class Watch:
    """Numbers the requests of a process and notes how each ended.

    Parameters
    ----------
    metrics : Metrics
        Gets one count and one duration a request, labelled by the route's template.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._process = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    def next_id(self) -> str:
        """Return the id of a new request."""
        return f"{self._process}-{next(self._numbers)}"

    def note(
        self, request_id: str, method: str, template: str, path: str, client: str | None, status: int, seconds: float
    ) -> None:
        """Count a request that has ended, and log it if it was refused or slow."""
        self._metrics.record(method if template != "other" else "any", template, status, seconds)
        level = logging.INFO if status >= 400 or seconds > _SLOW_S else logging.DEBUG
        if log.isEnabledFor(level):
            log.log(
                level,
                "request",
                extra={
                    "request_id": request_id,
                    "method": method,
                    "path": path[:200],
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                    "client": client,
                },
            )


class Observe:
    """ASGI middleware.

    Parameters
    ----------
    app : ASGI application
    watch : Watch
    responses : Responses
    refusals : Refusals
    """

    def __init__(self, app: ASGIApp, watch: Watch, responses: Responses, refusals: Refusals) -> None:
        self.app = app
        self.watch = watch
        self.responses = responses
        self.refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; HEAD wherever GET is served."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        request_id = self.watch.next_id()
        method = scope["method"]
        if method == "HEAD":
            scope = {**scope, "method": "GET"}  # a copy: the server relies on its own to know that there is no body
        scope["request_id"] = request_id
        extra = [*security_headers(scope["path"]), (b"x-request-id", request_id.encode())]
        status = 500
        head: Message | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status, head
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *extra]
                head = message  # goes out with the first piece of body: there may be no room for it
                if status in PACED:
                    await self._pace(scope)
                return
            size = len(message.get("body", b""))
            if method == "HEAD":
                message = {**message, "body": b""}
            elif size > SLICE_BYTES and head is not None and not self.responses.has_room(size):
                refusal = error_response(
                    "overloaded", "too many responses are waiting for their clients; try again shortly"
                )
                status, head["status"] = refusal.status_code, refusal.status_code
                head["headers"] = [*refusal.raw_headers, *extra]
                message = {"type": "http.response.body", "body": refusal.body}
            if head is not None:
                start, head = head, None
                await send(start)
            if len(message.get("body", b"")) > SLICE_BYTES:
                await self.responses.send(message, send)
            else:
                await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            route = scope.get("route")
            template = getattr(route, "path_format", None) or getattr(route, "path", None) or "other"
            client = scope["client"][0] if scope.get("client") else None
            seconds = perf_counter() - started
            self.watch.note(request_id, method, template, scope["path"], client, status, seconds)

    async def _pace(self, scope: Scope) -> None:
        delay = self.refusals.delay(client_network(scope["client"][0] if scope.get("client") else ""))
        if delay:
            await asyncio.sleep(delay)
