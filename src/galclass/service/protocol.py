"""The HTTP protocol with limits uvicorn leaves open: bytes and seconds until a request's headers are complete."""

from __future__ import annotations

from asyncio.events import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 32 * 1024
"""Request line and headers together; browsers and proxies stay far below."""

HEADER_TIMEOUT_S = 10.0
"""Longest time from the first byte of a request to the end of its headers, and from connecting to that byte."""

MAX_DISCARDED_BYTES = 64 * 1024 * 1024
"""Body that is read and thrown away after a refusal, so that an honest client gets to read it."""

_BODY = b'{"error": {"code": "headers_too_large", "message": "the headers are too large", "field": null}}'
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: " + str(len(_BODY)).encode() + b"\r\n\r\n" + _BODY
)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol that hangs up on endless or dawdling headers."""

    def connection_made(self, transport: Any) -> None:
        """Start the clock of a new connection."""
        super().connection_made(transport)
        self._header_bytes = 0
        self._in_headers = True
        self._refused = False
        self._discarded_bytes = 0
        self._header_timer: TimerHandle | None = self.loop.call_later(HEADER_TIMEOUT_S, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what arrives while the headers are incomplete."""
        super().data_received(data)
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse()

    def _refuse(self) -> None:
        self._refused = True
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Start the clock of a next request on the same connection."""
        super().on_message_begin()
        self._in_headers = True
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._hang_up)

    def on_headers_complete(self) -> None:
        """Stop the clock; the body has its own limits."""
        self._in_headers = False
        self._header_bytes = 0
        self._stop_timer()
        if sum(len(name) + len(value) for name, value in self.headers) > MAX_HEADER_BYTES:
            self._refuse()
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of body, unless the request was refused; hang up on one that goes on long after its answer."""
        if self._refused:
            return
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > MAX_DISCARDED_BYTES:
                self._hang_up()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request, unless it was refused."""
        if not self._refused:
            super().on_message_complete()

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _hang_up(self) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.close()
