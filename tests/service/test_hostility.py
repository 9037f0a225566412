"""A real server under attack: it refuses, it keeps its memory, and honest clients are served."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from service.hostile import bmp_of_size, jpeg_of_size, mutated, png_bomb
from service.live import LiveServer, live_server

from galclass.config import load_config
from galclass.database import Tokens, open_database

PATH = "/v1/services/galaxy-class/1.0/predict"
JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, workspace: Path) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("attacked") / "workspace"
    shutil.copytree(workspace, folder)
    settings = ("serve.body_timeout_s=1.0", "serve.threads=1", "serve.max_waiting=4", "serve.max_connections=1500")
    settings += ("serve.max_connections_per_address=1500",)
    with live_server(folder, settings=settings) as server:
        yield server


def memory_mib(server: LiveServer) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def processor_seconds(server: LiveServer) -> float:
    """Processor time of a server: a busy machine does not count."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def talk(server: LiveServer, data: bytes, timeout_s: float = 20.0) -> bytes:
    """Send bytes and read until the server closes or answers no more; it may close before it has read all."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s) as connection:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(data)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
                if b"\r\n\r\n" in received and b"}}" in received:
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return received


@pytest.mark.parametrize(
    "make",
    [
        lambda galaxy: png_bomb(),
        lambda galaxy: jpeg_of_size(galaxy, 65_500, 65_500),
        lambda galaxy: bmp_of_size(2**31 - 1, 2**31 - 1),
        lambda galaxy: bmp_of_size(-1, -1),
    ],
    ids=["png of 50,000 px", "jpeg of 65,500 px", "bmp of 2 billion px", "bmp of negative size"],
)
def test_a_decompression_bomb_costs_neither_memory_nor_time(server: LiveServer, galaxy: bytes, make) -> None:
    bomb = make(galaxy)
    assert len(bomb) < 1_000_000
    before = memory_mib(server)
    started = processor_seconds(server)
    answer = httpx2.post(server.url + PATH, content=bomb, headers=JPEG, timeout=30)
    assert answer.status_code in (413, 422)
    assert processor_seconds(server) - started < 5
    assert memory_mib(server) - before < 64


def test_huge_headers_are_refused(server: LiveServer) -> None:
    for size in (40_000, 200_000, 2_000_000):
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * size
        for tail in (b"\r\n\r\n", b""):
            answer = talk(server, head + tail)
            assert answer.startswith(b"HTTP/1.1 431 ")
            assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["code"] == "headers_too_large"
    many = (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(10_000)) + b"\r\n"
    )
    assert talk(server, many).startswith(b"HTTP/1.1 431 ")
    assert httpx2.get(server.url + "/healthz", timeout=10).status_code == 200


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_what_is_no_http_is_told_so_and_hung_up_on(server: LiveServer, data: bytes) -> None:
    answer = talk(server, data)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["code"] == "bad_http"


def test_a_long_url_counts_with_the_headers(server: LiveServer) -> None:
    answer = talk(server, b"GET /healthz?" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("piece", [b"X-%d: " + b"a" * 1000 + b"\r\n", b"b" * 1000])
def test_what_follows_a_body_in_pieces_has_an_end(server: LiveServer, piece: bytes) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"3\r\nabc\r\n0\r\nX-Long: a")
        sent = 0
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while sent < 2000:
                connection.sendall(piece)
                sent += 1
                time.sleep(0.001)
    assert sent < 2000  # the server hung up


def test_trailers_are_no_headers(server: LiveServer) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = talk(server, head.encode() + b"3\r\nabc\r\n0\r\nAuthorization: Bearer nonsense\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 422 ")  # not 401


def test_a_body_that_stops_after_its_answer_is_hung_up_on(server: LiveServer) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 999999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=40) as connection:
        connection.sendall(head.encode() + b"abc")
        received = b""
        while not received.endswith(b"}}"):  # head and body may come apart
            received += connection.recv(65536)
        assert received.startswith(b"HTTP/1.1 413 ")
        connection.sendall(b"d")
        started = time.monotonic()
        assert connection.recv(100) == b""
        assert time.monotonic() - started < 25


def test_one_connection_too_many_is_told_so_and_the_first_are_served(
    tmp_path: Path, workspace: Path, galaxy: bytes
) -> None:
    shutil.copytree(workspace, tmp_path / "workspace")
    with (
        live_server(tmp_path / "workspace", settings=("serve.max_connections=3",)) as server,
        contextlib.ExitStack() as stack,
    ):
        first = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(3)]
        refused = 2  # the server takes connections in their order
        for _ in range(refused):
            told = httpx2.post(server.url + PATH, content=galaxy, headers=JPEG, timeout=30)
            assert (told.status_code, told.json()["error"]["code"]) == (503, "overloaded")
            assert told.headers["Retry-After"] == "1"
            assert told.headers["Connection"] == "close"
        for connection in first:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        first[0].close()
        until = time.monotonic() + 60
        while httpx2.post(server.url + PATH, content=galaxy, headers=JPEG, timeout=30).status_code != 200:
            refused += 1  # the server does not know yet that the connection is gone
            assert time.monotonic() < until
        counted = httpx2.get(server.url + "/metrics", timeout=10).text
        assert f'galclass_requests_total{{method="any",route="other",status="503"}} {refused:.1f}' in counted


def test_the_limit_of_open_files_is_raised_for_the_connections(tmp_path: Path, workspace: Path) -> None:
    shutil.copytree(workspace, tmp_path / "workspace")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with live_server(tmp_path / "workspace", settings=("serve.max_connections=500",)) as server:
            assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[0] == min(1256, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_body_that_dawdles_is_cut_off(server: LiveServer) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\nabc"
    started = time.monotonic()
    answer = talk(server, head.encode())
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["code"] == "slow_body"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/services"), ("PUT", "/v1/services/galaxy-class/aliases/latest"), ("POST", "/v1/labels")],
)
def test_json_is_read_after_the_token_and_within_bytes_and_time(server: LiveServer, method: str, path: str) -> None:
    with open_database(load_config(None, {"workspace": str(server.log.parent)}).database_url) as database:
        token = f"Authorization: Bearer {Tokens(database).create('publisher', path)}\r\n"

    def ask(length: int, body: bytes, head: str = "") -> bytes:
        sized = f"Content-Type: application/json\r\nContent-Length: {length}\r\n"
        return talk(server, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}{sized}\r\n".encode() + body)

    assert ask(10**9, b'{"name"').startswith(b"HTTP/1.1 401 ")
    assert ask(65537, b'{"name"', token).startswith(b"HTTP/1.1 413 ")
    started = time.monotonic()
    assert b"slow_body" in ask(100, b'{"name"', token)
    assert time.monotonic() - started < 10
    assert b'"code":"invalid"' in ask(7, b'{"name"', token)


def test_a_declared_size_over_the_limit_is_refused_before_a_byte_is_sent(server: LiveServer) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {10**12}\r\n\r\n"
    assert talk(server, head.encode()).startswith(b"HTTP/1.1 413 ")


def test_an_endless_chunked_body_is_cut_off_at_the_limit(server: LiveServer) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head.encode())
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            for _ in range(200):
                connection.sendall(chunk)
                sent += 1
    assert sent < 150
    assert httpx2.get(f"{server.url}/healthz").status_code == 200


@pytest.mark.parametrize(
    "request_text",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /%ff%fe/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /docs/assets/..%2f..%2fapp.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/images/..%2F..%2Fgalclass.db HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST "
        + PATH.encode()
        + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1/services HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET /v1/services/\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/services/" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_malformed_requests_get_a_plain_refusal(server: LiveServer, request_text: bytes) -> None:
    answer = talk(server, request_text, timeout_s=12)
    assert b"root:" not in answer
    assert b"SQLite" not in answer
    assert not answer.startswith(b"HTTP/1.1 5")
    assert httpx2.get(f"{server.url}/healthz").status_code == 200


def test_beyond_its_queue_it_answers_503_with_retry_after_and_nothing_else(server: LiveServer, galaxy: bytes) -> None:
    def ask(_: int) -> httpx2.Response:
        return httpx2.post(server.url + PATH.replace("predict", "explain"), content=galaxy, headers=JPEG, timeout=60)

    answers: list[httpx2.Response] = []
    with ThreadPoolExecutor(40) as pool:
        for _ in range(10):  # a busy machine may need more than one push
            answers += pool.map(ask, range(120))
            if {answer.status_code for answer in answers} >= {200, 503}:
                break
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)


def test_honest_clients_are_served_beside_a_thousand_idle_connections(server: LiveServer, galaxy: bytes) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(1000)]
    try:
        for connection in idle[::2]:
            connection.sendall(b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        with httpx2.Client(timeout=30) as client:
            for _ in range(50):
                assert client.post(server.url + PATH, content=galaxy, headers=JPEG).status_code == 200
    finally:
        for connection in idle:
            connection.close()


@pytest.mark.slow
def test_headers_that_never_end_are_hung_up_on(server: LiveServer) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        stop = threading.Event()

        def dribble() -> None:
            while not stop.wait(0.5):
                try:
                    connection.sendall(b"X-A: b\r\n")
                except OSError:
                    return

        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        thread = threading.Thread(target=dribble)
        thread.start()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100) == b""
        stop.set()
        thread.join()
    assert 5 < time.monotonic() - started < 20


def test_fuzzed_bodies_never_break_it(client: TestClient, galaxy: bytes) -> None:
    statuses = set()
    for seed in range(300):
        answer = client.post(PATH, content=mutated(galaxy, seed), headers=JPEG)
        statuses.add(answer.status_code)
        if answer.status_code != 200:
            assert set(answer.json()["error"]) == {"code", "message", "field"}
    assert statuses <= {200, 413, 422}


def test_fuzzed_uploads_never_break_it(client: TestClient, galaxy: bytes) -> None:
    boundary = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b.jpg"\r\n\r\n'
    body = boundary + galaxy[:3000] + b"\r\n--x--\r\n"
    for seed in range(300):
        answer = client.post(
            PATH, content=mutated(body, seed), headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
        assert answer.status_code in (200, 400, 413, 422)


def test_fuzzed_json_never_breaks_it(client: TestClient) -> None:
    body = json.dumps({"images": [{"id": "a", "img": "/9j/4AAQ" * 20}, {"id": "b", "img": "iVBORw0K"}]}).encode()
    for seed in range(300):
        answer = client.post(PATH, content=mutated(body, seed), headers={"Content-Type": "application/json"})
        assert answer.status_code in (200, 400, 413, 422)
