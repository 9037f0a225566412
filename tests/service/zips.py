"""Zip files as jobs take them, and waiting for a job."""

from __future__ import annotations

import io
import time
import zipfile

from fastapi.testclient import TestClient

ZIP = {"Content-Type": "application/zip"}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def wait(client: TestClient, job: dict, state: str = "done") -> dict:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        job = client.get(f"/v1/jobs/{job['id']}").json()
        if job["state"] == state:
            return job
        time.sleep(0.05)
    raise AssertionError(job)
