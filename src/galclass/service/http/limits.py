"""How many requests a client may send: a limit per bearer token or address, shared by the processes of a server.

Each client has one number: the time at which its requests so far would be done at the allowed rate (the "generic
cell rate algorithm"). It may be ahead of the clock by one minute, so a client that was idle may send a minute's worth.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path
from time import monotonic

from galclass.service.http.metrics import MULTIPROCESS_FOLDER

BURST_S = 60.0
"""How far a client may be ahead of its rate."""

SHARED_SECRET = "GALCLASS_SERVE_SECRET"
"""Environment variable with the secret of the processes of one server."""

_SLOTS = 1 << 17
"""Numbers kept; clients that share one by chance share a limit, so there are far more of them than clients."""


class RateLimit:
    """Requests per minute for one client.

    Parameters
    ----------
    per_minute : int
        0: no limit.
    shared : path, optional
        File that the processes of one server share; None: count in this process only. Two processes that count for one
        client in the same microsecond may count once.
    secret : bytes
        The same for all that share a file; without it nobody can find out which clients share a number.
    """

    def __init__(self, per_minute: int, shared: Path | None = None, secret: bytes = b"") -> None:
        self.per_minute = per_minute
        self._secret = secret[:64]
        if not per_minute:
            return
        size = 8 * _SLOTS
        if shared is None:
            self._due = memoryview(bytearray(size)).cast("d")
            return
        with shared.open("a+b") as file:
            file.truncate(size)  # zeros that take no space until they are used
            self._due = memoryview(mmap.mmap(file.fileno(), size)).cast("d")

    def allows(self, client: str) -> bool:
        """Count one request of a client; False when it is over its limit, and the request does not count."""
        if not self.per_minute:
            return True
        slot = self._slot(client)
        now = monotonic()  # one clock for all processes of a machine
        due = max(self._due[slot], now) + BURST_S / self.per_minute
        if due - now > BURST_S:
            return False
        self._due[slot] = due
        return True

    def spent(self, client: str) -> bool:
        """Return whether a client's next request is over its limit; counts nothing."""
        if not self.per_minute:
            return False
        now = monotonic()
        return max(self._due[self._slot(client)], now) + BURST_S / self.per_minute - now > BURST_S

    def _slot(self, client: str) -> int:
        digest = hashlib.blake2b(client.encode(), digest_size=8, key=self._secret).digest()
        return int.from_bytes(digest, "big") % _SLOTS


def shared_rates() -> tuple[Path | None, bytes]:
    """Return the file and the secret that the processes of this server share; None with one process."""
    folder = os.environ.get(MULTIPROCESS_FOLDER)
    return Path(folder) / "rates" if folder else None, os.environ.get(SHARED_SECRET, "").encode()
