"""How long to wait before a request is sent again: growing pauses with jitter, or what a server's Retry-After asks.

The one rule of the client, the downloads and the cluster; `download.images` has urllib3's, which is the same idea.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

LONGEST_ASKED_S = 60.0
"""Most seconds a server's `Retry-After` is waited for: a client that sleeps for an hour looks dead."""


def growing_waits(first_s: float, longest_s: float) -> Iterator[float]:
    """Yield pauses in seconds without end: each twice the one before, up to `longest_s`, less up to a half at random.

    Parameters
    ----------
    first_s, longest_s : float
        First and longest pause before the random part, which keeps many clients from coming back at once.
    """
    wait_s = first_s
    while True:
        wait_s = min(wait_s, longest_s)
        yield wait_s * random.uniform(0.5, 1.0)
        wait_s *= 2


def asked_wait_s(retry_after: str | None, *, default_s: float = 1.0) -> float:
    """Return the seconds that a `Retry-After` header asks to wait, 0 to `LONGEST_ASKED_S`.

    Parameters
    ----------
    retry_after : str or None
        The header: whole seconds or an HTTP date; None where there is none.
    default_s : float
        What to wait without a header, or with one that says neither.
    """
    from urllib3 import Retry
    from urllib3.exceptions import InvalidHeader

    if retry_after is None:
        return default_s
    try:
        asked_s = Retry().parse_retry_after(retry_after)
    except (InvalidHeader, ValueError, OverflowError):  # a date beyond the calendar
        return default_s
    return min(max(asked_s, 0.0), LONGEST_ASKED_S)
