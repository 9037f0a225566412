"""The server's side of the processes of published functions: started on demand, killed at the deadline.

Takes the JSON body of a call, returns the JSON of its result. One pool per version of a service, isolated from all
other services.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from galclass.child_process import end_group, start_linked
from galclass.cutouts import SERVED
from galclass.errors import RequestError
from galclass.scoring import ModelId
from galclass.service.functions.facts import FunctionFacts
from galclass.service.functions.process import FAILED, HEAD, INVALID, NO_MEMORY, READY, REFUSED, RESULT, UNWRITABLE

log = logging.getLogger("galclass.service")

START_S = 60.0
"""Longest time for a process to import the function and load its models."""

MAX_RESULT_BYTES = 32 * 1024 * 1024
"""Largest result of a call."""

REFUSED_FOR_S = 5.0
"""Time for which a refusal to start is repeated without trying again."""


class FunctionProcess:
    """One process with the function loaded; `start` makes it.

    Attributes
    ----------
    about : dict
        Schemas, scorers, files and requirements, as found by the process.
    """

    def __init__(self, link: socket.socket, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._link = link
        self.about: dict[str, Any] = {}
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    @classmethod
    async def start(
        cls, orders: Mapping[str, Any], models: Mapping[str, bytes], *, start_s: float = START_S
    ) -> FunctionProcess:
        """Start a process and wait until it has loaded the function.

        Raises
        ------
        RequestError
            `function_refused`, with the reason.
        """
        link, child = start_linked("galclass.service.functions.process", environment={"OMP_NUM_THREADS": "1"})
        process = cls(link, child)
        try:
            link.setblocking(False)
            process._reader, process._writer = await asyncio.open_connection(sock=link, limit=1 << 20)
            async with asyncio.timeout(start_s):
                await process._load(orders, models)
        except BaseException as error:
            process.kill()
            if isinstance(error, TimeoutError):
                raise _refused(f"its module was not loaded within {start_s:g} s") from error
            if isinstance(error, OSError | asyncio.IncompleteReadError):
                raise _refused("the process ended while it loaded its module") from error
            raise
        return process

    async def _load(self, orders: Mapping[str, Any], models: Mapping[str, bytes]) -> None:
        self._send(json.dumps(orders).encode())
        for value in models.values():
            self._send(value)
        await self._writer.drain()
        kind, data = await self._receive()
        found = json.loads(data)
        if kind == REFUSED:
            log.error("a function cannot be loaded", extra={"function": orders["function"], "trace": found["trace"]})
            raise _refused(found["reason"])
        if kind != READY:
            raise _refused("the process did not say that it is ready")
        self.about = found

    async def ask(self, body: bytes, deadline_s: float) -> tuple[bytes, bytes]:
        """Send the body of a call; returns the kind of the frame that comes back, and its bytes.

        Raises
        ------
        TimeoutError
            After `deadline_s`; the process has to be killed then.
        OSError, IncompleteReadError
            If it ended.
        """
        async with asyncio.timeout(deadline_s):
            self._send(body)
            await self._writer.drain()
            return await self._receive()

    def _send(self, data: bytes) -> None:
        self._writer.write(HEAD.pack(b"Q", len(data)) + data)

    async def _receive(self) -> tuple[bytes, bytes]:
        kind, count = HEAD.unpack(await self._reader.readexactly(HEAD.size))
        if count > MAX_RESULT_BYTES:
            raise OSError(f"a result of {count} bytes")
        return kind, await self._reader.readexactly(count)

    async def end(self) -> None:
        """Kill the process and wait until the connection to it is closed."""
        self.kill()
        with suppress(OSError):
            await self._writer.wait_closed()

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self._child.poll() is None

    def kill(self) -> None:
        """Kill the process with everything that it started."""
        end_group(self._child)
        writer = getattr(self, "_writer", None)
        if writer is None:
            self._link.close()
        else:
            with suppress(RuntimeError):  # the loop is closed
                writer.close()


class FunctionPool:
    """The processes of one published function.

    Parameters
    ----------
    facts : FunctionFacts
    folder : path
        The folder of its top-level module on this machine.
    models : mapping of str to bytes
        The models of its parameters.
    size : int
        Most processes.
    max_waiting : int
        Calls that may wait for one.
    service : str
        Named in logs.
    max_decode_s : float
        Longest decode of an image by its models.
    """

    def __init__(
        self,
        facts: FunctionFacts,
        folder: Path,
        models: Mapping[str, bytes],
        *,
        size: int = 1,
        max_waiting: int = 64,
        service: str = "",
        max_decode_s: float = SERVED.max_decode_s,
    ) -> None:
        self.facts = facts
        self._orders = orders_of(facts, folder, max_decode_s)
        self._models = models
        self._size = size
        self._max_waiting = max_waiting
        self._service = service
        self._idle: list[FunctionProcess] = []
        self._all: set[FunctionProcess] = set()
        self._count = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._refusal: tuple[float, RequestError] | None = None

    async def call(self, body: bytes, *, patient: bool = False) -> bytes:
        """Run the function for the JSON of its inputs and return the JSON of its result.

        Raises
        ------
        RequestError
            `invalid`, `overloaded`, `function_refused`, `function_deadline`, `function_failed`.
        """
        process = await self._take(patient)
        keep = False
        try:
            kind, data = await process.ask(body, self.facts.deadline_s)
            keep = kind in (RESULT, INVALID, FAILED, UNWRITABLE)
        except TimeoutError as error:
            limit = f"at most {self.facts.deadline_s:g} s"
            raise RequestError(
                "function_deadline", "the function took too long and was stopped", expected=limit
            ) from error
        except (OSError, asyncio.IncompleteReadError) as error:
            log.error("the process of a function ended", extra={"service": self._service, "reason": str(error)})
            raise RequestError("function_failed", "the function ended its process") from error
        finally:
            self._give(process, keep=keep)
        return self._read(kind, data)

    def _read(self, kind: bytes, data: bytes) -> bytes:
        if kind == RESULT:
            return data
        if kind == INVALID:
            fault = json.loads(data)
            raise RequestError("invalid", fault["message"], field=fault["field"])
        if kind == UNWRITABLE:
            fault = json.loads(data)
            raise RequestError("function_failed", fault["message"], advice=fault["advice"])
        if kind == NO_MEMORY:
            limit = f"at most {self.facts.memory_mib} MiB"
            raise RequestError("function_failed", "the function needs more memory than it may have", expected=limit)
        log.error("a function failed", extra={"service": self._service, "trace": data.decode(errors="replace")})
        raise RequestError("function_failed", "the function failed; the server's log has the reason")

    async def _take(self, patient: bool) -> FunctionProcess:
        while True:
            while self._idle:
                process = self._idle.pop()
                if process.is_alive():
                    return process
                self._end(process)
            if self._count < self._size:
                return await self._start()
            if len(self._waiting) >= self._max_waiting and not patient:
                raise RequestError("overloaded", "too many calls are waiting", advice="try again shortly")
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                else:
                    self._wake()
                raise

    async def _start(self) -> FunctionProcess:
        if self._refusal is not None and monotonic() - self._refusal[0] < REFUSED_FOR_S:
            raise self._refusal[1]
        self._count += 1
        try:
            process = await FunctionProcess.start(self._orders, self._models)
        except BaseException as error:
            self._count -= 1
            self._wake()
            if isinstance(error, RequestError):
                self._refusal = (monotonic(), error)
            raise
        self._refusal = None
        self._all.add(process)
        return process

    def _give(self, process: FunctionProcess, *, keep: bool) -> None:
        if keep:
            self._idle.append(process)
        else:
            self._end(process)
        self._wake()

    def _end(self, process: FunctionProcess) -> None:
        process.kill()
        self._all.discard(process)
        self._count -= 1

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def close(self) -> None:
        """End all processes."""
        for process in list(self._all):
            self._end(process)
        self._idle.clear()


def orders_of(facts: FunctionFacts, folder: Path, max_decode_s: float) -> dict[str, Any]:
    """Return what a process has to load for a published function."""
    return {
        "function": facts.function,
        "folder": str(folder),
        "files": dict(facts.files),
        "python": facts.python,
        "requirements": dict(facts.requirements),
        "models": {name: models_of(one) for name, one in facts.models.items()},
        "memory_mib": facts.memory_mib,
        "max_decode_s": max_decode_s,
        "checked": True,
    }


def models_of(model: ModelId) -> dict[str, Any]:
    """Return the name of a model in a process."""
    return {"name": model.name, "version": model.version}


def _refused(reason: str) -> RequestError:
    return RequestError("function_refused", f"this service is refused: {reason}")
