"""`galclass serve` before it serves: the port is looked at first, and nothing published is said."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_model import tiny_model

from galclass.cli import cli
from galclass.database import Registry, Services, open_database


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_a_busy_port_is_one_message_and_no_address_is_announced(tmp_path: Path, busy_port: int) -> None:
    done = CliRunner().invoke(cli, ["serve", "--port", str(busy_port), "--workspace", str(tmp_path)])
    assert done.exit_code == 1
    assert f"port {busy_port} is in use. Stop the program" in str(done.exception)
    assert "The page is at" not in done.output


def test_a_host_of_another_machine_is_one_message(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["serve", "--host", "203.0.113.7", "--workspace", str(tmp_path)])
    assert "port 8000 of 203.0.113.7 cannot be served" in str(done.exception)


@pytest.mark.parametrize("published", [False, True])
def test_a_server_without_a_service_says_so(tmp_path: Path, monkeypatch, published: bool) -> None:
    if published:
        with open_database(tmp_path / "galclass.db") as database:
            Registry(database).register(tiny_model())
            Services(database).publish("galaxy-class", "1.0", "galaxy", 1)
    monkeypatch.setattr("galclass.service.server.run.serve", lambda config: None)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    done = CliRunner().invoke(cli, ["serve", "--port", str(port), "--workspace", str(tmp_path)])
    assert ("No service has been published yet" in done.stderr) is not published
    assert "The page is at" in done.stdout
