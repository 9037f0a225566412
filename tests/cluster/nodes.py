"""Nodes of a Ray cluster as separate process groups on loopback, started with `ray start` and killed with -9."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RAY = Path(sys.executable).with_name("ray")
FAULTS = Path(__file__).parent / "faults"
STORE_BYTES = 200_000_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Node:
    """One `ray start --block` and everything below it."""

    def __init__(self, options: list[str], faults: Path, cpus: int = 1, **environment: str) -> None:
        fixed = [f"--num-cpus={cpus}", f"--object-store-memory={STORE_BYTES}", "--node-ip-address=127.0.0.1", "--block"]
        fixed += ["--disable-usage-stats", "--include-log-monitor=false"]  # nobody reads along what workers print
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the node
        self._process = subprocess.Popen(
            [str(RAY), "start", *fixed, *options],
            env={
                **os.environ,
                "PYTHONPATH": str(FAULTS),
                "GALCLASS_TEST_FAULTS": str(faults),
                "OMP_NUM_THREADS": "1",
                "RAY_worker_niceness": "0",  # Ray's 15 would leave workers nothing beside another busy process
                **environment,
            },
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.session = self._process.pid

    def started(self) -> bool | None:
        """Whether the node is up; None: it gave up, as Ray does after 30 s on a busy machine."""
        self._said.seek(0)
        if b"Ray runtime started" in self._said.read():
            return True
        return False if self._process.poll() is None else None

    def runs(self, pid: int) -> bool:
        """Whether a process belongs to this node."""
        return _session(pid) == self.session

    def pids(self) -> list[int]:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and self.runs(int(name))]

    def kill(self) -> None:
        """Kill every process of the node with -9, as a lost machine does."""
        for _ in range(3):
            for pid in self.pids():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        self._process.wait()
        self._said.close()


def _session(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return -1
    return int(text.rpartition(")")[2].split()[3])


class Cluster:
    """A head and more nodes, each with one core and a small object store."""

    def __init__(self, faults: Path, head_cpus: int = 1, **environment: str) -> None:
        self.faults, self.environment, self._head_cpus = faults, environment, head_cpus
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = Path(tempfile.mkdtemp(prefix="gc", dir="/tmp"))  # short: sockets' names are limited
        self.nodes: list[Node] = []
        self.start_head()

    def start_head(self) -> Node:
        """Start a head on the cluster's port."""
        own = self._folder / str(len(self.nodes))
        options = ["--head", f"--port={self.port}", "--include-dashboard=false", f"--temp-dir={own}"]
        return self._start(options, self._head_cpus)

    def add(self) -> Node:
        """Start one more node."""
        return self._start([f"--address={self.address}"], 1)

    def _start(self, options: list[str], cpus: int) -> Node:
        for _ in range(4):
            node = Node(options, self.faults, cpus, **self.environment)
            wait_for(lambda node=node: node.started() is not False, "the start of a node", 120)
            if node.started():
                self.nodes.append(node)
                return node
            node.kill()
        raise AssertionError("a node does not start")

    def logs(self, name: str) -> list[Path]:
        """Find log files of all nodes."""
        return sorted(self._folder.rglob(f"logs/{name}"))

    def close(self) -> None:
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def wait_for(condition, what: str, seconds: float = 60) -> None:
    """Look until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} does not happen"
        time.sleep(0.05)
