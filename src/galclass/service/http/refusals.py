"""Refusals slow down: a client that is refused repeatedly gets each further refusal later.

A refused image costs nearly as much as a valid one, and a client that sends nothing else would otherwise get as much
CPU time as everybody who sends galaxies. Valid requests never wait here, whoever sends them.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

PACED = frozenset({400, 413, 415, 422})
"""Statuses that wait: those of bodies that have to be read and examined before they can be refused."""

BURST_S = 1.0
"""A client that was not refused before may get a second's worth of refusals at once."""

MAX_DELAY_S = 1.0
"""Longest wait of a refusal."""

_MAX_CLIENTS = 10_000


class Refusals:
    """Counts the refusals of each client and returns how long the next one waits.

    Parameters
    ----------
    per_s : int
        Refusals per second that a client gets without delay, in one process; 0: no limit.
    clock : callable
        Returns seconds.
    """

    def __init__(self, per_s: int, clock: Callable[[], float] = monotonic) -> None:
        self._per_s = per_s
        self._clock = clock
        self._due: dict[str, float] = {}  # time at which a client's refusals so far would be done at the rate

    def delay(self, client: str) -> float:
        """Count one refusal of a client and return how many seconds it waits, from 0 to `MAX_DELAY_S`."""
        if not self._per_s:
            return 0.0
        now = self._clock()
        if len(self._due) >= _MAX_CLIENTS:
            self._due = {one: due for one, due in self._due.items() if due > now}
        due = max(self._due.get(client, now), now) + 1 / self._per_s
        self._due[client] = min(due, now + BURST_S + MAX_DELAY_S)
        return min(max(0.0, due - now - BURST_S), MAX_DELAY_S)
