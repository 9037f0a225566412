"""The files of deploy/ as their own linters see them; no container engine is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from galclass.config import load_config
from galclass.service.http.gate import Hosts

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


def allowed_hosts_of(text: str) -> list[str]:
    """Read the value of serve.allowed_hosts as the server does."""
    found = re.findall(r"serve\.allowed_hosts=(\[[^\]]*\])", text)
    assert len(found) == 1
    given = re.sub(r"\$\{\w+:-(.*)\}", r"\1", found[0]).replace('\\"', '"')
    return list(load_config(None, [f"serve.allowed_hosts={given}"]).serve.allowed_hosts)


@pytest.mark.parametrize("name", ["Dockerfile", "kuberay.Dockerfile", "galclass.service", "slurm.sh"])
def test_whoever_scores_has_telemetry_off_from_the_start(name: str) -> None:
    assert re.search(r"(?<!\w)ORT_DISABLE_TELEMETRY=1(?!\w)", (DEPLOY / name).read_text())


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "galclass.service"])
def test_whoever_starts_the_server_names_its_hosts(name: str) -> None:
    text = (DEPLOY / name).read_text()
    hosts = allowed_hosts_of(text)
    assert "127.0.0.1" in hosts  # the health check's
    site = (DEPLOY / "Caddyfile").read_text().splitlines()[1].split()[0]
    if name == "galclass.service":
        assert site in hosts
        assert 'serve.trusted_proxies=["127.0.0.1"]' in text
    assert all(Hosts("0.0.0.0", hosts).have(host, "172.18.0.2") for host in hosts)
    assert not Hosts("0.0.0.0", hosts).have("evil.example", "172.18.0.2")
