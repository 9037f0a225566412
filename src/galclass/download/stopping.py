"""Waits that end once a run is stopped: for a server that is silent, for a pause, for a long checksum.

A thread that waits for a server cannot be interrupted from outside. So it waits in short steps, and gives up what it
waits for as soon as the event `stop` is set.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from galclass.errors import DownloadError

STEP_S = 0.2
"""Longest time after `stop` until a wait ends."""

Result = TypeVar("Result")


class StoppedError(DownloadError):
    """The run was stopped; what was fetched is kept."""


def raise_if_stopped(stop: threading.Event) -> None:
    """Raise StoppedError if a run is stopped."""
    if stop.is_set():
        raise StoppedError("stopped", advice="run the same command to resume")


class Responses:
    """Wait in this thread for what a store responds, until it comes or the run is stopped.

    Parameters
    ----------
    stop : threading.Event
        Ends all waits, with StoppedError.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.close()

    def wait(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        """Return what an awaitable gives.

        Raises
        ------
        StoppedError
            If the run is stopped first.
        """
        return self._loop.run_until_complete(self._wait(ask))

    def each(self, items: AsyncIterator[Result]) -> Iterator[Result]:
        """Yield the items of a stream as they come."""
        while (item := self.wait(lambda: anext(items, None))) is not None:
            yield item

    async def _wait(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        async def respond() -> Result:
            return await ask()

        raise_if_stopped(self._stop)
        task = asyncio.create_task(respond())
        while not (await asyncio.wait({task}, timeout=STEP_S))[0]:
            if self._stop.is_set():
                task.cancel()
                await asyncio.wait({task})
                raise_if_stopped(self._stop)
        return task.result()
