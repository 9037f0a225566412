"""The slow lane: one thread for the whole machine that decodes images whose decode is expected to take long.

Takes encoded images, decides which of them are quick; runs the work of the others one after another, so that they
cost the quick ones at most one core, however many requests, jobs and server processes send them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from galclass.cutouts import decode_seconds
from galclass.errors import RequestError
from galclass.scoring import Prediction, Scorer
from galclass.service.engine.pool import ScoringPool

log = logging.getLogger("galclass.service")

Result = TypeVar("Result")

QUICK_DECODE_S = 0.02
"""Estimated time of a decode up to which an image is quick."""

LIGHT_DECODE_S, LIGHT_BYTES = 0.004, 64 * 1024
"""Estimated time of a decode and size of a file up to which an image is light; 424 px take 0.0024 by this estimate."""

MAX_WAITING = 16
"""Images of a process that may wait for the lane; further ones are refused with `overloaded`."""

MAX_OF_CLIENT = 4
"""Most images of one client that wait or run, so that other clients' slow images are not refused or delayed more."""

PATIENCE_S = 20.0
"""Longest wait for another process: one that hangs or was suspended in its turn must not block all others."""

_LOOK_S = 0.01

CLIENT: ContextVar[str] = ContextVar("client", default="")
"""The client of the current request: a token's owner or the network of an address; set by `admit`."""
_JPEG = b"\xff\xd8\xff"


def is_quick(data: bytes) -> bool:
    """Return whether an image should decode within `QUICK_DECODE_S`."""
    return decode_seconds(data) <= QUICK_DECODE_S


def is_light(data: bytes) -> bool:
    """Return whether an image may be decoded on the event loop.

    It is for a small JPEG: the markers of a small file are read in a few microseconds, and they bound the work, for a
    JPEG only. How long a PNG takes to inflate shows only while it happens.
    """
    return len(data) <= LIGHT_BYTES and data.startswith(_JPEG) and decode_seconds(data) <= LIGHT_DECODE_S


class SlowLane:
    """Runs one function at a time on this machine.

    Parameters
    ----------
    lock : path, optional
        File that the processes lock; by default one of this user in the folder for temporary files.
    """

    def __init__(self, lock: Path | None = None) -> None:
        self._pool = ScoringPool(1, MAX_WAITING, name="slow", nice=10)
        self._counts: Counter[str] = Counter()
        self._is_stuck = False
        self._lock = lock or Path(tempfile.gettempdir()) / f"galclass-slow-{os.getuid()}.lock"

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run a function when it is its turn.

        Raises
        ------
        RequestError
            `overloaded`, when `MAX_WAITING` wait already, or `MAX_OF_CLIENT` of the client.
        """
        client = CLIENT.get()
        if client and self._counts[client] >= MAX_OF_CLIENT:
            raise RequestError("overloaded", "too many slow images of this client are waiting", expected=MAX_OF_CLIENT)
        self._counts[client] += 1
        try:
            return await self._pool.run(self._alone, function, *arguments)
        finally:
            self._counts[client] -= 1
            if not self._counts[client]:
                del self._counts[client]

    def _alone(self, function: Callable[..., Result], *arguments: object) -> Result:
        with self.turn():
            return function(*arguments)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for this thread's turn and hold it until the block ends; for threads that may wait."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._lock, flags, 0o600)
        except OSError as error:
            log.warning("slow images of several processes may run at once", extra={"reason": str(error)})
            yield
            return
        try:
            self._wait(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _wait(self, descriptor: int) -> None:
        """Lock the file, which the kernel releases when a process ends; continue without it if that takes too long."""
        until = monotonic() + (0.0 if self._is_stuck else PATIENCE_S)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if monotonic() < until:
                    sleep(_LOOK_S)
                    continue
                if not self._is_stuck:
                    log.warning("another process is not leaving the slow lane", extra={"lock": str(self._lock)})
                self._is_stuck = True
            else:
                self._is_stuck = False
            return

    def close(self, timeout_s: float = 5.0) -> bool:
        """Drop waiting work; False if the running work takes longer than `timeout_s`."""
        return self._pool.close(timeout_s)


class InTurn:
    """A scorer for separate threads, such as those of jobs, whose slow images wait for their turn in the lane.

    Parameters
    ----------
    scorer : Scorer
    lane : SlowLane
    """

    def __init__(self, scorer: Scorer, lane: SlowLane) -> None:
        self._scorer = scorer
        self._lane = lane

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scorer, name)

    def score(
        self, images: Sequence[bytes | None], *, object_ids: Sequence[str], frame_px: Sequence[int | None]
    ) -> list[Prediction]:
        """Return a prediction for each image, as `Scorer.score` does."""
        scored: dict[int, Prediction] = {}

        def add(indices: list[int]) -> None:
            parts = [[values[index] for index in indices] for values in (images, object_ids, frame_px)]
            found = self._scorer.score(parts[0], object_ids=parts[1], frame_px=parts[2])  # type: ignore[arg-type]
            scored.update(zip(indices, found, strict=True))

        quick = [image is None or is_quick(image) for image in images]
        add([index for index, one in enumerate(quick) if one])
        for index in (index for index, one in enumerate(quick) if not one):
            with self._lane.turn():
                add([index])
        return [scored[index] for index in range(len(images))]
