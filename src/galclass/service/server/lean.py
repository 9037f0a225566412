"""The fast path to a route: some routes are matched, and called, before the framework's own layers.

Plain ASGI. Takes a scope, calls the endpoint of the route that it names, or passes it on.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from galclass.errors import GalclassError
from galclass.service.http.errors import refusal_of


class LeanRoutes:
    """ASGI middleware that calls the endpoints of some routes itself if a request has no query to be checked.

    FastAPI's further work (handlers, exit stacks, and checks of absent parameters) takes longer than the endpoint.
    Admission, refusals, headers, counts and records are those of every request: in the endpoint, or in the middleware
    around this one.

    Parameters
    ----------
    app : ASGI application
    routes : sequence of APIRoute
        Of the method POST, whose endpoints take a request and the text parameters of the path.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[APIRoute]) -> None:
        self.app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] == "POST" and not scope["query_string"]:
            for route in self._routes:
                found = route.path_regex.match(scope["path"])
                if found:
                    scope["route"] = route
                    await _respond(route, found.groupdict(), scope, receive, send)
                    return
        await self.app(scope, receive, send)


async def _respond(route: APIRoute, parameters: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
    try:
        response: Response = await route.endpoint(Request(scope, receive, send), **parameters)
    except GalclassError as error:
        response = refusal_of(error, scope["path"])
    await response(scope, receive, send)
