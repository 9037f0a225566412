"""The lean route of predict: the same answers however the bytes arrive, in order, and never a request lost."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from service.live import LiveServer, live_server

from galclass.config import load_config
from galclass.database import Tokens, open_database

PATH = "/v1/services/galaxy-class/1.0/predict"
VARYING = ("date", "x-request-id")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, workspace: Path) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("quick") / "workspace"
    shutil.copytree(workspace, folder)
    with live_server(folder, settings=("serve.threads=1",)) as server:
        yield server


@pytest.fixture(scope="module")
def token(server: LiveServer) -> str:
    with open_database(load_config(None, {"workspace": str(server.log.parent)}).database_url) as database:
        return Tokens(database).create("reader", "reader-of-test")


def request(body: bytes, path: str = PATH, **headers: str) -> bytes:
    fields = {"Host": "localhost", "Content-Type": "image/jpeg", "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += receive(connection)
    assert len(body) == int(headers["content-length"])
    return int(status.split()[1]), headers, body


def receive(connection: socket.socket) -> bytes:
    piece = connection.recv(65536)
    assert piece, "the server hung up"
    return piece


def whole_and_parted(server: LiveServer, data: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Send a request at once, and with a pause before its last byte."""
    answers = []
    for pause_s in (0.0, 0.1):
        status, headers, body = send(server, data, pause_s)
        assert set(VARYING) <= set(headers)
        answers.append((status, {key: headers[key] for key in headers if key not in VARYING}, body))
    return answers


def send(server: LiveServer, data: bytes, pause_s: float) -> tuple[int, dict[str, str], bytes]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(data[:-1] if pause_s else data)
        if pause_s:
            time.sleep(pause_s)
            connection.sendall(data[-1:])
        return read_answer(connection)


def known_to(server: LiveServer, galaxy: bytes) -> dict[str, str]:
    """Load the model and read the service, and give the headers of an answer."""
    answer = httpx2.post(server.url + PATH, content=galaxy, headers={"Content-Type": "image/jpeg"}, timeout=60)
    return dict(answer.headers)


