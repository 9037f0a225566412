"""The web app: routes, error shapes, middleware and the page, put together for one configuration."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles

from galclass import __version__
from galclass.config import Config
from galclass.service.engine.state import ServiceState
from galclass.service.http.connections import CONNECTIONS, Connections
from galclass.service.http.errors import install_handlers
from galclass.service.http.gate import Gate, Hosts
from galclass.service.http.metrics import FLUSH_S, Metrics
from galclass.service.http.observe import Observe
from galclass.service.http.refusals import Refusals
from galclass.service.http.sending import Responses
from galclass.service.routes import (
    catalog,
    catalog_files,
    compare,
    desk,
    functions,
    galaxy_map,
    health,
    jobs,
    predict,
    report_labels,
    services,
    stored,
)
from galclass.service.routes.docs import install_docs
from galclass.service.server.lean import LeanRoutes

log = logging.getLogger("galclass.service")

_DESCRIPTION = """Galaxy morphology from survey images: versioned services that return class probabilities.

Every refusal is `{"error": {"code", "message", "field"}}`. Versions never change; aliases such as `latest` move."""

_LEAVE_S = 1.0
"""Seconds from the end of a shutdown with threads still at work to the end of the process."""

_PARTS = (
    *(predict, functions, jobs, services, stored, catalog, catalog_files, compare),  # .../similar before any object id
    *(desk, galaxy_map, report_labels, health),
)
_ROUTERS = tuple(part.router for part in _PARTS)


def create_app(config: Config) -> FastAPI:
    """Make the app of one server process.

    Parameters
    ----------
    config : Config
        Its database must be reachable; the limits are in `serve`.

    Raises
    ------
    DatabaseError
        If the database cannot be opened.
    """
    settings = config.serve
    state = ServiceState(config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, object]]:
        gc.collect()
        gc.freeze()  # what is loaded now stays: garbage collection of it would slow down single requests
        state.functions.use_loop()
        state.worker.start()
        flushing = asyncio.create_task(_flush(state.metrics))
        yield {CONNECTIONS: Connections(settings.max_connections, settings.max_connections_per_address)}
        flushing.cancel()
        state.metrics.flush()
        idle = await asyncio.to_thread(state.close)
        state.functions.close()
        if not idle:
            leave_soon()

    app = FastAPI(
        title="galclass",
        version=__version__,
        summary="Galaxy morphology as a service",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = state
    install_handlers(app)
    install_docs(app)
    app.state.api_routes = [route for router in _ROUTERS for route in router.routes]
    app.router.routes.extend(app.state.api_routes)  # include_router would search twice for every request
    app.mount("/", StaticFiles(directory=web_folder(), html=True, check_dir=False), name="page")
    lean = [route for room in (predict, functions) for route in room.router.routes if isinstance(route, APIRoute)]
    app.add_middleware(LeanRoutes, routes=lean)
    app.add_middleware(Gate, hosts=Hosts(settings.host, settings.allowed_hosts))
    app.add_middleware(Observe, watch=state.watch, responses=Responses(), refusals=Refusals(settings.refusals_per_s))
    return app


async def _flush(metrics: Metrics) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        metrics.flush()


def leave_soon() -> None:
    """End this process in a moment, whatever its threads do: a decode cannot be interrupted, and the rest is done."""
    log.warning("the server ends while a thread is at work")
    timer = threading.Timer(_LEAVE_S, os._exit, (0,))
    timer.daemon = True
    timer.start()


def web_folder() -> Path:
    """Return the folder of the page's files."""
    return Path(__file__).resolve().parents[2] / "web"
