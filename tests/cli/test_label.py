"""`galclass label`: adds a folder, serves the desk to this machine, and takes its token back at the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from galclass.cli import cli
from galclass.database import Tokens, open_database
from galclass.database.desk_labels import desk_labels

PORT = 18_733


@pytest.mark.parametrize("want", ["a|b", "", "r" * 41, "ri\u202eng"])
def test_a_name_that_is_none_is_refused_before_anything_is_added(tmp_path: Path, want: str) -> None:
    (tmp_path / "pictures").mkdir()
    arguments = ["label", str(tmp_path / "pictures"), "--want", want, "--workspace", str(tmp_path / "workspace")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code != 0
    assert not (tmp_path / "workspace").exists()


def send(path: str, token: str, method: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def wait_for(path: str, token: str, good: Any) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            found = send(path, token, "GET")
            if good(found):
                return found
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.1)
    raise AssertionError(path)


def test_a_folder_is_labelled_and_the_token_ends_with_the_command(tmp_path: Path, sample_folder: Path) -> None:
    pictures = tmp_path / "pictures"
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        for name in [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:4]:
            pictures.mkdir(exist_ok=True)
            (pictures / Path(name).name).write_bytes(archive.read(name))
    workspace = tmp_path / "workspace"
    code = "from galclass.cli import main; main()"
    flags = ["label", str(pictures), "--want", "ring", "--port", str(PORT), "--workspace", str(workspace)]
    process = subprocess.Popen(
        [sys.executable, "-uc", code, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ,
    )
    try:
        assert process.stdout is not None
        told = ""
        while "Token: " not in told:
            told += process.stdout.readline()
        assert "4 images added" in told
        assert f"http://127.0.0.1:{PORT}/#/label/ring?target=ring&class=no%20ring" in told
        token = re.findall(r"Token: (\S+)", told)[0]
        wait_for("/v1/embeddings", token, lambda found: found["total"] == 4)
        send("/v1/embeddings", token, "POST")
        wait_for("/v1/embeddings", token, lambda found: found["done"] == 4)
        state = send("/v1/desks/ring?target=ring", token, "GET")
        first = state["queue"][0]["object_id"]
        send("/v1/desks/ring/labels", token, "POST", {"object_id": first, "label": "ring"})
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Stopped; the labels are kept." in rest
    with open_database(workspace / "galclass.db") as database:
        assert [(one.object_id, one.label) for one in desk_labels(database, "ring")] == [(first, "ring")]
        assert Tokens(database).verify(token) is None
