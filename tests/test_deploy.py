"""The files of deploy/ as their own linters see them; no container engine is needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
TOOLS = Path(sys.executable).parent


def tool(name: str) -> str:
    """Find a program of the environment or of the system, or skip."""
    found = shutil.which(name, path=str(TOOLS)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_has_no_fault() -> None:
    run(tool("hadolint"), "--no-color", DEPLOY / "Dockerfile")


def test_the_compose_file_keeps_to_the_specification() -> None:
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_the_proxy_keeps_the_metrics_inside() -> None:
    lines = [line.split() for line in (DEPLOY / "Caddyfile").read_text().splitlines()]
    assert [line[:3] for line in lines if line[:1] == ["respond"]] == [["respond", "/metrics", "404"]]


def test_the_systemd_unit_has_no_fault(tmp_path: Path) -> None:
    unit = (DEPLOY / "galclass.service").read_text()
    assert "/opt/galclass/bin/galclass" in unit
    copy = tmp_path / "galclass.service"
    copy.write_text(unit.replace("/opt/galclass/bin/galclass", "/bin/true"))  # verify wants the program to be there
    run(tool("systemd-analyze"), "verify", "--man=no", copy)
