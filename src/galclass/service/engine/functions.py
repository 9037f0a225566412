"""The published functions of one server process: their pools of processes, and their part in batch jobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from galclass.database.service_rows import ServiceRecord
from galclass.errors import GalclassError, RequestError
from galclass.scoring import ModelId
from galclass.service.engine.closing_cache import ClosingCache
from galclass.service.functions.pool import FunctionPool
from galclass.service.functions.publish import approved, facts_of

_CHUNK_S = 60.0
"""Longest time for the items of a job in one turn, if each takes until its deadline."""

MAX_POOLS = 8
"""Functions whose processes are kept; the least recently called one's are ended."""


class FunctionServices:
    """Calls functions by the records of their services.

    Parameters
    ----------
    workspace : path
        Its `functions.json` says what may run here.
    read_model : callable
        Returns the bytes of a model.
    size : int
        Most processes of one function.
    max_waiting : int
        Calls of one function that may wait.
    max_decode_s : float
        Longest decode of an image by the models of a function.
    """

    def __init__(
        self,
        workspace: Path,
        read_model: Callable[[ModelId], bytes],
        size: int,
        max_waiting: int,
        max_decode_s: float,
    ) -> None:
        self._workspace = workspace
        self._read_model = read_model
        self._size = size
        self._max_waiting = max_waiting
        self._max_decode_s = max_decode_s
        self._pools: ClosingCache[str, FunctionPool] = ClosingCache(MAX_POOLS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._making = asyncio.Lock()

    async def call(self, record: ServiceRecord, body: bytes, *, patient: bool = False) -> bytes:
        """Run the function of a service for the JSON of its inputs; `patient`: wait however many others are waiting.

        Raises
        ------
        RequestError
            What `FunctionPool.call` raises.
        """
        pool = self._pools.get(_key(record))
        return await (pool or await self._pool(record)).call(body, patient=patient)

    async def _pool(self, record: ServiceRecord) -> FunctionPool:
        key = _key(record)
        async with self._making:
            if key not in self._pools:
                self._pools[key] = await asyncio.to_thread(self._made, record)
            return self._pools[key]

    def _made(self, record: ServiceRecord) -> FunctionPool:
        service = f"{record.name}@{record.version}"
        try:
            facts = facts_of(record)
            here = approved(self._workspace).get(facts.sha256)
        except GalclassError as error:
            raise RequestError("function_refused", f"this service is refused: {error.what}") from error
        if here is None or here.get("function") != facts.function:
            raise RequestError(
                "function_refused", "this service is refused: its code was not published from this server's workspace"
            )
        models = {}
        for name, model in facts.models.items():
            try:
                models[name] = self._read_model(model)
            except GalclassError as error:
                raise RequestError("function_refused", "this service is refused: its model no longer exists") from error
        return FunctionPool(
            facts,
            Path(here["folder"]),
            models,
            size=self._size,
            max_waiting=self._max_waiting,
            service=service,
            max_decode_s=self._max_decode_s,
        )

    def use_loop(self) -> None:
        """Note the running loop, on which the calls of jobs are made."""
        self._loop = asyncio.get_running_loop()

    def job_caller(self, record: ServiceRecord) -> JobCaller:
        """Return the object that handles the items of a batch job, for a separate thread."""
        return JobCaller(self, record)

    def call_from_thread(self, record: ServiceRecord, body: bytes) -> bytes:
        """Run `call` on the event loop and wait for it in a thread."""
        if self._loop is None:
            raise RequestError("not_ready", "the server has no event loop yet")
        return asyncio.run_coroutine_threadsafe(self.call(record, body, patient=True), self._loop).result()

    def close(self) -> None:
        """End all processes."""
        self._pools.close()


def _key(record: ServiceRecord) -> str:
    return f"{record.name}@{record.version}@{(record.code or {}).get('sha256')}"


@dataclass(frozen=True)
class CallResult:
    """One item of a batch of calls; a job keeps it as it keeps a prediction."""

    object_id: str
    result: Any = None
    error: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the record that results of the job show."""
        return {"object_id": self.object_id, **({"error": self.error} if self.error else {"result": self.result})}

    def as_row(self) -> dict[str, Any]:
        """Return what a job notes beside the record."""
        return {"scored_at": datetime.now(UTC).isoformat(timespec="seconds")}


class JobCaller:
    """Handles the items of a job with a function, as a scorer does with predictions."""

    def __init__(self, functions: FunctionServices, record: ServiceRecord) -> None:
        self._functions = functions
        self._record = record
        deadline_s = float((record.code or {}).get("deadline_s", 1.0))
        self.most_items = max(1, int(_CHUNK_S / deadline_s))
        self.model = ModelId(str(record.function), 0, str((record.code or {}).get("sha256")))

    def score(
        self, inputs: Sequence[bytes], *, object_ids: Sequence[str], frame_px: Sequence[int | None]
    ) -> list[CallResult]:
        """Call the function for each item; a call that fails is a result with an error."""
        return [self._one(body, name) for body, name in zip(inputs, object_ids, strict=True)]

    def _one(self, body: bytes, name: str) -> CallResult:
        try:
            return CallResult(name, json.loads(self._functions.call_from_thread(self._record, body)))
        except RequestError as error:
            if error.code in ("function_refused", "not_ready"):
                raise
            return CallResult(name, error={"code": error.code, "message": error.what, "field": error.field})
