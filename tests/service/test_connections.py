"""Connections: those of one address are capped, and clients that do not read, write or end are hung up on."""

from __future__ import annotations

import asyncio
import contextlib
import io
import select
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from PIL import Image
from service.live import LiveServer, live_server
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from galclass.service.http.connections import REFUSAL, Connections, client_network
from galclass.service.http.sending import SLICE_BYTES, Responses

HOST = b"Host: localhost\r\n"
LARGE = "/docs/assets/swagger-ui-bundle.js"

SHORTER = """
from galclass.service.http import connections
from galclass.service.server import protocol, run as server
connections.LINGER_S = 0.2
server._KEEP_ALIVE_S = 1
protocol.WRITE_TIMEOUT_S, protocol.HEADER_TIMEOUT_S = 0.8, 1.0
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, workspace: Path) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("connections") / "workspace"
    shutil.copytree(workspace, folder)
    settings = ("serve.threads=1", "serve.max_connections_per_address=30")
    with live_server(folder, settings=settings, before=SHORTER) as server:
        yield server


def silent(server: LiveServer, requests: bytes) -> socket.socket:
    """Open a connection with little room for what is received, and ask without reading."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(requests)
    return connection


def wait_for_the_end(connections: list[socket.socket], seconds: float) -> int:
    """Return how many connections the server has ended after so long at most."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
    ended: set[int] = set()
    until = time.monotonic() + seconds
    while len(ended) < len(connections) and time.monotonic() < until:
        for descriptor, _ in poll.poll(200):
            ended.add(descriptor)
            poll.unregister(descriptor)
    return len(ended)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n"


@pytest.mark.parametrize("requests", [get(LARGE), get(LARGE) * 20, get("/healthz") * 1000], ids=len)
def test_clients_that_do_not_read_are_hung_up_on(server: LiveServer, requests: bytes) -> None:
    before = memory_mib(server)
    connections = [silent(server, requests) for _ in range(10)]
    assert memory_mib(server) - before < 20
    ended = wait_for_the_end(connections, 30)
    close(connections)
    assert ended == 10


def close(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()


def memory_mib(server: LiveServer) -> float:
    return int(Path(f"/proc/{server.process.pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def test_a_client_that_reads_slowly_gets_everything(server: LiveServer) -> None:
    whole = httpx2.get(server.url + LARGE, timeout=30)
    assert whole.status_code == 200
    connection = silent(server, get(LARGE))
    received = 0
    while received < len(whole.content):
        received += len(connection.recv(65536))
        time.sleep(0.002)  # in all longer than a client may take nothing
    connection.close()


def test_an_idle_and_a_dawdling_connection_are_ended(server: LiveServer) -> None:
    half = f"POST /v1/services HTTP/1.1\r\nHost: localhost\r\nContent-Length: {10**9}\r\n\r\nab".encode()
    first = [b"", b"\r\n", b"GET /he", get("/healthz") + b"\r\n", get("/healthz") + b"GET /", half]
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in first]
    for connection, data in zip(connections, first, strict=True):
        connection.sendall(data)
    time.sleep(0.3)
    with contextlib.suppress(OSError):
        connections[-1].sendall(b"c")  # uvicorn's own clock for idle connections stops with this
    ended = wait_for_the_end(connections, 10)
    close(connections)
    assert ended == len(first)


def test_one_address_too_many_times_is_told_so_and_beyond_twice_as_many_closed(server: LiveServer) -> None:
    with contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))

        served, told, closed = ([connect() for _ in range(count)] for count in (30, 30, 5))
        time.sleep(0.2)
        for connection in (*served[:3], *told[:3]):
            with contextlib.suppress(OSError):
                connection.sendall(get("/healthz"))
        assert [one.recv(12)[-3:] for one in served[:3]] == [b"200"] * 3
        assert [one.recv(12)[-3:] for one in told[:3]] == [b"503"] * 3
        for one in closed:
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(12) == b""
    until = time.monotonic() + 10
    while httpx2.get(f"{server.url}/healthz", timeout=10).status_code != 200:
        assert time.monotonic() < until


def test_clients_that_end_their_side_first_make_room_at_once(server: LiveServer) -> None:
    statuses = []
    for _ in range(90):  # three times as many as may be open, in less than they would linger
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(b"GET /v1/nothing HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            statuses.append(b"".join(iter(lambda: connection.recv(65536), b""))[9:12])  # noqa: B023
    assert set(statuses) == {b"404"}


@pytest.mark.parametrize("path", ["/healthz", "/v1/services", "/v1/services/galaxy-class/1.0", "/metrics", "/", LARGE])
def test_head_is_get_without_a_body(server: LiveServer, path: str) -> None:
    with httpx2.Client(base_url=server.url, timeout=30) as client:  # one connection: nothing of a body may stay in it
        whole, head, again = client.get(path), client.head(path), client.get(path)
    assert head.status_code == whole.status_code == again.status_code == 200
    assert head.content == b""
    varying = {"date", "x-request-id", *({"content-length"} if path == "/metrics" else ())}
    assert {key: value for key, value in head.headers.items() if key not in varying} == {
        key: value for key, value in whole.headers.items() if key not in varying
    }


class Protocol(SimpleNamespace):
    """What `Connections` sees of a protocol."""

    __hash__ = object.__hash__

    @classmethod
    def of(cls, address: str, app: object = None) -> Protocol:
        aborted: list[bool] = []
        transport = SimpleNamespace(abort=lambda: aborted.append(True))
        return cls(client=(address, 1), app=app, app_state={"a": 1}, transport=transport, aborted=aborted)

    @property
    def fate(self) -> str:
        return "closed" if self.aborted else "told" if REFUSAL in self.app_state else "served"


def fates(connections: Connections, addresses: list[str], app: object = None) -> list[str]:
    protocols = [Protocol.of(address, app) for address in addresses]
    for protocol in protocols:
        connections.enter(protocol)
    return [protocol.fate for protocol in protocols]


def test_connections_are_counted_by_client() -> None:
    assert fates(Connections(100, 2), ["192.0.2.1"] * 5 + ["192.0.2.2"]) == ["served"] * 2 + ["told"] * 2 + [
        "closed",
        "served",
    ]
    assert fates(Connections(100, 0), ["192.0.2.1"] * 5) == ["served"] * 5
    assert fates(Connections(2, 0), ["a", "b", "c", "d", "e"]) == ["served", "served", "told", "told", "closed"]
    network = [f"2001:db8:0:1::{number}" for number in range(3)]
    assert fates(Connections(100, 2), [*network, "2001:db8:0:2::1"]) == ["served", "served", "told", "served"]
    assert fates(Connections(100, 1), ["192.0.2.1", "::ffff:192.0.2.1"]) == ["served", "told"]


def test_a_trusted_proxy_speaks_for_many() -> None:
    app = ProxyHeadersMiddleware(lambda *_: None, "192.0.2.0/24")
    assert fates(Connections(100, 1), ["192.0.2.1"] * 3 + ["203.0.113.1"] * 2, app) == ["served"] * 4 + ["told"]


def test_a_connection_that_ends_makes_room() -> None:
    connections = Connections(100, 1)
    first, second = Protocol.of("192.0.2.1"), Protocol.of("192.0.2.1")
    connections.enter(first)
    connections.leave(first)
    connections.leave(first)
    connections.enter(second)
    assert second.fate == "served"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a:b", "a:b"),
        ("testclient", "testclient"),
    ],
)
def test_an_ipv6_client_is_its_network(address: str, network: str) -> None:
    assert client_network(address) == network


def test_a_large_body_is_sent_in_slices_and_counted_until_it_is_out() -> None:
    responses, sent, held = Responses(max_bytes=200_000), [], []

    async def send(message) -> None:
        sent.append(message)
        held.append(responses.held_bytes)

    body = bytes(range(256)) * 600
    asyncio.run(responses.send({"type": "http.response.body", "body": body}, send))
    assert b"".join(message["body"] for message in sent) == body
    assert max(len(message["body"]) for message in sent) == SLICE_BYTES
    assert [message["more_body"] for message in sent] == [True, True, False]
    assert held == [len(body)] * 3
    assert responses.held_bytes == 0
    assert responses.has_room(10**9)  # one response alone may be larger
    with responses.held(150_000):
        assert responses.has_room(50_000)
        assert not responses.has_room(50_001)


SLOWER = """
from galclass.scoring import Scorer
from galclass.service.engine import lane
from galclass.service.server import protocol
lane.QUICK_DECODE_S, protocol.ASK_S = -1.0, 0.05
score = Scorer.score
def told(self, images, **options):
    print("scored", len(images), flush=True)
    return score(self, images, **options)
