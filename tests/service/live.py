"""Starts a real server process on a free loopback port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class LiveServer:
    """A running `galclass serve`."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.port = int(url.rsplit(":", 1)[1])
        self.log = log

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and give the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=40)


@contextmanager
def live_server(
    workspace: str | Path, *options: str, settings: tuple[str, ...] = (), before: str = ""
) -> Iterator[LiveServer]:
    """Serve a workspace until the block ends; `before` is code that shortens times in the server process."""
    port = free_port()
    log = Path(workspace) / f"server-{port}.log"
    sets = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-c", f"{before}\nfrom galclass.cli import main; main()", "serve", "--port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--workspace", str(workspace), *options, *sets],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    server = LiveServer(process, f"http://127.0.0.1:{port}", log)
    try:
        wait_ready(server)
        yield server
    finally:
        if process.poll() is None:
            server.stop()


def wait_ready(server: LiveServer) -> None:
    """Wait until a server answers."""
    until = time.monotonic() + 120
    while time.monotonic() < until and server.process.poll() is None:
        try:
            if httpx2.get(f"{server.url}/healthz", timeout=5).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise RuntimeError(server.log.read_text())
