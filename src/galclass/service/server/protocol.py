"""The HTTP protocol: the parts of a connection that neither uvicorn's options nor an ASGI app can reach.

Timers for headers, for bodies nobody waits for and for clients that do not read; how many bytes may arrive besides
bodies; requests to switch protocols, which are ignored. The app (`Gate`) responds to what is refused here, in order.
"""

from __future__ import annotations

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from galclass.service.http.connections import (
    CONNECTIONS,
    MAX_HEADER_BYTES,
    REFUSAL,
    TARGET,
    Clock,
    Connections,
    PoliteTransport,
)

HEADER_TIMEOUT_S = 10.0
"""Longest time from the first byte of a request to the end of its headers, from connecting to that byte, and for the
rest of a body after its response."""

WRITE_TIMEOUT_S = 20.0
"""Longest time in which a client may read nothing of a response."""

ASK_S = 1.0
"""Time after which, and then how often, a client that has said all it has to say is asked whether it still listens."""

MAX_DISCARDED_BYTES = 64 * 1024 * 1024
"""Body that is read and thrown away after a refusal, so that an honest client gets to read it."""

_NO_HTTP = ("bad_http", "Invalid HTTP request received.")
_LARGE_HEADERS = ("headers_too_large", "the headers are too large")


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol with a limit on everything that a client may drag out."""

    _between_bytes = 0  # since the last whole headers or piece of body
    _discarded_bytes = 0
    _awaits_headers = True
    _refused = _switches = False

    def connection_made(self, transport: Any) -> None:
        """Start the timer; an excess connection gets its refusal when it sends a request."""
        super().connection_made(transport)
        self.transport: Any = PoliteTransport(transport, self.loop, WRITE_TIMEOUT_S)
        self._stalled = Clock(self.loop, WRITE_TIMEOUT_S, self.transport.abort)
        self._clock = Clock(self.loop, HEADER_TIMEOUT_S, self.transport.close)
        self._clock.start()
        self._asking = Clock(self.loop, ASK_S, self._ask)
        self._crowd: Connections | None = self.app_state.get(CONNECTIONS)
        if self._crowd is not None:
            self._crowd.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._clock.stop()
        self._stalled.stop()
        self._asking.stop()
        if self._crowd is not None:
            self._crowd.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count bytes that arrive besides bodies, and set the timer for those still to come."""
        if self._refused or self.transport.is_closing():
            return
        self._between_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as wish:
            self._stay(data[wish.args[0] :])
        except httptools.HttpParserError:
            self._refuse(_NO_HTTP)
        if self._between_bytes > MAX_HEADER_BYTES:  # headers, or what may be between and after pieces of body
            self._refuse(_LARGE_HEADERS)
        elif not self._clock.runs and (self.cycle is None or self.cycle.response_complete):
            self._clock.start()

    def _stay(self, rest: bytes) -> None:
        """Reread a request without its protocol upgrade, which a server may ignore (RFC 9110, 7.8)."""
        first = (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = b"".join([b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"])
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        if first[0] == b"CONNECT":
            self._refuse(_NO_HTTP)
        self.data_received(b"%s %s HTTP/%s\r\n%s\r\n%s" % (*first, lines, rest))

    def _refuse(self, refusal: tuple[str, str]) -> None:
        """Let the app refuse bytes that are not a request, after the responses to those before it."""
        if self._refused:
            return
        self._refused, cycle = True, self.cycle
        if cycle is not None and cycle.more_body and not cycle.response_complete:  # it was in the body of a request
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
            elif cycle.response_started:
                self.transport.abort()
                return
            else:
                cycle.disconnected, self.cycle = True, None  # type: ignore[assignment]  # as before the first request
                cycle.message_event.set()
        super().on_message_begin()
        self.url, self.scope["state"][REFUSAL] = b"/", refusal
        super().on_headers_complete()
        self.cycle.keep_alive = self.cycle.more_body = False

    def eof_received(self) -> bool:  # type: ignore[override]  # what asyncio asks for; uvicorn always closes
        """Stay open for the responses to a client that has closed its side."""
        self.transport.client_has_ended = True
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            self.transport.close()
        else:
            self.cycle.keep_alive = False
            self._asking.start()
        return True

    def _ask(self) -> None:
        """Send an interim response, which clients skip: if the client has left, its system resets the connection."""
        if not (self.cycle.response_started or self.pipeline or self.transport.is_closing()):
            if self.scope["http_version"] == "1.1":
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._asking.start()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers after a chunked body are not headers, and are not used here."""
        if self._awaits_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the timer, as the body has its own limits, and pass the request to the app."""
        self._between_bytes = 0
        self._switches = self.parser.should_upgrade()
        if not self._switches:
            self._awaits_headers = False
            self._clock.stop()
            self.scope["state"][TARGET] = self.url
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of body; disconnect if it continues long after its response."""
        self._between_bytes = 0
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > MAX_DISCARDED_BYTES:
                self.transport.abort()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the headers of the next request."""
        if not self._switches:
            super().on_message_complete()
            self._awaits_headers = True

    def pause_writing(self) -> None:
        """Start the timer for a client that does not read."""
        super().pause_writing()
        self._stalled.start()

    def resume_writing(self) -> None:
        """Stop the timer for a client that reads."""
        super().resume_writing()
        self._stalled.stop()
