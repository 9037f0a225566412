"""A rate limit on requests and bytes per second, shared by all threads of a download."""

from __future__ import annotations

import threading
import time


class Throttle:
    """Spread units (requests, bytes) evenly over time.

    Parameters
    ----------
    per_s : float or None
        Units a second; None or 0 does not limit.
    """

    def __init__(self, per_s: float | None) -> None:
        self._seconds_per_unit = 1.0 / per_s if per_s else 0.0
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait(self, units: float = 1.0, *, stop: threading.Event | None = None) -> None:
        """Take `units` and sleep until they are due, or until `stop` is set."""
        if not self._seconds_per_unit:
            return
        with self._lock:
            now = time.monotonic()
            due = max(self._free_at, now)
            self._free_at = due + units * self._seconds_per_unit
        (stop or threading.Event()).wait(max(0.0, due - now))
