"""The gate: which hosts the server answers to, and which pages may send requests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from galclass.cli import cli
from galclass.config import Config
from galclass.errors import ServiceError
from galclass.service.http.gate import Hosts
from galclass.service.server.app import create_app

PATH = "/v1/services/galaxy-class/1.0"


@pytest.mark.parametrize(
    ("bound", "allowed", "host", "known"),
    [
        ("127.0.0.1", (), "localhost", True),
        ("127.0.0.1", (), "127.0.0.1", True),
        ("127.0.0.1", (), "::1", True),
        ("127.0.0.1", (), "10.0.0.5", True),  # the address that the connection came to
        ("127.0.0.1", (), "evil.example", False),
        ("127.0.0.1", (), "localhost.evil.example", False),
        ("127.0.0.1", (), "127.0.0.1.evil.example", False),
        ("127.0.0.1", (), "", False),
        ("192.0.2.7", (), "192.0.2.7", True),
        ("192.0.2.7", (), "evil.example", False),
        ("galaxies.example.org", (), "galaxies.example.org", True),
        ("0.0.0.0", (), "evil.example", True),  # with a warning
        ("::", (), "evil.example", True),
        ("0.0.0.0", ("galaxies.example.org",), "evil.example", False),
        ("0.0.0.0", ("Galaxies.example.org.",), "galaxies.example.org", True),
        ("127.0.0.1", ("galaxies.example.org",), "localhost", False),  # the list is the whole list
        ("127.0.0.1", ("*.example.org",), "a.b.example.org", True),
        ("127.0.0.1", ("*.example.org",), "example.org", False),
        ("127.0.0.1", ("*.example.org",), "evilexample.org", False),
        ("127.0.0.1", ("*",), "evil.example", True),
        ("127.0.0.1", ("[2001:db8::1]",), "2001:db8::1", True),
    ],
)
def test_the_hosts_that_a_server_answers_to(bound: str, allowed: tuple[str, ...], host: str, known: bool) -> None:
    assert Hosts(bound, allowed).have(host, "10.0.0.5") is known


@pytest.mark.parametrize("name", ["https://galaxies.example.org", "galaxies.example.org:8000", "", "a b", "a/b", "*x"])
def test_what_is_no_host_name_is_an_error_that_says_so(config: Config, name: str) -> None:
    with pytest.raises(ServiceError, match="serve.allowed_hosts"):
        Hosts("127.0.0.1", [name])
    setting = f'serve.allowed_hosts=["{name}"]'
    with pytest.raises(ServiceError, match="not a host name"):
        CliRunner().invoke(
            cli, ["serve", "--workspace", config.workspace, "--port", "18080", "--set", setting], catch_exceptions=False
        )


def client_of(config: Config, **settings: object) -> TestClient:
    return TestClient(create_app(replace(config, serve=replace(config.serve, **settings))))


def test_a_foreign_host_reads_nothing(config: Config) -> None:
    with client_of(config) as client:
        for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example:80"):
            answer = client.get("/v1/services", headers={"Host": host})
            assert (answer.status_code, answer.json()["error"]["code"]) == (421, "unknown_host")
            assert "content-security-policy" in answer.headers
            assert "x-request-id" in answer.headers
        for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "localhost."):
            assert client.get("/v1/services", headers={"Host": host}).status_code == 200
        assert 'route="other",status="421"} 4.0' in client.get("/metrics").text


OWN = "http://localhost:8000"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),  # such as curl
        ({"Origin": OWN}, True),
        ({"Origin": OWN.upper().replace("HTTP", "http")}, True),
        ({"Origin": OWN, "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "https://localhost.evil.example:8000"}, False),
        ({"Origin": "http://localhost:3000"}, False),  # another program of this machine
        ({"Origin": "http://localhost"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "file://"}, False),
        ({"Origin": "chrome-extension://localhost:8000"}, False),
        ({"Origin": f"{OWN}@evil.example"}, False),
        ({"Origin": f"{OWN} http://evil.example"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": OWN, "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, False),
    ],
)
def test_pages_of_other_sites_send_nothing_without_a_token(
    client: TestClient, tokens, galaxy: bytes, headers: dict[str, str], allowed: bool
) -> None:
    headers = {"Host": "localhost:8000", "Content-Type": "image/jpeg", **headers}
    for path in ("predict", "batches"):
        answer = client.post(f"{PATH}/{path}", content=galaxy, headers=headers)
        if allowed:
            assert answer.status_code in (200, 202, 415)  # a batch is no raw image
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site")
    meant = client.post(f"{PATH}/predict", content=galaxy, headers={**headers, **tokens["reader"]})
    assert meant.status_code == 200
    assert client.get("/v1/services", headers=headers).status_code == 200  # no page of another site reads the answer


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_whatever_changes_something_is_checked(client: TestClient, method: str) -> None:
    answer = client.request(method, PATH, headers={"Origin": "http://evil.example"})
    assert answer.json()["error"]["code"] == "cross_site"


def test_a_proxy_may_name_another_host_than_the_page_was_read_from(config: Config, galaxy: bytes) -> None:
    with client_of(config, allowed_hosts=("galaxies.example.org", "127.0.0.1")) as client:

        def status(origin: str, host: str) -> int:
            headers = {"Host": host, "Origin": origin, "Content-Type": "image/jpeg"}
            return client.post(f"{PATH}/predict", content=galaxy, headers=headers).status_code

        assert status("https://galaxies.example.org", "galaxies.example.org") == 200
        assert status("https://galaxies.example.org", "127.0.0.1:8000") == 200
        assert status("https://galaxies.example.org:444", "galaxies.example.org") == 403
        assert status("http://evil.example", "127.0.0.1:8000") == 403
        assert status("http://127.0.0.1:3000", "127.0.0.1:8000") == 403


def test_a_server_on_all_addresses_warns_unless_its_hosts_are_named(config: Config, monkeypatch) -> None:
    monkeypatch.setattr("galclass.service.server.run.serve", lambda _: None)

    def said(*options: str) -> str:
        return CliRunner().invoke(cli, ["serve", "--workspace", config.workspace, *options]).output

    named = ("--set", 'serve.allowed_hosts=["galaxies.example.org"]')
    options = ("--port", "18080")
    assert "Warning: listening on all addresses" in said("--host", "0.0.0.0", *options)
    assert "Warning" not in said("--host", "0.0.0.0", *options, *named)
    assert "Warning" not in said("--host", "127.0.0.1", *options)
