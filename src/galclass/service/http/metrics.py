"""Prometheus metrics of one server; with several workers they are summed over the processes."""

from __future__ import annotations

import os
import threading
from collections import Counter as Counts
from collections import deque
from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder over which the processes share their counts."""

FLUSH_S = 0.25
"""Seconds between two flushes."""

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_DIFFERENCES = (1e-4, 1e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_BYTES = (2**10, 2**12, 2**13, 2**14, 2**15, 2**16, 2**17, 2**18, 2**20, 2**22, 2**24)

Item = TypeVar("Item")


class Predicted(NamedTuple):
    """A prediction of one version of a service; a faulty image has no class.

    Attributes
    ----------
    confidence : float
        The largest class probability, in [0, 1].
    is_unlike : bool
        Whether the image has the out-of-distribution flag.
    image_bytes : int
        Size of the encoded image.
    """

    service: str
    version: str
    predicted_class: str | None
    confidence: float
    is_unlike: bool
    image_bytes: int


class Shadowed(NamedTuple):
    """Outcome of one image predicted by a version of a service and then by its shadow.

    Attributes
    ----------
    outcome : str
        "same"; "class" or "group", where these differ; "dropped" or "failed", where the shadow yielded no prediction.
    """

    service: str
    version: str
    shadow_version: str
    outcome: str


class Metrics:
    """Counters and histograms; labels come from a closed set, never from what a client sends."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "galclass_requests", "Requests by route and status", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "galclass_request_seconds", "Response time", ["route"], buckets=_SECONDS, registry=self.registry
        )
        self.images = Counter(
            "galclass_images", "Images scored by service and outcome", ["service", "outcome"], registry=self.registry
        )
        of_version = ["service", "version"]
        self.classes = Counter(
            "galclass_predictions", "Predictions by class", [*of_version, "predicted_class"], registry=self.registry
        )
        self.unlike = Counter(
            "galclass_unlike_training_data", "Images flagged as unlike", of_version, registry=self.registry
        )
        self.confidence = Histogram(
            "galclass_confidence", "Largest class probability", of_version, buckets=_SHARES, registry=self.registry
        )
        self.image_bytes = Histogram(
            "galclass_image_bytes", "Size of the encoded images", of_version, buckets=_BYTES, registry=self.registry
        )
        self.scoring = Counter("galclass_scoring_cpu_seconds", "CPU time of the scorer", registry=self.registry)
        of_pair = [*of_version, "shadow_version"]
        self.shadow = Counter(
            "galclass_shadow_images", "Images by outcome of the shadow", [*of_pair, "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self.shadow_difference = Histogram(
            "galclass_shadow_difference", "Largest difference of a class probability from the shadow's", of_pair,
            buckets=_DIFFERENCES, registry=self.registry,
        )  # fmt: skip
        self._flushing = threading.Lock()
        self._ended: deque[tuple[str, str, int, float]] = deque()  # deques lose nothing to another thread's flush
        self._outcomes: deque[tuple[str, str]] = deque()
        self._scoring: deque[float] = deque()
        self._predicted: deque[Predicted] = deque()

    def record(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request, at the next `flush`."""
        self._ended.append((method, route, status, seconds))

    def count_image(self, service: str, outcome: str) -> None:
        """Count one scored image, at the next `flush`; `outcome` is "ok" or the code of its fault."""
        self._outcomes.append((service, outcome))

    def count_prediction(self, predicted: Predicted) -> None:
        """Count one prediction of a version of a service, at the next `flush`."""
        self._predicted.append(predicted)

    def count_shadow(self, shadowed: Shadowed, difference: float | None = None, *, count: int = 1) -> None:
        """Count images that the shadow predicted too; called only by its thread, so directly."""
        self.shadow.labels(*shadowed).inc(count)
        if difference is not None:
            self.shadow_difference.labels(*shadowed[:3]).observe(difference)

    def count_scoring(self, seconds: float) -> None:
        """Add CPU time spent in the scorer, at the next `flush`."""
        self._scoring.append(seconds)

    def flush(self) -> None:
        """Update the counters: together this costs a fraction of what it would in every request."""
        with self._flushing:
            ended, outcomes, scoring = _taken(self._ended), _taken(self._outcomes), _taken(self._scoring)
            predicted = _taken(self._predicted)
        for (method, route, status), count in Counts(one[:3] for one in ended).items():
            self.requests.labels(method, route, str(status)).inc(count)
        for _, route, _, seconds in ended:
            self.seconds.labels(route).observe(seconds)
        for (service, outcome), count in Counts(outcomes).items():
            self.images.labels(service, outcome).inc(count)
        self.scoring.inc(sum(scoring))
        self._count_predicted(predicted)

    def _count_predicted(self, predicted: list[Predicted]) -> None:
        for (service, version, name), count in Counts(one[:3] for one in predicted if one.predicted_class).items():
            self.classes.labels(service, version, name).inc(count)
        for one in predicted:
            self.unlike.labels(one.service, one.version).inc(one.is_unlike)
            if one.predicted_class:
                self.confidence.labels(one.service, one.version).observe(one.confidence)
            self.image_bytes.labels(one.service, one.version).observe(one.image_bytes)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format; those of other processes are at most `FLUSH_S` old."""
        self.flush()
        if os.environ.get(MULTIPROCESS_FOLDER):
            summed = CollectorRegistry()
            MultiProcessCollector(summed)  # type: ignore[no-untyped-call]
            return generate_latest(summed)
        return generate_latest(self.registry)


def _taken(waiting: deque[Item]) -> list[Item]:
    return [waiting.popleft() for _ in range(len(waiting))]