Scorer.score = told
"""
MANY = 250


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory: pytest.TempPathFactory, workspace: Path) -> Iterator[LiveServer]:
    """A server whose images are all slow, and told of in its log when they are scored."""
    folder = tmp_path_factory.mktemp("slow") / "workspace"
    shutil.copytree(workspace, folder)
    with live_server(folder, settings=("serve.threads=1",), before=SLOWER) as server:
        yield server


def many_large(count: int) -> bytes:
    """A request with so many JPEGs of 2000 x 2000 px."""
    image = io.BytesIO()
    Image.linear_gradient("L").resize((2000, 2000)).save(image, "JPEG")
    part = b'--b\r\nContent-Disposition: form-data; name="img"; filename="%d.jpg"\r\n\r\n%b\r\n'
    body = b"".join(part % (number, image.getvalue()) for number in range(count)) + b"--b--\r\n"
    head = b"POST /v1/services/galaxy-class/1.0/predict HTTP/1.1\r\n" + HOST
    return head + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_work_for_a_client_that_has_left_ends_between_two_images(slow_server: LiveServer) -> None:
    before = slow_server.log.read_text().count("scored")
    with socket.create_connection(("127.0.0.1", slow_server.port)) as connection:
        connection.sendall(many_large(MANY))
        until = time.monotonic() + 60
        while slow_server.log.read_text().count("scored") < before + 3 and time.monotonic() < until:
            time.sleep(0.01)
    while '"status": 400' not in slow_server.log.read_text() and time.monotonic() < until:
        time.sleep(0.01)
    assert '"status": 400' in slow_server.log.read_text()
    assert 3 <= slow_server.log.read_text().count("scored") - before < MANY


def test_a_client_that_has_said_all_gets_its_response(slow_server: LiveServer) -> None:
    with socket.create_connection(("127.0.0.1", slow_server.port)) as connection:
        connection.sendall(many_large(20))
        connection.shutdown(socket.SHUT_WR)
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    interim, _, rest = response.partition(b"HTTP/1.1 200 OK\r\n")
    assert not interim.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    assert rest.count(b"predicted_class") == 20
