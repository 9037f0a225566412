"""Pauses before a request is sent again: they grow, they differ, and a server's Retry-After is heeded within reason."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from threading import Thread

import pytest

from galclass.client import Client, ClientError
from galclass.retries import LONGEST_ASKED_S, asked_wait_s, growing_waits


def test_pauses_double_up_to_the_longest_and_differ() -> None:
    waits = list(islice(growing_waits(0.2, 3.0), 200))
    for wait_s, whole in zip(waits, [0.2, 0.4, 0.8, 1.6, 3.0, 3.0], strict=False):
        assert whole / 2 <= wait_s <= whole
    assert max(waits) <= 3.0
    assert len(set(waits)) > 190


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        (None, 1.0),
        ("2", 2.0),
        ("0", 0.0),
        ("86400", LONGEST_ASKED_S),
        ("9" * 400, LONGEST_ASKED_S),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("soon", 1.0),
        ("", 1.0),
        ("nan", 1.0),
        ("-3", 1.0),
        ("Wed, 99 Xyz 99999 99:99:99 GMT", 1.0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", 1.0),
    ],
)
def test_a_retry_after_that_says_nothing_costs_a_second_and_none_costs_more_than_a_minute(header, wait_s) -> None:
    assert asked_wait_s(header) == pytest.approx(wait_s)


def test_a_date_to_come_is_waited_for() -> None:
    assert 5 < asked_wait_s(formatdate(time.time() + 10, usegmt=True)) <= 10


@pytest.fixture
def busy() -> Iterator[tuple[str, list[str]]]:
    """A server that refuses with 503 and the headers in a list, one after the other, then answers."""
    headers: list[str] = []

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802  # the library's name
            body = b'{"services": []}'
            self.send_response(503 if headers else 200)
            if headers:
                self.send_header("Retry-After", headers.pop(0))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Busy)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", headers
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_client_takes_a_date_and_comes_back(busy: tuple[str, list[str]]) -> None:
    url, headers = busy
    headers += ["Wed, 21 Oct 2015 07:28:00 GMT", "0"]
    with Client(url) as client:
        assert client.list_services() == []
    assert headers == []


def test_the_client_gives_up_after_three_retries(busy: tuple[str, list[str]]) -> None:
    url, headers = busy
    headers += ["0"] * 5
    with Client(url) as client, pytest.raises(ClientError):
        client.list_services()
    assert len(headers) == 1
