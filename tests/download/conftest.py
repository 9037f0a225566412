"""Real servers on this machine: one that misbehaves on order, one that draws cutouts."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from galclass.config import Config, load_config
from galclass.download import SourceFile
from galclass.download.fetch import FetchSettings


@dataclass
class Behaviour:
    """How the server treats one path."""

    body: bytes = b""
    ranges: bool = True
    e_tag: str | None = None
    cut_after: list[int] = field(default_factory=list)  # bytes sent before the connection is cut, one entry a request
    statuses: list[int] = field(default_factory=list)  # statuses answered first, one a request
    declared_bytes: int | None = None  # Content-Length that lies
    hold_after: int | None = None  # bytes after which it waits for `go_on`
    go_on: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)  # it waits
    silent: bool = False  # waits before it sends anything
    retry_after_s: int | None = None


class Server:
    """An HTTP server whose paths behave as told; it remembers what it was asked."""

    def __init__(self) -> None:
        self.paths: dict[str, Behaviour] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.draw = None
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                owner.requests.append((self.path, self.headers.get("Range")))
                if owner.draw is not None:
                    owner.draw(self)
                else:
                    owner.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        behaviour = self.paths.get(urlsplit(handler.path).path)
        if behaviour is None:
            send(handler, 404, b"not here")
            return
        if behaviour.statuses:
            headers = {"Retry-After": str(behaviour.retry_after_s)} if behaviour.retry_after_s is not None else {}
            send(handler, behaviour.statuses.pop(0), b"no", headers)
            return
        self._send_file(handler, behaviour)

    def _send_file(self, handler: BaseHTTPRequestHandler, behaviour: Behaviour) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
        begin = int(wanted.group(1)) if wanted and behaviour.ranges else 0
        if wanted and behaviour.ranges and handler.headers.get("If-Match") not in (None, behaviour.e_tag):
            send(handler, 412, b"another version")
            return
        if behaviour.silent:
            behaviour.held.set()
            behaviour.go_on.wait(120)
        data = behaviour.body[begin:]
        handler.send_response(206 if wanted and behaviour.ranges else 200)
        if wanted and behaviour.ranges:
            total = len(behaviour.body)
            handler.send_header("Content-Range", f"bytes {begin}-{total - 1}/{total}")
        if behaviour.e_tag:
            handler.send_header("ETag", behaviour.e_tag)
        declared = behaviour.declared_bytes
        handler.send_header("Content-Length", str(len(data) if declared is None else declared))
        handler.end_headers()
        cut = behaviour.cut_after.pop(0) if behaviour.cut_after else None
        try:
            for start in range(0, len(data[:cut]), 65536):
                if behaviour.hold_after is not None and start >= behaviour.hold_after:
                    behaviour.held.set()
                    behaviour.go_on.wait(120)
                handler.wfile.write(data[:cut][start : start + 65536])
                handler.wfile.flush()
        except ConnectionError:
            pass
        if cut is not None or declared is not None:
            handler.close_connection = True


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def behaviour() -> type[Behaviour]:
    return Behaviour


@pytest.fixture
def body() -> bytes:
    """Three megabytes that no other three megabytes look like."""
    return np.random.default_rng(1).bytes(3_000_000)


@pytest.fixture
def quick() -> FetchSettings:
    """Patience for tests."""
    return FetchSettings(retries=2, backoff_s=0.01, read_timeout_s=5.0)


@pytest.fixture
def file_of(server: Server, body: bytes):
    """Return the manifest's record of a path of the server, with the right checksum unless told otherwise."""

    def record(path: str = "/data.zip", **facts: object) -> SourceFile:
        known = {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
        return SourceFile(role="images", url=server.url + path, **{**known, **facts})  # type: ignore[arg-type]

    return record


@pytest.fixture
def config(tmp_path: Path) -> Config:
    overrides = {"workspace": str(tmp_path / "workspace"), "download.retries": 1, "download.read_timeout_s": 5.0}
    return load_config(None, overrides)


@pytest.fixture
def sky_service(server: Server) -> Server:
    """Draw square images as the three cutout services document it; record what was asked."""

    def draw(handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        needed = {
            "/sdss": {"ra", "dec", "scale", "width", "height"},
            "/legacy": {"ra", "dec", "layer", "pixscale", "size"},
            "/hips2fits": {"hips", "ra", "dec", "fov", "width", "height", "projection", "coordsys", "format"},
        }[parts.path]
        if needed - set(query):
            send(handler, 400, f"missing {sorted(needed - set(query))}".encode())
            return
        if float(query["dec"]) < -80:
            send(handler, 200, b"<html>outside the footprint</html>", {"Content-Type": "text/html"})
            return
        side = int(query.get("width") or query["size"])
        seed = int(float(query["ra"]) * 1000)
        colours = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        if float(query["dec"]) > 80:
            colours[:] = 0
        buffer = io.BytesIO()
        Image.fromarray(colours).resize((side, side)).save(buffer, "JPEG")
        # The real services answer in chunks, without a length.
        data = buffer.getvalue()
        handler.send_response(200)
        handler.send_header("Content-Type", "image/jpeg")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))

    server.draw = draw  # type: ignore[assignment]
    return server
