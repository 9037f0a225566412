"""A child process of this package and the pipes to it, replaced where its work brings it down.

A plain subprocess: no fork of a process with threads, and no `if __name__ == "__main__"` in the caller.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import galclass


class ProcessDied(Exception):
    """The child process ended before it answered."""


class ChildProcess:
    """One running child process of a module.

    Parameters
    ----------
    module : str
        Name of the module that it runs, as for `python -m`.
    environment : mapping of str to str
        Variables that it gets besides this process's own.
    """

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        self._module, self._environment = module, dict(environment or {})
        self._lock = threading.Lock()
        self.is_stopped = False
        self._process = self._start()

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Its input and its output."""
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        return orders, answers

    def wait(self) -> int:
        """Return the exit status of a process that has ended."""
        return self._process.wait()

    def restart(self) -> None:
        """Start another in its place.

        Raises
        ------
        ProcessDied
            If it was stopped.
        """
        with self._lock:
            if self.is_stopped:
                raise ProcessDied
            self._process.kill()
            self._process.communicate()
            self._process = self._start()

    def stop(self) -> None:
        """End the process for good, also in the middle of its work."""
        with self._lock:
            self.is_stopped = True
            self._process.kill()

    def close(self) -> None:
        """Close the pipes of a process that no thread waits for."""
        self.stop()
        self._process.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        root = str(Path(galclass.__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        return subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **self._environment, "PYTHONPATH": path},
            process_group=0,  # Ctrl-C goes to the parent, which ends this one
        )
