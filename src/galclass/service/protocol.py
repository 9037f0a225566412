"""The HTTP protocol: limits that uvicorn leaves open, and the short way for predict requests.

The limits are connections, and bytes and seconds until a request's headers are complete. A request that `QuickPredict`
takes is answered from here once its body is complete; if that takes long, or it cannot, the app gets it with what
has come.
"""

from __future__ import annotations

from asyncio.events import TimerHandle
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from galclass.service.quick import QUICK, QuickAnswer, QuickPredict, QuickRequest

MAX_HEADER_BYTES = 32 * 1024
"""Request line and headers together; browsers and proxies stay far below."""

HEADER_TIMEOUT_S = 10.0
"""Longest time from the first byte of a request to the end of its headers, and from connecting to that byte."""

MAX_DISCARDED_BYTES = 64 * 1024 * 1024
"""Body that is read and thrown away after a refusal, so that an honest client gets to read it."""

QUICK_WAIT_S = 0.25
"""Longest time for a body to complete on the short way; then the app reads on, with its limits."""

LINGER_S = 2.0
"""Time in which a client that was turned away may go on sending, so that it gets to read why."""


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol that hangs up on endless or dawdling headers and knows a short way."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._quick: QuickPredict | None = self.app_state.get(QUICK)
        self._proxies = self.app.trusted_hosts if isinstance(self.app, ProxyHeadersMiddleware) else None
        self._request: QuickRequest | None = None  # a request on the short way, from its headers to its answer
        self._pieces: list[bytes] = []
        self._submitted = False
        self._last = False
        self._address = "unknown"
        self._timer: TimerHandle | None = None
        self._idle_timer: TimerHandle | None = None
        self._idle_since = 0.0
        self._most, self.limit_concurrency = self.limit_concurrency, None  # uvicorn refuses connections that were first
        self._surplus = False
        self._unused_bytes = 0  # since the last whole headers or piece of body
        self._in_headers = True
        self._refused = False
        self._refusal: tuple[str, str] | None = None  # waits for the answers before it
        self._discarded_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Start the clock of a new connection; one too many is told so when it asks for something."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else "unknown"
        self._surplus = self._most is not None and len(self.connections) > self._most
        if self._most is not None and len(self.connections) > 2 * self._most:
            transport.close()
        self._timer = self.loop.call_later(HEADER_TIMEOUT_S, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_timer()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._request = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Let a request on the short way finish: answer it, then close, or give the app what has come of it."""
        if self._request is not None and self._submitted:
            self._last = True
            return
        if self._request is not None:
            self._hand_over()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Count what arrives besides bodies, and set the clock for what is still to come."""
        if self._refused:
            return
        self._unused_bytes += len(data)
        super().data_received(data)
        if self._refused:
            return
        if self._unused_bytes > MAX_HEADER_BYTES:  # headers, or what may stand between and after pieces of body
            self._turn_away("headers_too_large", "the headers are too large")
        elif self._in_headers:
            if self._timer is None:
                self._timer = self.loop.call_later(HEADER_TIMEOUT_S, self._hang_up)
        elif self._request is not None and not self._submitted and self._timer is None:
            self._timer = self.loop.call_later(QUICK_WAIT_S, self._hand_over)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        if not self._refused:
            self._turn_away("bad_http", msg)

    def _turn_away(self, code: str, message: str) -> None:
        """Refuse what does not become a request, after the answers to what came before it."""
        if self._submitted and self._quick is not None:
            self._quick.finish()
        self._refused = True
        self._stop_timer()
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._part(code, message)
        elif not cycle.more_body:
            self._refusal = code, message
        else:  # in the body of a request that the app has
            if not cycle.response_started and not self.pipeline:
                self._part(code, message)
            self._hang_up()

    def _part(self, code: str, message: str) -> None:
        """Send the last answer; hang up once the client has had time to read it."""
        if self._quick is not None and not self.transport.is_closing():
            self._send(self._quick.turn_away(code, message, self._address))
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_S, self._hang_up)

    def eof_received(self) -> bool:  # type: ignore[override]  # what asyncio asks for; uvicorn always closes
        """Stay for the answers of a client that has said all it has to say."""
        if self._submitted:
            self._last = True
            return True
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """Note that headers are coming."""
        if self._submitted and self._quick is not None:
            self._quick.finish()  # answers go out in the order of their requests
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_headers = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what follows a body in pieces is none, and nobody here asks for it."""
        if not self._in_headers:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Stop the clock, as the body has its own limits, and choose the way."""
        if self._refused:
            return
        self._in_headers = False
        self._unused_bytes = 0
        self._stop_timer()
        if len(self.url) + sum([len(name) + len(value) for name, value in self.headers]) > MAX_HEADER_BYTES:
            self._turn_away("headers_too_large", "the headers are too large")
            return
        if self._surplus:
            self._turn_away("overloaded", "the server has as many connections as it takes; try again shortly")
            return
        if self._quick is not None and self._is_free():
            self._request = self._quick.takes(self.url, self.headers, self._client())
        if self._request is None:
            self._begin_in_app()

    def _client(self) -> str:
        """Give the client's address: the connection's, or what a trusted proxy names, as the app is told too."""
        if self._proxies is None or self._address not in self._proxies:
            return self._address
        forwarded = b", ".join([value for name, value in self.headers if name == b"x-forwarded-for"])
        return self._proxies.get_trusted_client_address(forwarded.decode("latin-1"))[0] or self._address

    def _begin_in_app(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # makes the scope, which the short way does without
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _is_free(self) -> bool:
        """Say whether this is a POST, nothing is being answered here, and another request may be taken."""
        if not (self.cycle is None or self.cycle.response_complete) or self.flow.write_paused:
            return False
        parser = self.parser
        return parser.get_method() == b"POST" and parser.get_http_version() == "1.1" and parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Take a piece of body, unless the request was refused; hang up on one that goes on long after its answer."""
        if self._refused:
            return
        self._unused_bytes = 0
        if self._request is not None:
            self._pieces.append(body)
            return
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > MAX_DISCARDED_BYTES:
                self._hang_up()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request, unless it was refused."""
        if self._refused:
            return
        if self._request is None or self._quick is None:
            super().on_message_complete()
            return
        self._stop_timer()
        self._submitted = True
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._quick.submit(self._request, body, self._reply)

    def _reply(self, answer: QuickAnswer | None) -> None:
        """Send the answer of the short way, or let the app give one."""
        self._submitted = False
        if self._request is None or self.transport.is_closing():
            return
        if answer is None:
            self._hand_over()
            super().on_message_complete()
            if self._last:
                super().shutdown()
            return
        self._request, self._pieces = None, []
        self._send(answer)
        self.server_state.total_requests += 1
        self._wait_for_next()
        if self._last:
            self.transport.close()

    def _send(self, answer: QuickAnswer) -> None:
        lines = [b"%s: %s\r\n" % header for header in self.server_state.default_headers]
        self.transport.write(b"".join([STATUS_LINE[answer.status], *lines, answer.head, b"\r\n", answer.body]))

    def _hand_over(self) -> None:
        """Give the app a request that went the short way so far."""
        self._stop_timer()
        pieces, self._pieces, self._request = self._pieces, [], None
        self._begin_in_app()
        for piece in pieces:
            super().on_body(piece)

    def on_response_complete(self) -> None:
        """Wait for the next request, or send what had to wait for this answer."""
        self._wait_for_next()
        super().on_response_complete()
        if self._refusal is not None and self.cycle.response_complete:
            self._part(*self._refusal)
            self._refusal = None

    def _wait_for_next(self) -> None:
        """Hang up on a connection that stays idle; its one timer is not set anew for each request."""
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_if_idle)

    def _look_if_idle(self) -> None:
        self._idle_timer = None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        busy = self._request is not None or not (self.cycle is None or self.cycle.response_complete)
        if left > 0 or busy or self._in_headers:
            self._idle_timer = self.loop.call_later(max(left, 1.0), self._look_if_idle)
        else:
            self._hang_up()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hang_up(self) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.close()
