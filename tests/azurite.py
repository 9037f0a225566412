"""Azurite, Microsoft's own emulator of Azure's blob store, as a process of the tests, and containers in it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "servers" / "node_modules" / ".bin" / "azurite-blob"
# The account and key that every Azurite has; not a secret.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
ENVIRONMENT = {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT}


def run_server(command: list[str], port: int) -> Iterator[str]:
    """Run a program until the caller is done; gives its URL once it answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
                assert time.monotonic() < deadline, f"{command[0]} does not answer"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def run_azurite(port: int) -> Iterator[str]:
    """Run Azurite, or skip where it is not installed."""
    command = str(PROGRAM) if PROGRAM.exists() else shutil.which("azurite-blob")
    if command is None:
        pytest.skip("Azurite is not installed: npm install --prefix tests/servers")
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    yield from run_server([command, "--blobPort", str(port), *options], port)


def create_container(url: str, name: str, *, public: bool) -> None:
    """Make a container, with a request signed as Azure wants it."""
    headers = {"x-ms-date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"), "x-ms-version": "2021-08-06"}
    if public:
        headers["x-ms-blob-public-access"] = "container"
    lines = "".join(f"{key}:{value}\n" for key, value in sorted(headers.items()))
    text = f"PUT{chr(10) * 12}{lines}/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signature = base64.b64encode(hmac.new(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256).digest())
    headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature.decode()}", "Content-Length": "0"}
    request = urllib.request.Request(f"{url}/{ACCOUNT}/{name}?restype=container", method="PUT", headers=headers)
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201
