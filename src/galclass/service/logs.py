"""Structured logs: one JSON object a line on standard error, without image data, tokens or query strings."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

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
)


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON with a fixed set of extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line."""
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
