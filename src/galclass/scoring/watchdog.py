"""One thread of a process that stops runs and loading of models that take too long.

`watch` and `unwatch` are two dictionary operations, because they surround every call of the scorer. The thread
checks four times a second while there is something to watch, and sleeps after half a minute with nothing.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK_S = 0.25
"""How often the thread checks, which is also how much too long a run may take."""

_AWAKE_TICKS = 120


class Watchdog:
    """Stops what is past its deadline; `watchdog` in this module is the process's.

    Parameters
    ----------
    tick_s : float
        How often to check.
    """

    def __init__(self, tick_s: float = TICK_S) -> None:
        self._tick_s = tick_s
        self._cancelled: Callable[[], bool] | None = None
        self._reset()

    def _reset(self) -> None:
        self._numbers = itertools.count()
        self._watched: dict[int, tuple[float, Callable[[], None]]] = {}
        self._wake = threading.Event()
        self._asleep = True
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, stop: Callable[[], None], seconds: float) -> int:
        """Call `stop` from the thread once so many seconds have passed, unless `unwatch` comes first.

        Returns
        -------
        int
            Argument for `unwatch`.
        """
        number = next(self._numbers)
        self._watched[number] = (time.monotonic() + seconds, stop)
        if self._asleep:
            self._start()
        return number

    def unwatch(self, number: int) -> None:
        """Remove an entry that has finished."""
        self._watched.pop(number, None)

    def stop_when(self, cancelled: Callable[[], bool], tick_s: float) -> None:
        """Also stop everything when a function, called at every tick, returns True: on a server's cancelled query."""
        self._cancelled, self._tick_s = cancelled, tick_s

    def _start(self) -> None:
        with self._lock:
            self._asleep = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="galclass-watchdog", daemon=True)
                with _signals_blocked():
                    self._thread.start()
            self._wake.set()

    def _run(self) -> None:
        idle = 0
        while True:
            time.sleep(self._tick_s)
            idle = 0 if self._watched else idle + 1
            if idle > _AWAKE_TICKS:
                self._wake.clear()
                self._asleep = True
                if not self._watched:  # an entry added meanwhile is seen here, or has seen that we sleep
                    self._wake.wait()
                self._asleep, idle = False, 0
            self._look()

    def _look(self) -> None:
        now = time.monotonic()
        everything = self._cancelled is not None and self._cancelled()
        for number, (deadline, stop) in list(self._watched.items()):
            if everything or now >= deadline:
                self._watched.pop(number, None)
                stop()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block all signals, which a new thread inherits: a database server's handlers must run in its own thread."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


watchdog = Watchdog()
if sys.platform != "win32":
    os.register_at_fork(after_in_child=watchdog._reset)
