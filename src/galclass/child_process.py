"""Child processes of this package: one that shares the work, and one that is isolated from this process.

All are plain subprocesses: no fork of a process with threads, and no `if __name__ == "__main__"` in the caller.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Concatenate, Generic, ParamSpec, Self, TypeVar

import galclass

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from galclass.child_process import run_isolated; run_isolated(*json.loads(sys.argv[2]))"
)
_PR_SET_PDEATHSIG = 1

_NEEDED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""Variables without which an interpreter may not start."""

OF_THE_USER = ("HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""Further variables with no token, password or address of a database among them."""


CRASHED, CRASHED_BECAUSE = "crashed", "the process that decoded this file crashed"
"""Code and reason of a file that brings its process down: a decoder that crashes, or more memory than there is."""


Child = TypeVar("Child", bound="ChildProcess")
Given = ParamSpec("Given")
Result = TypeVar("Result")


class ProcessDied(Exception):
    """The child process ended before it responded."""


class ChildProcess:
    """One running child process of a module and the pipes to it, replaced where its work brings it down.

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
        requests, responses = self._process.stdin, self._process.stdout
        assert requests is not None
        assert responses is not None
        return requests, responses

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

    def isolate_crashes(
        self, ask: Callable[[int, int], Result], crashed: Callable[[int], Result], start: int, stop: int
    ) -> list[Result]:
        """Have the process work on some items, and where that brings it down, on one item after another.

        Parameters
        ----------
        ask : callable
            Sends the items from `start` up to `stop` (excluded) and returns the response; raises `ProcessDied`.
        crashed : callable
            Returns the result of an item that brings the process down on its own.
        start, stop : int
            At least one item.

        Returns
        -------
        list
            The one response for all items, or one result for each.
        """
        try:
            return [ask(start, stop)]
        except ProcessDied:
            self.restart()
        if stop - start == 1:
            return [crashed(start)]
        return [result for k in range(start, stop) for result in self.isolate_crashes(ask, crashed, k, k + 1)]

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


class ChildPool(Generic[Child]):
    """Child processes of one kind, each with a thread of this process that waits for it.

    Parameters
    ----------
    children : sequence of ChildProcess
        At least one.
    name : str
        Of the threads.
    """

    def __init__(self, children: Sequence[Child], name: str) -> None:
        self._children = children
        self._idle: SimpleQueue[Child] = SimpleQueue()
        for child in children:
            self._idle.put(child)
        self._threads = ThreadPoolExecutor(len(children), name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:  # also on Ctrl-C, while one reads a file that does not come
            child.stop()
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            child.close()

    def submit(
        self, work: Callable[Concatenate[Child, Given], Result], *given: Given.args, **more: Given.kwargs
    ) -> Future[Result]:
        """Have the next process that is idle do some work."""

        def run() -> Result:
            child = self._idle.get()
            try:
                return work(child, *given, **more)
            finally:
                self._idle.put(child)

        return self._threads.submit(run)


def start_isolated(
    module: str,
    arguments: Sequence[object] = (),
    *,
    keep: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
    niceness: int = 0,
) -> subprocess.Popen[bytes]:
    """Start a process without what this one has: its variables, open files, terminal and current folder.

    It imports from where this process does, writes no bytecode, leads a process group and session of its own, and ends
    with this process (on Linux).

    Parameters
    ----------
    module : str
        Its `main` is called with the arguments.
    arguments : sequence
        As JSON.
    keep : sequence of str
        Variables of this process that it gets.
    environment : mapping of str to str
        Variables that it gets besides.
    stdin, stdout, pass_fds
        As for `subprocess.Popen`; what it writes to standard error is dropped.
    niceness : int
        How much lower its priority is than this process's.
    """
    path = json.dumps([one for one in sys.path if one])
    program_arguments = json.dumps([module, arguments, niceness, os.getpid()])
    kept = {name: os.environ[name] for name in (*_NEEDED, *keep) if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", _PROGRAM, path, program_arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        env={**kept, **(environment or {})},
        cwd="/",
        pass_fds=pass_fds,
        start_new_session=True,
    )


def run_isolated(module: str, arguments: Sequence[object], niceness: int, parent: int) -> None:
    """Run the `main` of a module in the process that `start_isolated` has started."""
    if sys.platform == "linux":  # the kernel does it: code that loops would not see its pipe close
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    if niceness:
        os.nice(niceness)
    importlib.import_module(module).main(*arguments)


def start_linked(
    module: str, *, environment: Mapping[str, str], niceness: int = 0
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start an isolated process with a socket to it, whose descriptor is the argument of its `main`."""
    ours, theirs = socket.socketpair()
    with theirs:
        end = theirs.fileno()
        child = start_isolated(
            module, [end], keep=OF_THE_USER, environment=environment, pass_fds=[end], niceness=niceness
        )
    return ours, child


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Kill an isolated process with everything that it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
