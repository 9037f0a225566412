"""Prometheus metrics of one server; with several workers they are summed over the processes."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder over which the processes share their counts."""

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """Counters and histograms; labels come from a closed set, never from what a client sends."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "galclass_requests", "Requests by route and status", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "galclass_request_seconds", "Time to answer", ["route"], buckets=_SECONDS, registry=self.registry
        )
        self.images = Counter(
            "galclass_images", "Images scored by service and outcome", ["service", "outcome"], registry=self.registry
        )
        self.refused = Counter("galclass_refused", "Requests refused by error code", ["code"], registry=self.registry)

        self._image_children: dict[tuple[str, str], Counter] = {}
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def record(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (method, route, status)
        children = self._children.get(key)
        if children is None:  # finding a child by its labels costs more than counting
            children = (self.requests.labels(method, route, str(status)), self.seconds.labels(route))
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def count_image(self, service: str, outcome: str) -> None:
        """Count one scored image; `outcome` is "ok" or the code of its fault."""
        key = (service, outcome)
        if key not in self._image_children:
            self._image_children[key] = self.images.labels(service, outcome)
        self._image_children[key].inc()

    def text(self) -> bytes:
        """Give all metrics in Prometheus' text format."""
        if os.environ.get(MULTIPROCESS_FOLDER):
            summed = CollectorRegistry()
            MultiProcessCollector(summed)  # type: ignore[no-untyped-call]
            return generate_latest(summed)
        return generate_latest(self.registry)
