"""Retries for stores that fail for a while: transient errors are retried, permanent ones are raised at once."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from obstore.exceptions import BaseError

from galclass.download.stores import explain, is_permanent
from galclass.errors import ClusterError
from galclass.retries import growing_waits

T = TypeVar("T")

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 20.0
_TRANSIENT = frozenset(
    getattr(errno, name)
    for name in ("EIO", "ESTALE", "ETIMEDOUT", "EAGAIN", "EBUSY", "ECONNRESET", "ECONNREFUSED", "ECONNABORTED")
    + ("ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "EREMOTEIO", "ESHUTDOWN")
    if hasattr(errno, name)
)
"""Errors of a shared disk while its server is unavailable."""


def is_transient(error: BaseException) -> bool:
    """Return whether a retry may help."""
    if isinstance(error, BaseError):
        return not is_permanent(error)
    return isinstance(error, OSError) and (error.errno in _TRANSIENT or isinstance(error, TimeoutError))


def patiently(call: Callable[[], T], *, where: str, patience_s: float) -> T:
    """Call until it works, with growing pauses, as long as the error is transient.

    Parameters
    ----------
    call : callable
        Reads or writes; may be called many times.
    where : str
        What is read or written, for the message.
    patience_s : float
        Longest time of failing.

    Raises
    ------
    ClusterError
        If it still fails after `patience_s`.
    OSError, obstore.exceptions.BaseError
        Permanent errors, such as a missing file, at once.
    """
    deadline, waits = time.monotonic() + patience_s, growing_waits(_FIRST_WAIT_S, _LONGEST_WAIT_S)
    while True:
        try:
            return call()
        except (OSError, BaseError) as error:
            if not is_transient(error):
                raise
            wait_s = next(waits)
            if time.monotonic() + wait_s > deadline:
                raise ClusterError(
                    f"the store kept failing for more than {patience_s:g} s",
                    where=where,
                    got=explain(error),
                    advice="run the same command again when it is back; finished work is kept",
                ) from error
        time.sleep(wait_s)
