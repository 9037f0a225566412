"""Structured logs: one JSON object per line on standard error, without image data, tokens or query strings."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic

_FIELDS = (
    "request_id",
    "method",
    "path",
    "status",
    "ms",
    "client",
    "code",
    "reason",
    "service",
    "job",
    "actor",
    "subject",
    "left_out",
)


class Seldom:
    """Lets one record of a kind through at a time, so that a fault in every request does not fill the log.

    Parameters
    ----------
    seconds : float
        Time in which no other of its kind passes.
    clock : callable
        Returns seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last: dict[str, tuple[float, int]] = {}

    def left_out(self, kind: str) -> int | None:
        """Return how many of a kind were left out since the last that passed, or None if this one is, too."""
        now = self._clock()
        passed_at, count = self._last.get(kind, (-math.inf, 0))
        if now - passed_at < self._seconds:
            self._last[kind] = passed_at, count + 1
            return None
        self._last[kind] = now, 0
        return count


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON with a fixed set of extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record as a line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name: getattr(record, name) for name in _FIELDS if hasattr(record, name)})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)  # in ASCII: U+2028 and the like end a line in some viewers


def configure_logs(level: str = "INFO") -> None:
    """Send the service's and the web server's records to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("galclass", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
