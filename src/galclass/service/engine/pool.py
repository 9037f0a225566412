"""Bounded pools of daemon threads: work beyond a pool's queue is refused, and a shutdown does not wait forever."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic
from typing import NamedTuple, TypeVar

from galclass.errors import RequestError

Result = TypeVar("Result")


class _Job(NamedTuple):
    future: Future[object]
    function: Callable[..., object]
    arguments: tuple[object, ...]


class ScoringPool:
    """Scoring threads with a bounded queue.

    The threads are daemons: a decode cannot be interrupted, and the process may end without it.

    Parameters
    ----------
    threads : int
        Scoring threads; 0: one per core.
    max_waiting : int
        Jobs that may wait for a thread; further ones are refused with `overloaded`.
    name : str
        Name of the threads.
    nice : int
        How much lower than the process's their priority is, from 0 to 19, if threads have their own (Linux).
    """

    def __init__(self, threads: int, max_waiting: int, name: str = "scoring", nice: int = 0) -> None:
        self.threads = threads or len(os.sched_getaffinity(0))
        self.max_waiting = max_waiting
        self._name = name
        self._nice = nice
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._pending = 0
        self._started: list[threading.Thread] = []

    @property
    def pending(self) -> int:
        """Number of jobs that run or wait."""
        return self._pending

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run a function in a scoring thread.

        Raises
        ------
        RequestError
            `overloaded`, when `max_waiting` jobs wait already.
        """
        future: Future[Result] = Future()
        with self._lock:
            if self._pending >= self.threads + self.max_waiting:
                raise RequestError("overloaded", "the server is overloaded", advice="try again shortly")
            self._pending += 1
            if len(self._started) < min(self._pending, self.threads):
                self._start_thread()
        future.add_done_callback(self._done)
        self._jobs.put(_Job(future, function, arguments))  # type: ignore[arg-type]  # Future is invariant
        return await asyncio.wrap_future(future)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._started)}", daemon=True)
        self._started.append(thread)
        thread.start()

    def _work(self) -> None:
        if self._nice and sys.platform == "linux":  # elsewhere that would be the process's priority
            with suppress(OSError):
                thread = threading.get_native_id()
                os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + self._nice)
        while (job := self._jobs.get()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                result = job.function(*job.arguments)
            except BaseException as error:  # it belongs to the caller waiting for the result
                job.future.set_exception(error)
            else:
                job.future.set_result(result)
            del job  # an idle thread keeps no image

    def _done(self, _: Future[Result]) -> None:
        with self._lock:
            self._pending -= 1

    def close(self, timeout_s: float = 5.0) -> bool:
        """Drop jobs that have not started and wait for running ones; False if it takes longer than `timeout_s`."""
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                job.future.cancel()
        for _ in self._started:
            self._jobs.put(None)
        until = monotonic() + timeout_s
        for thread in self._started:
            thread.join(max(0.0, until - monotonic()))
        return not any(thread.is_alive() for thread in self._started)
