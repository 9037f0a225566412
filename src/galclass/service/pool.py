"""The bounded pool of scoring threads: work beyond its queue is refused, never piled up."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from galclass.service.errors import RequestError

Result = TypeVar("Result")


class ScoringPool:
    """Threads that score, with a bound on what waits for them.

    Parameters
    ----------
    threads : int
        Scoring threads; 0 takes one per core.
    max_waiting : int
        Jobs that may wait for a thread; one more is refused with `overloaded`.
    """

    def __init__(self, threads: int, max_waiting: int) -> None:
        self.threads = threads or len(os.sched_getaffinity(0))
        self.max_waiting = max_waiting
        self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix="scoring")
        self._lock = threading.Lock()
        self._pending = 0

    @property
    def pending(self) -> int:
        """Jobs that run or wait."""
        return self._pending

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run a function in a scoring thread.

        Raises
        ------
        RequestError
            `overloaded`, when `max_waiting` jobs wait already.
        """
        with self._lock:
            if self._pending >= self.threads + self.max_waiting:
                raise RequestError("overloaded", "the server has as much work as it takes", advice="try again shortly")
            self._pending += 1
        future = self._executor.submit(function, *arguments)
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, _: Future[Result]) -> None:
        with self._lock:
            self._pending -= 1

    def close(self) -> None:
        """Wait for what runs; drop what has not started."""
        self._executor.shutdown(wait=True, cancel_futures=True)
