"""Shadows: a second version of a service gets the same images after the response, without delaying it.

Takes the images and predictions of a response that was sent; counts in `/metrics` and in the database where the shadow
differs. The images wait in a bounded queue for one thread, which passes them to a separate process.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, NamedTuple

from starlette.background import BackgroundTask

from galclass.database.shadows import ShadowCounts, ShadowDifference, ShadowPair, Shadows
from galclass.database.types import now
from galclass.errors import GalclassError
from galclass.scoring import ModelId, Prediction
from galclass.scoring.cage import try_model
from galclass.service.engine.closing_cache import ClosingCache
from galclass.service.engine.published import PublishedService
from galclass.service.engine.shadow_link import ShadowProcess
from galclass.service.http.inputs import ImageInput
from galclass.service.http.metrics import Metrics, Shadowed

log = logging.getLogger("galclass.service")

MAX_WAITING, MAX_WAITING_BYTES = 256, 64 * 1024 * 1024
"""Images of a process, and their bytes, that may wait for their shadows; further ones are dropped, and counted."""

MAX_PROCESSES = 2
"""Shadows whose processes are kept; the least recently used one is ended."""

WRITE_S = 5.0
"""Interval between writes of the counts: each takes the interpreter from visible requests for a moment."""

REFUSED_FOR_S = 30.0
"""Time before a shadow that could not be loaded is retried."""


class _Job(NamedTuple):
    pair: ShadowPair
    model: ModelId
    image: ImageInput
    frame_px: int | None
    visible: Prediction


class ShadowScoring:
    """Lets shadows predict images after their response.

    Parameters
    ----------
    shadows : Shadows
        Where counts and differences are written.
    read_model : callable
        Returns the bytes of a model.
    metrics : Metrics
    max_decode_s : float
        How long an image may take to decode.
    provider : str
        What runs the graphs.
    """

    def __init__(
        self,
        shadows: Shadows,
        read_model: Callable[[ModelId], bytes],
        metrics: Metrics,
        max_decode_s: float,
        provider: str = "cpu",
    ) -> None:
        self._shadows = shadows
        self._read_model = read_model
        self._metrics = metrics
        self._settings = (max_decode_s, provider)
        self._jobs: deque[_Job] = deque()
        self._waiting_bytes = 0
        self._dropped: dict[ShadowPair, int] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._processes: ClosingCache[ModelId, ShadowProcess] = ClosingCache(MAX_PROCESSES)
        self._starting: ShadowProcess | None = None
        self._keeping = threading.Lock()  # `close` looks for processes while the thread starts one
        self._refused: dict[ModelId, float] = {}
        self._counts: dict[ShadowPair, ShadowCounts] = {}
        self._differing: dict[ShadowPair, list[ShadowDifference]] = {}
        self._written_at = 0.0
        self._is_away = False

    def after(
        self,
        service: PublishedService,
        images: Sequence[ImageInput],
        predictions: Sequence[Prediction],
        frame_px: int | None,
    ) -> BackgroundTask | None:
        """Return the work to run after the response was sent; None for a service without a shadow."""
        if service.shadow is None:
            return None
        return BackgroundTask(self._offer, service, tuple(images), tuple(predictions), frame_px)

    async def _offer(
        self,
        service: PublishedService,
        images: tuple[ImageInput, ...],
        predictions: tuple[Prediction, ...],
        frame_px: int | None,
    ) -> None:
        """Queue images for the shadow if there is room; never waits itself."""
        assert service.shadow is not None
        pair = ShadowPair(service.record.name, service.record.version, service.shadow.version)
        dropped = 0
        with self._lock:
            for image, visible in zip(images, predictions, strict=True):
                if visible.predicted_class is None:
                    continue  # a faulty image is faulty for both
                size = len(image.data)
                if len(self._jobs) >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES:
                    dropped += 1
                    continue
                self._waiting_bytes += size
                self._jobs.append(_Job(pair, service.shadow.model, image, frame_px, visible))
            if dropped:
                self._dropped[pair] = self._dropped.get(pair, 0) + dropped
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(WRITE_S if self._has_news() else None)
            self._wake.clear()
            while not self._stop.is_set() and (job := self._next()) is not None:
                try:
                    self._compare(job)
                except Exception:  # whatever the error, the thread continues with the next image
                    log.exception("a shadow failed", extra={"service": f"{job.pair.name}@{job.pair.shadow_version}"})
                    self._fail(job.pair)
                self._write_in_turn()
            self._write_in_turn()

    def _has_news(self) -> bool:
        return bool(self._counts or self._dropped)

    def _next(self) -> _Job | None:
        with self._lock:
            if not self._jobs:
                return None
            job = self._jobs.popleft()
            self._waiting_bytes -= len(job.image.data)
            return job

    def _compare(self, job: _Job) -> None:
        process = self._process(job)
        if process is None:
            self._fail(job.pair)
            return
        try:
            found = process.ask(job.image.data, job.frame_px)
        except (OSError, EOFError, ValueError) as error:
            self._give_up(job, f"its process ended or took too long: {error}")
            self._fail(job.pair)
            return
        if found["probabilities"] is None:
            self._fail(job.pair)
            return
        self._count(job, found)

    def _process(self, job: _Job) -> ShadowProcess | None:
        """Return the process of a model, started on first use; None for a while after it failed."""
        if monotonic() - self._refused.get(job.model, -REFUSED_FOR_S) < REFUSED_FOR_S:
            return None
        try:
            with self._keeping:
                process = self._processes.get(job.model)
            process = process or self._started(job.model)
        except (GalclassError, OSError, EOFError, ValueError) as error:
            self._give_up(job, f"it cannot be loaded: {error}")
            return None
        if process.classes != job.visible.classes:
            self._give_up(job, f"it has other classes than version {job.pair.version}")
            return None
        return process

    def _started(self, model: ModelId) -> ShadowProcess:
        value = self._read_model(model)
        try_model(value, where=str(model))
        with self._keeping:
            if self._stop.is_set():  # set before `close` looks for processes
                raise OSError("the server stops")
            process = self._starting = ShadowProcess(model, value, *self._settings)
        process.load()
        with self._keeping:
            self._processes[model], self._starting = process, None
        return process

    def _give_up(self, job: _Job, reason: str) -> None:
        """End the process of a shadow and log why; it is retried after `REFUSED_FOR_S`."""
        log.error("a shadow returns no predictions", extra={"service": _named(job.pair), "reason": reason})
        self._refused[job.model] = monotonic()
        with self._keeping:
            process, self._starting = self._starting or self._processes.pop(job.model, None), None
        if process is not None:
            process.close()

    def _count(self, job: _Job, found: dict[str, Any]) -> None:
        visible, counts = job.visible, self._counts.setdefault(job.pair, ShadowCounts())
        assert visible.probabilities is not None
        assert visible.predicted_class is not None
        pairs = zip(visible.probabilities, found["probabilities"], strict=True)
        difference = max(abs(ours - others) for ours, others in pairs)
        same_class = visible.predicted_class == found["class"]
        same_group = visible.predicted_group == found["group"]
        counts.compared += 1
        counts.same_class += same_class
        counts.same_group += same_group
        counts.largest_difference = max(counts.largest_difference, difference)
        outcome = "same" if same_class and same_group else "class" if same_group else "group"
        self._metrics.count_shadow(Shadowed(*_labels(job.pair), outcome), difference)
        if not same_class:
            sha256 = hashlib.sha256(job.image.data).hexdigest()
            named = (job.image.object_id, sha256, visible.predicted_class, found["class"])
            self._differing.setdefault(job.pair, []).append(ShadowDifference(*named, difference, now()))

    def _fail(self, pair: ShadowPair) -> None:
        self._counts.setdefault(pair, ShadowCounts()).failed += 1
        self._metrics.count_shadow(Shadowed(*_labels(pair), "failed"))

    def _take_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, {}
        for pair, count in dropped.items():
            self._counts.setdefault(pair, ShadowCounts()).dropped += count
            self._metrics.count_shadow(Shadowed(*_labels(pair), "dropped"), count=count)

    def _write_in_turn(self) -> None:
        if monotonic() - self._written_at >= WRITE_S:
            self._write()

    def _write(self) -> None:
        """Write the counts; if the database is unreachable, later."""
        self._take_dropped()
        self._written_at = monotonic()
        for pair in list(self._counts):
            try:
                self._shadows.add(pair, self._counts[pair], self._differing.get(pair, ())[-MAX_WAITING:])
            except GalclassError as error:
                if not self._is_away:
                    log.warning("counts of shadows wait for the database", extra={"reason": str(error)})
                self._is_away = True
                self._differing = {key: rows[-MAX_WAITING:] for key, rows in self._differing.items()}
                return
            self._is_away = False
            del self._counts[pair]
            self._differing.pop(pair, None)

    def close(self, timeout_s: float) -> bool:
        """Drop waiting images, end the processes and write the counts; return whether that was done in time."""
        with self._lock:
            self._stop.set()
            thread = self._thread
        self._wake.set()
        with self._keeping:
            processes = [*self._processes.values(), self._starting]
        for process in filter(None, processes):
            process.kill()  # the thread may be waiting for its reply
        if thread is None:
            return True
        thread.join(timeout_s)
        if thread.is_alive():
            return False
        self._processes.close()
        while (job := self._next()) is not None:
            self._dropped[job.pair] = self._dropped.get(job.pair, 0) + 1
        self._write()
        return True


def _named(pair: ShadowPair) -> str:
    return f"{pair.name}@{pair.shadow_version}"


def _labels(pair: ShadowPair) -> tuple[str, str, str]:
    return pair.name, pair.version, pair.shadow_version