@pytest.mark.parametrize(
    ("make", "headers", "status"),
    [
        (lambda galaxy: galaxy, {}, 200),
        (lambda galaxy: galaxy[: len(galaxy) // 2], {}, 422),
        (lambda galaxy: b"no image", {}, 422),
        (lambda galaxy: galaxy, {"Authorization": "Bearer nonsense"}, 401),
        (lambda galaxy: galaxy, {"Authorization": "Basic nonsense"}, 401),
        (lambda galaxy: galaxy, {"If_None_Match": "*"}, 412),
        (lambda galaxy: galaxy, {"Content_Type": "text/plain"}, 415),
        (lambda galaxy: galaxy, {"Accept": "image/png"}, 406),
    ],
)
def test_the_answer_does_not_depend_on_how_the_body_arrives(
    server: LiveServer, galaxy: bytes, make, headers, status
) -> None:
    known_to(server, galaxy)
    whole, parted = whole_and_parted(server, request(make(galaxy), **headers))
    assert whole[0] == status
    assert whole == parted


def test_a_token_is_checked(server: LiveServer, galaxy: bytes, token: str) -> None:
    known_to(server, galaxy)
    for authorization, status in ((f"Bearer {token}", 200), (f"Bearer {token}x", 401)):
        for answer in whole_and_parted(server, request(galaxy, Authorization=authorization)):
            assert answer[0] == status


def test_an_unknown_service_is_not_found_either_way(server: LiveServer, galaxy: bytes) -> None:
    for path in (PATH.replace("galaxy-class", "nothing"), PATH.replace("1.0", "9.9"), PATH.replace("1.0", "%31.0")):
        whole, parted = whole_and_parted(server, request(galaxy, path))
        assert whole == parted
        assert whole[0] == (200 if "%" in path else 404)


def test_pipelined_requests_are_answered_in_their_order(server: LiveServer, galaxies: dict[str, bytes]) -> None:
    images = list(galaxies.values())
    known_to(server, images[0])
    ways = (PATH, f"{PATH}?frame_px=424", PATH, PATH, f"{PATH}?frame_px=424", PATH)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        alone = []
        for image, path in zip(images, ways, strict=False):
            connection.sendall(request(image, path))
            alone.append(probabilities(read_answer(connection)[2]))
        connection.sendall(b"".join(request(image, path) for image, path in zip(images, ways, strict=False)))
        received = b""
        while received.count(b'"model":') < len(ways):
            received += receive(connection)
    bodies = [part[part.index(b"{") :] for part in received.split(b"HTTP/1.1 200 OK")[1:]]
    for body, expected in zip(bodies, alone, strict=True):
        assert probabilities(body) == pytest.approx(expected, abs=1e-5)


def probabilities(body: bytes) -> dict[str, float]:
    return json.JSONDecoder().raw_decode(body.decode())[0]["probabilities"]


def test_requests_that_arrive_together_get_their_own_answers(server: LiveServer, galaxies: dict[str, bytes]) -> None:
    known_to(server, next(iter(galaxies.values())))
    alone = {}
    with httpx2.Client(timeout=30) as client:
        for key, data in galaxies.items():
            answer = client.post(server.url + PATH, content=data, headers={"Content-Type": "image/jpeg"})
            alone[key] = (answer.json()["probabilities"], answer.headers["etag"])
    connections = {key: socket.create_connection(("127.0.0.1", server.port), timeout=30) for key in galaxies}
    for key, connection in connections.items():
        connection.sendall(request(galaxies[key]))
    for key, connection in connections.items():
        status, headers, body = read_answer(connection)
        connection.close()
        assert (status, headers["etag"]) == (200, alone[key][1])
        assert probabilities(body) == pytest.approx(alone[key][0], abs=1e-5)


def test_every_request_is_counted_once(server: LiveServer, galaxy: bytes) -> None:
    def count() -> float:
        text = httpx2.get(f"{server.url}/metrics").text
        lines = [line for line in text.splitlines() if line.startswith("galclass_requests_total") and "predict" in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    known_to(server, galaxy)
    before = count()
    whole_and_parted(server, request(galaxy))
    whole_and_parted(server, request(b"no image"))
    assert count() - before == 4


def test_garbage_behind_a_request_is_refused_after_its_answer(server: LiveServer, galaxy: bytes) -> None:
    known_to(server, galaxy)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(request(galaxy) + b"no request\r\n\r\n")
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 400 " in received


@pytest.mark.parametrize(
    "first",
    [b"GET /v1/services HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3],
    ids=["one", "three"],
)
@pytest.mark.parametrize("garbage", [b"no request\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n"])
def test_a_refusal_does_not_overtake_the_apps_answers(server: LiveServer, first: bytes, garbage: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(first + garbage)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    statuses = [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200] * first.count(b"GET") + [400 if garbage.startswith(b"no") else 431]


def test_a_chunk_that_is_none_ends_the_connection(server: LiveServer) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head.encode() + b"zz\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_closes_its_side_gets_its_answer(server: LiveServer, galaxy: bytes) -> None:
    known_to(server, galaxy)
    for data in (
        request(galaxy),
        b"GET /v1/services HTTP/1.1\r\nHost: localhost\r\n\r\n",
        request(galaxy, PATH + "?frame_px=424"),
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert read_answer(connection)[0] == 200
            assert connection.recv(100) == b""


@pytest.mark.parametrize(
    ("trusted", "statuses"), [("127.0.0.1", [200, 200, 200, 200, 429]), ("10.0.0.1", [200, 200, 429, 429, 429])]
)
def test_rates_count_the_clients_that_a_trusted_proxy_names(
    tmp_path: Path, workspace: Path, galaxy: bytes, trusted: str, statuses: list[int]
) -> None:
    shutil.copytree(workspace, tmp_path / "workspace")
    settings = (f'serve.trusted_proxies=["{trusted}"]', "serve.requests_per_minute=2", "serve.threads=1")
    clients = ["192.0.2.9", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"]  # the first loads the model
    with live_server(tmp_path / "workspace", settings=settings) as server:
        answers = [send(server, request(galaxy, X_Forwarded_For=client), 0.0) for client in clients]
    assert [answer[0] for answer in answers] == statuses
