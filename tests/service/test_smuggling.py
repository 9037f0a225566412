"""Requests whose length or number two readers could see differently: the server refuses them or reads them as h11 does.

Each case is followed by a request that marks where the server thinks it is: its 404 comes only where the server has
read exactly what the case is meant to be.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import h11
import httptools
import pytest
from service.live import LiveServer, live_server

HOST = b"Host: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST
POST = b"POST /v1/services/galaxy-class/1.0/predict HTTP/1.1\r\n" + HOST + b"Content-Type: image/jpeg\r\n"
MARK = b"GET /v1/nothing HTTP/1.1\r\n" + HOST + b"\r\n"
HIDDEN = b"GET /readyz HTTP/1.1\r\n" + HOST + b"\r\n"

OK, NO_IMAGE, EMPTY, FOUND, NO = 200, 422, 400, 404, 400
READ, REFUSED, NOTHING = [NO_IMAGE, FOUND], [NO], []
"""What comes back: the case was read as one request with a body that is no image; was refused; was given up."""


def sized(value: bytes, body: bytes = b"hello") -> bytes:
    return POST + b"Content-Length:" + value + b"\r\n\r\n" + body


def coded(value: bytes, body: bytes = b"5\r\nhello\r\n0\r\n\r\n") -> bytes:
    return POST + b"Transfer-Encoding:" + value + b"\r\n\r\n" + body


def chunks(body: bytes) -> bytes:
    return coded(b" chunked", body)


def line(start: bytes) -> bytes:
    return start + b"\r\n" + HOST + b"\r\n"


def header(text: bytes) -> bytes:
    return GET + text + b"\r\n\r\n"


LENGTHS = {
    "plain": (sized(b" 5"), READ),
    "no space": (sized(b"5"), READ),
    "tab": (sized(b"\t5"), READ),
    "spaces around": (sized(b"  5  "), READ),
    "leading zero": (sized(b" 05"), READ),
    "many zeros": (sized(b" 0000000000000005"), READ),
    "plus": (sized(b" +5"), REFUSED),
    "minus": (sized(b" -5"), REFUSED),
    "minus zero": (sized(b" -0", b""), REFUSED),
    "hex": (sized(b" 0x5"), REFUSED),
    "float": (sized(b" 5.0"), REFUSED),
    "exponent": (sized(b" 5e0"), REFUSED),
    "list of equals": (sized(b" 5, 5"), REFUSED),
    "list": (sized(b" 5,6"), REFUSED),
    "parameter": (sized(b" 5;x"), REFUSED),
    "inner space": (sized(b" 0 5"), REFUSED),
    "underscore": (sized(b" 0_5"), REFUSED),
    "empty": (sized(b""), REFUSED),
    "wide digit": (sized(b" \xef\xbc\x95"), REFUSED),
    "vertical tab": (sized(b" 5\x0b"), REFUSED),
    "nul": (sized(b" 5\x00"), REFUSED),
    "over 64 bits": (sized(b" 18446744073709551621"), REFUSED),
    "too far": (sized(b" 99999999999999999999999999"), REFUSED),
    "twice": (sized(b" 5\r\nContent-Length: 5"), REFUSED),
    "two values": (sized(b" 5\r\nContent-Length: 6"), REFUSED),
    "two with one empty": (sized(b" 5\r\nContent-Length:"), REFUSED),
    "space before colon": (POST + b"Content-Length : 5\r\n\r\nhello", REFUSED),
    "tab before colon": (POST + b"Content-Length\t: 5\r\n\r\nhello", REFUSED),
    "nul before colon": (POST + b"Content-Length\x00: 5\r\n\r\nhello", REFUSED),
    "behind a space": (POST + b" Content-Length: 5\r\n\r\nhello", REFUSED),
    "other name": (POST + b"Content_Length: 5\r\n\r\n" + MARK[:0], [EMPTY, FOUND]),
    "request as body": (sized(b" %d" % len(HIDDEN), HIDDEN), READ),
    "get with a body": (GET + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, [OK, FOUND]),
    "head with a body": (GET.replace(b"GET", b"HEAD") + b"Content-Length: 2\r\n\r\nab", [OK, FOUND]),
    "longer than the rest": (sized(b" 5000"), NOTHING),
}

CODINGS = {
    "plain": (coded(b" chunked"), READ),
    "no space": (coded(b"chunked"), READ),
    "upper case": (coded(b" CHUNKED"), READ),
    "mixed case": (coded(b" cHuNkEd"), READ),
    "tab before": (coded(b"\tchunked"), READ),
    "tab behind": (coded(b" chunked\t"), REFUSED),
    "behind gzip": (coded(b" gzip, chunked"), REFUSED),
    "behind gzip, tight": (coded(b" gzip,chunked"), REFUSED),
    "twice in one": (coded(b" chunked, chunked"), REFUSED),
    "before identity": (coded(b" chunked, identity"), REFUSED),
    "before gzip": (coded(b" chunked, gzip"), REFUSED),
    "behind a comma": (coded(b" ,chunked"), REFUSED),
    "before a comma": (coded(b" chunked,"), REFUSED),
    "identity": (coded(b" identity"), REFUSED),
    "prefixed": (coded(b" xchunked"), REFUSED),
    "suffixed": (coded(b" chunkedx"), REFUSED),
    "quoted": (coded(b' "chunked"'), REFUSED),
    "parameter": (coded(b" chunked;q=1"), REFUSED),
    "vertical tab": (coded(b" \x0bchunked"), REFUSED),
    "nul": (coded(b" chunked\x00"), REFUSED),
    "empty": (coded(b""), REFUSED),
    "two headers": (coded(b" chunked\r\nTransfer-Encoding: chunked"), REFUSED),
    "two codings": (coded(b" gzip\r\nTransfer-Encoding: chunked"), REFUSED),
    "two codings, turned": (coded(b" chunked\r\nTransfer-Encoding: identity"), REFUSED),
    "with a length": (coded(b" chunked\r\nContent-Length: 15"), REFUSED),
    "behind a length": (sized(b" 15\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "with a length of zero": (coded(b" chunked\r\nContent-Length: 0"), REFUSED),
    "with a folded length": (coded(b" chunked\r\nContent-Length:\r\n 15"), REFUSED),
    "space before colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", REFUSED),
    "folded": (coded(b"\r\n chunked"), REFUSED),
    "bare newline before": (POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", REFUSED),
    "bare return before": (POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", REFUSED),
    "version 1.0": (coded(b" chunked").replace(b"HTTP/1.1", b"HTTP/1.0", 1), REFUSED),
    "of a get": (GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [OK, FOUND]),
}

CHUNKS = {
    "two": (chunks(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), READ),
    "leading zeros": (chunks(b"0005\r\nhello\r\n000\r\n\r\n"), READ),
    "upper and lower case": (chunks(b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), READ),
    "extension": (chunks(b"5;a=b\r\nhello\r\n0;c\r\n\r\n"), READ),
    "request as chunk": (chunks(b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n"), READ),
    "trailer": (chunks(b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"), READ),
    "trailer of a length": (chunks(b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n"), None),
    "trailer of a host": (chunks(b"5\r\nhello\r\n0\r\nHost: elsewhere\r\n\r\n"), READ),
    "trailer of a coding": (chunks(b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), None),
    "plus": (chunks(b"+5\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "minus": (chunks(b"-5\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "hex sign": (chunks(b"0x5\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "space before": (chunks(b" 5\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "underscore": (chunks(b"0_5\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "no hex": (chunks(b"g\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "no size": (chunks(b"\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "bare newlines": (chunks(b"5\nhello\n0\n\n"), REFUSED),
    "bare newline behind the size": (chunks(b"5\nhello\r\n0\r\n\r\n"), REFUSED),
    "bare newline behind the data": (chunks(b"5\r\nhello\n0\r\n\r\n"), REFUSED),
    "bare return": (chunks(b"5\rXhello\r\n0\r\n\r\n"), REFUSED),
    "newline in an extension": (chunks(b"5;a\nhello\r\n0\r\n\r\n"), REFUSED),
    "nul in an extension": (chunks(b"5;\x00\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "data too long": (chunks(b"4\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "data too short": (chunks(b"6\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "data without an end": (chunks(b"5\r\nhello0\r\n\r\n"), REFUSED),
    "over 64 bits": (chunks(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), REFUSED),
    "last chunk without an end": (chunks(b"5\r\nhello\r\n0\r\n"), None),  # what follows is taken for trailers
    "cut in the size": (chunks(b"5"), None),
}

LINES = {
    "plain": (line(b"GET /healthz HTTP/1.1"), [OK, FOUND]),
    "empty lines before": (b"\r\n\r\n" + line(b"GET /healthz HTTP/1.1"), [OK, FOUND]),
    "two spaces": (line(b"GET  /healthz HTTP/1.1"), [OK, FOUND]),
    "tab": (line(b"GET\t/healthz HTTP/1.1"), REFUSED),
    "space before": (line(b" GET /healthz HTTP/1.1"), REFUSED),
    "nul before": (line(b"\x00GET /healthz HTTP/1.1"), REFUSED),
    "space behind": (line(b"GET /healthz HTTP/1.1 "), REFUSED),
    "words behind": (line(b"GET /healthz HTTP/1.1 HTTP/1.1"), REFUSED),
    "space in the path": (line(b"GET /health z HTTP/1.1"), REFUSED),
    "nul in the path": (line(b"GET /health\x00z HTTP/1.1"), REFUSED),
    "no path": (line(b"GET HTTP/1.1"), REFUSED),
    "no version": (line(b"GET /healthz"), REFUSED),
    "lower case version": (line(b"GET /healthz http/1.1"), REFUSED),
    "version 0.9": (line(b"GET /healthz HTTP/0.9"), REFUSED),
    "version 1.2": (line(b"GET /healthz HTTP/1.2"), REFUSED),
    "version 1.10": (line(b"GET /healthz HTTP/1.10"), REFUSED),
    "version 01.1": (line(b"GET /healthz HTTP/01.1"), REFUSED),
    "version 2.0": (line(b"GET /healthz HTTP/2.0"), REFUSED),
    "version 2.0 in full": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", REFUSED),
    "version 3.0": (line(b"GET /healthz HTTP/3.0"), REFUSED),
    "other protocol": (line(b"GET /healthz RTSP/1.0"), [OK]),  # llhttp reads it as HTTP/1.0, and the connection ends
    "lower case method": (line(b"get /healthz HTTP/1.1"), REFUSED),
    "unknown method": (line(b"SMUGGLE /healthz HTTP/1.1"), REFUSED),
    "authority of a tunnel": (line(b"CONNECT localhost:80 HTTP/1.1"), REFUSED),
    "path of a tunnel": (line(b"CONNECT /healthz HTTP/1.1"), REFUSED),
    "whole address": (line(b"GET http://localhost/healthz HTTP/1.1"), [OK, FOUND]),
    "whole address in capitals": (line(b"GET http://LOCALHOST/healthz HTTP/1.1"), [OK, FOUND]),
    "whole address of another host": (line(b"GET http://evil.example/healthz HTTP/1.1"), REFUSED),
    "whole address of another port": (line(b"GET http://localhost:81/healthz HTTP/1.1"), REFUSED),
    "whole address with a user": (line(b"GET http://a@localhost/healthz HTTP/1.1"), REFUSED),
    "whole address without a host": (line(b"GET http:///healthz HTTP/1.1"), REFUSED),
    "whole address in 1.0": (b"GET http://localhost/healthz HTTP/1.0\r\n\r\n", [OK]),
    "whole address of another host in 1.0": (b"GET http://evil.example/healthz HTTP/1.0\r\n\r\n", [421]),
    "bare newline": (b"GET /healthz HTTP/1.1\n" + HOST + b"\r\n", REFUSED),
    "bare newlines": (b"GET /healthz HTTP/1.1\nHost: localhost\n\n", REFUSED),
}

HEADERS = {
    "plain": (header(b"X: y"), [OK, FOUND]),
    "empty value": (header(b"X:"), [OK, FOUND]),
    "folded by a space": (header(b"X: y\r\n z"), REFUSED),
    "folded by a tab": (header(b"X: y\r\n\tz"), REFUSED),
    "first one folded": (b"GET /healthz HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n", REFUSED),
    "no colon": (header(b"X"), REFUSED),
    "no name": (header(b": y"), REFUSED),
    "space before colon": (header(b"X : y"), REFUSED),
    "space in the name": (header(b"X Y: z"), REFUSED),
    "bracket in the name": (header(b"X(: z"), REFUSED),
    "nul in the value": (header(b"X: a\x00b"), REFUSED),
    "return in the value": (header(b"X: a\rb"), REFUSED),
    "newline in the value": (header(b"X: a\nb"), REFUSED),
    "newline and a request": (header(b"X: a\n\n" + HIDDEN), REFUSED),
    "two hosts": (header(b"Host: localhost"), REFUSED),
    "two hosts that differ": (header(b"Host: elsewhere"), REFUSED),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", REFUSED),
    "no host in 1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", [OK]),
    "empty host": (b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", REFUSED),
    "host with a user": (b"GET /healthz HTTP/1.1\r\nHost: a@localhost\r\n\r\n", REFUSED),
    "host with a path": (b"GET /healthz HTTP/1.1\r\nHost: localhost/a\r\n\r\n", REFUSED),
    "list of hosts": (b"GET /healthz HTTP/1.1\r\nHost: localhost, localhost\r\n\r\n", REFUSED),
    "host with a space": (b"GET /healthz HTTP/1.1\r\nHost: local host\r\n\r\n", REFUSED),
    "foreign host": (b"GET /healthz HTTP/1.1\r\nHost: elsewhere\r\n\r\n", [421, FOUND]),
    "host with a port": (b"GET /healthz HTTP/1.1\r\nHost: LOCALHOST:1\r\n\r\n", [OK, FOUND]),
}

LINES_OF_SEVERAL = {
    "two": (GET + b"\r\n" + GET + b"\r\n", [OK, OK, FOUND]),
    "body between": (GET + b"\r\n" + sized(b" 5") + GET + b"\r\n", [OK, NO_IMAGE, OK, FOUND]),
    "chunks between": (chunks(b"5\r\nhello\r\n0\r\n\r\n") * 2, [NO_IMAGE, NO_IMAGE, FOUND]),
    "empty lines between": (GET + b"\r\n\r\n\r\n" + GET + b"\r\n", [OK, OK, FOUND]),
    "fifty": ((GET + b"\r\n") * 50, [OK] * 50 + [FOUND]),
    "closed by the first": (GET + b"Connection: close\r\n\r\n" + HIDDEN, [OK]),
    "closed by version 1.0": (b"GET /healthz HTTP/1.0\r\n" + HOST + b"\r\n" + HIDDEN, [OK]),
    "garbage behind": (GET + b"\r\n" + b"garbage\r\n\r\n", [OK, NO]),
    "two behind garbage": (b"garbage\r\n\r\n" + HIDDEN + HIDDEN, REFUSED),
    "bad chunk behind": (GET + b"\r\n" + chunks(b"zz\r\n"), [OK, NO]),
    "bad chunk behind two": ((GET + b"\r\n") * 2 + chunks(b"zz\r\n") + HIDDEN, [OK, OK, NO]),
    "ambiguous behind": (GET + b"\r\n" + coded(b" gzip, chunked") + HIDDEN, [OK, NO]),
    "refused host, then a request": (b"GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n" + GET + b"\r\n", [421, OK, FOUND]),
    "no body where one was announced": (sized(b" 5", b""), None),  # the mark's first bytes are the body
}

SWITCH = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"

SWITCHES = {
    "get": (GET + SWITCH + b"\r\n", [OK, FOUND]),
    "sized body": (POST + SWITCH + b"Content-Length: 5\r\n\r\nhello", READ),
    "body in chunks": (POST + SWITCH + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", READ),
    "request as body": (POST + SWITCH + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, READ),
    "websocket": (GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", [OK, FOUND]),
    "twice": ((GET + SWITCH + b"\r\n") * 2, [OK, OK, FOUND]),
    "ambiguous": (POST + SWITCH + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", REFUSED),
    "without connection": (GET + b"Upgrade: h2c\r\n\r\n", [OK, FOUND]),
    "version 1.0": (b"GET /healthz HTTP/1.0\r\n" + HOST + SWITCH + b"\r\n", [OK]),
    "two hosts": (GET + HOST + SWITCH + b"\r\n", REFUSED),
}

GROUPS = {
    "length": LENGTHS,
    "coding": CODINGS,
    "chunks": CHUNKS,
    "line": LINES,
    "header": HEADERS,
    "several": LINES_OF_SEVERAL,
    "switch": SWITCHES,
}
BEYOND_H11 = {"line: empty lines before", "several: empty lines between", "line: two spaces", "line: other protocol"}
"""What is read although h11 refuses it: RFC 9112 allows the first three (2.2 and 3), and none has a second meaning."""

CASES = [
    pytest.param(data, expected, id=f"{group}: {name}")
    for group, cases in GROUPS.items()
    for name, (data, expected) in cases.items()
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, workspace: Path) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("smuggling") / "workspace"
    shutil.copytree(workspace, folder)
    with live_server(folder, settings=("serve.threads=1",)) as server:
        yield server


def answers(server: LiveServer, pieces: list[bytes]) -> list[int]:
    """Send pieces, then close this side, and give the statuses of what comes back until the server closes."""
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                received += data
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def read_by_h11(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return method and path of the requests that h11 sees before it finds a fault or an end."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    connection.receive_data(b"")
    found = []
    with contextlib.suppress(h11.ProtocolError):
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request = (event.method, event.target)
            elif event is h11.PAUSED or isinstance(event, h11.EndOfMessage):
                if isinstance(event, h11.EndOfMessage):
                    found.append(request)
                if connection.our_state is h11.SEND_RESPONSE:
                    connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                    connection.send(h11.EndOfMessage())
                if connection.their_state is h11.DONE and connection.our_state is h11.DONE:
                    connection.start_next_cycle()
                elif connection.their_state in (h11.MUST_CLOSE, h11.CLOSED):
                    break
            elif isinstance(event, h11.ConnectionClosed) or event is h11.NEED_DATA:
                break
    return found


class Seen:
    """What httptools, with its own defaults, sees."""

    def __init__(self) -> None:
        self.whole = 0

    def on_message_complete(self) -> None:
        self.whole += 1


def read_by_httptools(data: bytes) -> int:
    """Return how many whole requests httptools sees before it finds a fault or a wish to switch protocols."""
    seen = Seen()
    with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        httptools.HttpRequestParser(seen).feed_data(data)
    return seen.whole


@pytest.mark.parametrize(("data", "expected"), CASES)
def test_a_request_is_read_as_meant_or_refused(
    server: LiveServer, data: bytes, expected: list[int] | None, request: pytest.FixtureRequest
) -> None:
    sent = data + MARK
    whole = answers(server, [sent])
    if expected is not None:
        assert whole == expected
    served = [status for status in whole if status in (OK, NO_IMAGE, FOUND)]
    if request.node.callspec.id not in BEYOND_H11:
        assert len(served) <= len(read_by_h11(sent))  # never a request that a strict reader does not see
    assert REFUSED[0] not in whole[:-1] or whole.count(NO) == whole[:-1].count(EMPTY)  # nothing after a refusal
    middle = len(data) // 2
    assert answers(server, [sent[:middle], sent[middle : middle + 3], sent[middle + 3 :]]) == whole


def test_there_are_enough_cases_and_the_readers_see_what_is_meant() -> None:
    assert len(CASES) >= 150
    assert read_by_h11(GET + b"\r\n" + MARK) == [(b"GET", b"/healthz"), (b"GET", b"/v1/nothing")]
    for parameters in CASES:
        data, expected = parameters.values
        if expected == READ and not parameters.id.startswith("switch"):
            assert read_by_httptools(data + MARK) == 2, parameters.id
            assert len(read_by_h11(data + MARK)) == 2, parameters.id
