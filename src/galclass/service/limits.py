"""How many requests a client may send: a token bucket per bearer token or address, in each process."""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic

_MAX_CLIENTS = 10_000
"""Clients remembered; the one seen longest ago is forgotten, and starts with a full bucket again."""


class RateLimit:
    """Token buckets that hold one minute's requests and refill steadily.

    Parameters
    ----------
    per_minute : int
        Requests a minute for one client; 0 sets no limit.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, client: str) -> bool:
        """Take one request from a client's bucket; False when it is empty."""
        if not self.per_minute:
            return True
        now = monotonic()
        level, seen = self._buckets.pop(client, (float(self.per_minute), now))
        level = min(float(self.per_minute), level + (now - seen) * self.per_minute / 60)
        allowed = level >= 1
        self._buckets[client] = (level - 1 if allowed else level, now)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return allowed
