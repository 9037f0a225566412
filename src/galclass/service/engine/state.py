"""Shared state of the routes of one server process: database, loaded models, scoring threads, limits."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from time import monotonic
from typing import TypeVar, cast

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from galclass.config import Config
from galclass.cutouts import SERVED
from galclass.database import Database, Images, Registry, Services, Tokens, open_database
from galclass.database.examples import Examples
from galclass.database.galaxy_map import GalaxyMaps
from galclass.database.jobs.queue import JobQueue
from galclass.database.jobs.quotas import JobLimits
from galclass.database.jobs.submit import Jobs
from galclass.database.jobs.sweep import Sweeper
from galclass.database.label_desk import LabelDesk
from galclass.database.pools import Pools
from galclass.database.shadows import Shadows
from galclass.database.similar import SimilarGalaxies
from galclass.errors import RequestError
from galclass.scoring import ModelId, Scorer
from galclass.service.engine.auth import READ_EVERY_S, Actor, Authority
from galclass.service.engine.filling import Filling
from galclass.service.engine.functions import FunctionServices
from galclass.service.engine.lane import CLIENT, InTurn, SlowLane, is_quick
from galclass.service.engine.models import LoadedModels
from galclass.service.engine.pool import ScoringPool
from galclass.service.engine.published import PublishedService, PublishedServices
from galclass.service.engine.scheduling import ImageScoring
from galclass.service.engine.shadow import ShadowScoring
from galclass.service.engine.worker import JobWorker
from galclass.service.http.body import BodyReader, HeldBody
from galclass.service.http.connections import client_network
from galclass.service.http.fetching import UrlFetcher
from galclass.service.http.inputs import Inputs, parse_inputs
from galclass.service.http.limits import RateLimit, shared_rates
from galclass.service.http.metrics import Metrics
from galclass.service.http.observe import Watch

Result = TypeVar("Result")

HELD_BODIES = 8
"""Full-sized bodies that a process holds at one time."""

CLOSE_S = 5.0
"""Longest time for threads to finish once no request is left; those that do not end with the process."""

_SMALL_BODY_BYTES = 256 * 1024
"""A body up to this size is parsed on the event loop; a larger one in a scoring thread."""


class ServiceState:
    """Everything one process needs to serve requests.

    Parameters
    ----------
    config : Config

    Raises
    ------
    DatabaseError
        If the database cannot be opened.
    """

    def __init__(self, config: Config) -> None:
        settings = config.serve
        self.config = config
        self.database = open_database(config.database_url)
        self.services = Services(self.database)
        self.registry = Registry(self.database)
        self.images = Images(self.database)
        self.tokens = Tokens(self.database)
        self.published = PublishedServices(self.database)
        self._reading: dict[tuple[str, str], asyncio.Future[PublishedService]] = {}
        self._next_reading: asyncio.Task[None] | None = None  # of the tokens
        self._reads_tokens = asyncio.Lock()
        self._tokens_read_at = 0.0
        self.examples = Examples(self.database, config.workspace_path / "prepared" / "index.parquet")
        pools = Pools(self.database)
        self.similar = SimilarGalaxies(pools)
        self.desk = LabelDesk(self.database, pools)
        self.maps = GalaxyMaps(self.database, pools)
        self.filling = Filling(self.desk.embeddings)
        self.decode_limits = SERVED.with_seconds(settings.max_decode_s)
        self.models = LoadedModels(self._read_model, limits=self.decode_limits, provider=settings.provider)
        threads = settings.threads or threads_of(settings.workers)
        self.pool = ScoringPool(threads, settings.max_waiting)
        self.quick = ScoringPool(threads, settings.max_waiting, name="quick")
        self.loading = ScoringPool(1, settings.max_waiting, name="loading")
        self.lane = SlowLane()
        self.bodies = BodyReader(
            settings.max_body_bytes, settings.body_timeout_s, HELD_BODIES * settings.max_body_bytes
        )
        self.fetcher = UrlFetcher(settings.url_hosts, settings.max_body_bytes)
        self.authority = Authority(
            self._valid_tokens, open_reading=settings.open_reading, count_unknown=self._count_unknown_token
        )
        self.rate = RateLimit(settings.requests_per_minute, *shared_rates())
        self.metrics = Metrics()
        self.watch = Watch(self.metrics)
        self.scoring = ImageScoring(self.models, self.pool, self.quick, self.loading, self.lane, self.metrics)
        self.shadows = ShadowScoring(
            Shadows(self.database), self._read_model, self.metrics, settings.max_decode_s, settings.provider
        )
        limits = JobLimits(**{field.name: getattr(settings, field.name) for field in fields(JobLimits)})
        self.functions = FunctionServices(
            config.workspace_path, self._read_model, threads, settings.max_waiting, settings.max_decode_s
        )
        self.jobs = Jobs(self.database, settings.job_days, limits)
        self._beats = Database(config.database_url)
        self.worker = JobWorker(JobQueue(self.database), Sweeper(self.database), self._scorer_of, JobQueue(self._beats))

    def _scorer_of(self, name: str, version: str) -> Scorer:
        service = self.published.look_up(name, version)
        if service.record.code is not None:
            return cast(Scorer, self.functions.job_caller(service.record))  # handles items as a scorer does
        scorer = self.models.get(service.model)
        return cast(Scorer, InTurn(scorer, self.lane))  # scores as it does

    def fill_embeddings(self, model: ModelId) -> bool:
        """Start to compute the embeddings that a model lacks; False while others are computed."""
        return self.filling.start(model.sha256, lambda: cast(Scorer, InTurn(self.models.get(model), self.lane)))

    def _read_model(self, model: ModelId) -> bytes:
        return self.registry.get(f"{model.name}@{model.version}").value

    def _valid_tokens(self) -> dict[str, tuple[str, str]]:
        return {key: (one.label or f"token {one.id}", one.role) for key, one in self.tokens.valid().items()}

    async def admit(self, request: Request, role: str) -> Actor:
        """Check the sender, the role and the rate of a request.

        Raises
        ------
        RequestError
            `unauthorized`, `forbidden`, `too_many_requests`.
        """
        authorization = request.headers.get("authorization")
        address = request.client.host if request.client else "unknown"
        if authorization is not None:
            new = not self.authority.knows(authorization) and not self.rate.spent(_guesses(address))
            if new or self.authority.is_stale():
                await asyncio.shield(self._read_tokens())
        actor = self.authority.identify(authorization, address)
        if not self.rate.allows(actor.key):
            raise self._too_many()
        self.authority.require(actor, role)
        CLIENT.set(actor.key)
        return actor

    def _read_tokens(self) -> asyncio.Task[None]:
        if self._next_reading is None:  # requests that arrive before it begins share one reading
            self._next_reading = asyncio.create_task(self._read_tokens_in_turn())
            self._next_reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._next_reading

    async def _read_tokens_in_turn(self) -> None:
        async with self._reads_tokens:
            await asyncio.sleep(self._tokens_read_at + READ_EVERY_S - monotonic())
            self._next_reading, self._tokens_read_at = None, monotonic()
            await run_in_threadpool(self.authority.read)

    def _count_unknown_token(self, address: str) -> None:
        """Count an unknown token, separately from the requests of token holders."""
        if not self.rate.allows(_guesses(address)):
            raise self._too_many()

    def _too_many(self) -> RequestError:
        return RequestError("too_many_requests", "too many requests", expected=f"{self.rate.per_minute} per minute")

    async def resolve(self, name: str, version: str) -> PublishedService:
        """Find the service for images; less than a second old.

        Raises
        ------
        RequestError
            `unknown_service`; `is_function`, for a function, which has its own inputs.
        """
        service = await self.resolve_any(name, version)
        if service.record.code is not None:
            raise RequestError(
                "is_function", "this service is a function with its own inputs", advice="send them to .../call"
            )
        return service

    async def resolve_any(self, name: str, version: str) -> PublishedService:
        """Find the service, model or function; raises as `resolve` does."""
        service = self.recent(name, version)
        return service if service is not None else await asyncio.shield(self._read(name, version))

    def recent(self, name: str, version: str) -> PublishedService | None:
        """Return the result of `resolve` without waiting, if known; refreshes it before it is too old."""
        service, aging = self.published.recent(name, version)
        if service is not None and aging:
            self._read(name, version)
        return service

    def _read(self, name: str, version: str) -> asyncio.Future[PublishedService]:
        key = (name, version)
        reading = self._reading.get(key)
        if reading is None:  # requests that arrive meanwhile share this reading
            reading = asyncio.ensure_future(run_in_threadpool(self.published.look_up, name, version))
            self._reading[key] = reading
            reading.add_done_callback(lambda done: self._end_reading(key, done))
        return reading

    def _end_reading(self, key: tuple[str, str], done: asyncio.Future[PublishedService]) -> None:
        self._reading.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever waits gets it; ahead of time nobody does, and the next reading is waited for

    async def inputs(
        self,
        body: HeldBody,
        content_type: str,
        object_id: str | None,
        *,
        max_images: int | None = None,
        stored: bool = False,
    ) -> Inputs:
        """Find the images of a body, off the event loop when it is large; those given by URL are fetched."""
        limit = max_images or self.config.serve.max_images

        def parse() -> Inputs:
            return parse_inputs(body.data, content_type, object_id=object_id, max_images=limit, stored=stored)

        inputs = parse() if len(body.data) <= _SMALL_BODY_BYTES else await self.pool.run(parse)
        return replace(inputs, images=await self.fetcher.fill(inputs.images, body.add))

    async def run_on(self, image: bytes, function: Callable[..., Result], *arguments: object) -> Result:
        """Run a function that decodes an image: in the pool, or in the slow lane.

        Raises
        ------
        RequestError
            `overloaded`.
        """
        quick = await self.pool.run(is_quick, image)
        return await (self.pool if quick else self.lane).run(function, *arguments)

    def close(self) -> bool:
        """Finish running work within `CLOSE_S`, then close the database; False if a thread is still busy."""
        until = monotonic() + CLOSE_S
        idle: list[bool] = []
        stopping = threading.Thread(target=lambda: idle.append(self.worker.stop()), name="stopping", daemon=True)
        stopping.start()
        pools = (self.pool, self.quick, self.loading, self.lane)
        ended = [pool.close(max(0.0, until - monotonic())) for pool in pools]
        stopping.join(max(0.0, until - monotonic()))
        filled = self.filling.stop(max(0.0, until - monotonic()))
        shadowed = self.shadows.close(max(0.0, until - monotonic()))
        self._beats.close()
        self.database.close()
        return all(ended) and idle == [True] and filled and shadowed


def _guesses(address: str) -> str:
    """Return the rate-limit key for unknown tokens from an address, separate from that of its other requests."""
    return f"unknown tokens of {client_network(address)}"


def threads_of(workers: int) -> int:
    """Share the cores among the processes."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


def state_of(request: Request) -> ServiceState:
    """Return the state of the app that serves a request."""
    return cast(ServiceState, request.app.state.service)
