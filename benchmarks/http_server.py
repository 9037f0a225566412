"""Shared by the HTTP benchmarks: a workspace, a running server, wrk, and the CPU time of processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

_LUA = """
local file = io.open("{image}", "rb")
wrk.method = "POST"
wrk.body = file:read("*all")
wrk.headers["Content-Type"] = "{content_type}"
"""


@dataclass(frozen=True)
class Load:
    """Measurements of wrk: requests/s, milliseconds, responses other than 2xx and 3xx, broken connections."""

    requests: int
    per_s: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int


def example_image() -> bytes:
    """One real galaxy of the sample."""
    with zipfile.ZipFile(ROOT / "data" / "sample" / "images_gz2.zip") as archive:
        name = next(name for name in sorted(archive.namelist()) if name.endswith(".jpg"))
        return archive.read(name)


@contextmanager
def galclass_server(model: bytes, workers: int, *settings: str) -> Iterator[tuple[str, int]]:
    """Serve a model as bench 1.0; yields the predict URL and the process id."""
    from galclass.config import load_config
    from galclass.database import Registry, Services, open_database

    with tempfile.TemporaryDirectory() as folder:
        database = open_database(load_config(None, {"workspace": folder}).database_url)
        info = Registry(database).register(model)
        Services(database).publish("bench", "1.0", info.name, info.version)
        database.close()
        sets = [part for setting in settings for part in ("--set", setting)]
        with workspace_server(folder, "--workers", str(workers), *sets) as (port, pid):
            yield f"http://127.0.0.1:{port}/v1/services/bench/1.0/predict", pid


@contextmanager
def workspace_server(folder: str | Path, *options: str) -> Iterator[tuple[int, int]]:
    """Serve a workspace; yields the port and the process id."""
    port = free_port()
    command = [sys.executable, "-c", "from galclass.cli import main; main()", "serve", "--workspace", str(folder)]
    with running([*command, "--port", str(port), *options], f"http://127.0.0.1:{port}/healthz") as pid:
        yield port, pid


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(command: list[str], ready_url: str, cwd: str | None = None) -> Iterator[int]:
    """Run a server until the block ends; yields its process id once it responds."""
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"  # mlflow calls uvicorn by name
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": path}
    process = subprocess.Popen(
        command, env=environment, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait(ready_url, process)
        yield process.pid
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"the server at {url} did not start")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all below it."""
    total = 0.0
    for one in (pid, *_below(pid)):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) * TICK_S
    return total


def memory_mib(pid: int) -> float:
    """Resident memory of a process and all below it."""
    total = 0
    for one in (pid, *_below(pid)):
        try:
            text = Path(f"/proc/{one}/status").read_text()
        except OSError:
            continue
        found = re.search(r"VmRSS:\s+(\d+)", text)
        total += int(found.group(1)) if found else 0
    return total / 1024


def _below(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [one for child in children for one in (int(child), *_below(int(child)))]


def wrk(url: str, image: Path, connections: int, seconds: int, content_type: str = "image/jpeg") -> Load:
    """Load a URL with wrk (one thread) and read its output."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    script = image.with_suffix(".lua")
    script.write_text(_LUA.format(image=image, content_type=content_type))
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--latency",
        "--timeout",
        "20s",
        "-s",
        str(script),
        url,
    ]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Load(
        int(_find(r"(\d+) requests in", text)),
        float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        _milliseconds(_find(r"^\s+50%\s+(\S+)", text)),
        _milliseconds(_find(r"^\s+99%\s+(\S+)", text)),
        int(_find(r"Non-2xx or 3xx responses: (\d+)", text, "0")),
        sum(int(number) for number in re.findall(r"(?:connect|read|write|timeout) (\d+)", text)),
    )


def _find(pattern: str, text: str, missing: str | None = None) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        if missing is None:
            raise SystemExit(f"wrk said: {text}")
        return missing
    return found.group(1)


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)
