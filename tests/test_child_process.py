"""Child processes: replaced where their work brings them down; isolated ones, what they get and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from galclass.child_process import OF_THE_USER, ChildProcess, ProcessDied, end_group, start_isolated, start_linked

_TOLD = """
import json, os, socket, subprocess, sys

def main(*arguments):
    facts = {
        "arguments": arguments, "variables": sorted(os.environ), "folder": os.getcwd(), "niceness": os.nice(0),
        "leads": os.getsid(0) == os.getpid(), "descriptors": len(os.listdir("/proc/self/fd")),
    }
    print(json.dumps(facts))
"""

_LINKED = """
import socket, subprocess, sys

def main(descriptor):
    link = socket.socket(fileno=descriptor)
    forever = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(300)"]
    with subprocess.Popen(forever, stdout=subprocess.PIPE, pass_fds=[descriptor]) as started:
        link.sendall(started.stdout.readline())
        link.recv(1)
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that a process can import as it can any of the path."""
    (tmp_path / "told_by_child.py").write_text(_TOLD)
    (tmp_path / "linked_child.py").write_text(_LINKED)
    monkeypatch.syspath_prepend(tmp_path)


_DOUBLING = """
import os, sys

for line in sys.stdin:
    numbers = [int(number) for number in line.split()]
    if any(number < 0 for number in numbers):
        os.abort()
    print(*[2 * number for number in numbers], flush=True)
"""


@pytest.fixture
def doubling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildProcess]:
    """A process that doubles the numbers of a line; a negative one brings it down."""
    (tmp_path / "doubling_child.py").write_text(_DOUBLING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with closing(ChildProcess("doubling_child")) as child:
        yield child


def doubled(child: ChildProcess, numbers: list[int]) -> list[list[int | None]]:
    def ask(start: int, stop: int) -> list[int | None]:
        requests, responses = child.pipes
        requests.write(" ".join(map(str, numbers[start:stop])).encode() + b"\n")
        requests.flush()
        if not (response := responses.readline()):
            raise ProcessDied
        return [int(number) for number in response.split()]

    return child.isolate_crashes(ask, lambda k: [None], 0, len(numbers))


def test_items_that_crash_a_process_cost_themselves_alone(doubling: ChildProcess) -> None:
    assert doubled(doubling, [1, -2, 3, -4]) == [[2], [None], [6], [None]]
    assert doubled(doubling, [-5]) == [[None]]
    assert doubled(doubling, [6, 7]) == [[12, 14]]  # one response where nothing crashes


def test_a_process_that_was_stopped_is_not_replaced(doubling: ChildProcess) -> None:
    doubling.stop()
    with pytest.raises(ProcessDied):
        doubling.isolate_crashes(lambda start, stop: _died(), lambda k: None, 0, 2)


def _died() -> None:
    raise ProcessDied


def test_an_isolated_process_gets_what_it_is_given_alone(modules: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setenv("TZ", "UTC")
    with open("/dev/null", "rb") as file:
        os.set_inheritable(file.fileno(), True)
        child = start_isolated(
            "told_by_child", [3, "four"], keep=["TZ"], environment={"ONE": "1"}, stdout=subprocess.PIPE, niceness=1
        )
        told = json.loads(child.communicate(timeout=60)[0])
    assert child.returncode == 0
    assert told["arguments"] == [3, "four"]
    assert {"ONE", "TZ"} <= set(told["variables"])
    assert "PGPASSWORD" not in told["variables"]
    assert set(OF_THE_USER) & set(told["variables"]) == {"TZ"}
    assert (told["folder"], told["leads"]) == ("/", True)
    assert told["niceness"] == min(19, os.nice(0) + 1)
    assert told["descriptors"] == 4  # three, and the one that lists them


_PARENT = """
import sys
from galclass.child_process import start_isolated
start_isolated("waiting_child", [int(sys.argv[1])], pass_fds=[int(sys.argv[1])])
sys.stdin.read()
"""

_WAITING = """
import os, time

def main(descriptor):
    os.write(descriptor, b"ready")
    time.sleep(300)
"""


def test_a_process_ends_with_the_one_that_started_it(
    modules: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "waiting_child.py").write_text(_WAITING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    reading, writing = os.pipe()
    with open(reading, "rb") as until_it_ends:
        parent = subprocess.Popen(
            [sys.executable, "-c", _PARENT, str(writing)], stdin=subprocess.PIPE, pass_fds=[writing]
        )
        os.close(writing)
        assert until_it_ends.read(5) == b"ready"
        parent.kill()
        parent.communicate()
        assert until_it_ends.read() == b""


def test_a_process_ends_with_what_it_started(modules: None) -> None:
    link, child = start_linked("linked_child", environment={})
    with link, link.makefile("rb") as lines:
        assert lines.readline() == b"ready\n"
        end_group(child)
        assert lines.read() == b""  # neither holds the other end any more
    assert child.returncode == -signal.SIGKILL
    end_group(child)  # has ended
