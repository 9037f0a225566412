"""The short way for the commonest request: POST predict with one small raw image.

Takes the pieces of parsed requests and gives the bytes of their answers, or None: then the app answers, as it does
for everything else. A task, a routed request and a response object cost several times what is done here. Requests
that arrive together are scored together. The checks, counts, records and refusals are the app's own functions.
"""

from __future__ import annotations

import logging
import math
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

from galclass.errors import GalclassError
from galclass.scoring import Prediction
from galclass.service.auth import READER
from galclass.service.errors import error_response, refusal_of
from galclass.service.headers import security_headers
from galclass.service.inputs import UNNAMED, ImageInput, Inputs
from galclass.service.outputs import JSON, cache_headers, json_bytes, raise_fault, raise_if_known, record_of
from galclass.service.published import PublishedService
from galclass.service.scoring import is_small
from galclass.service.state import ServiceState

log = logging.getLogger("galclass.service")

QUICK = "quick"
"""Key under which the server process's state holds its `QuickPredict`."""

MAX_QUICK_BYTES = 64 * 1024
"""Largest body that goes the short way; a 424 px JPEG has about 16 kB."""

TEMPLATE = "/v1/services/{name}/{version}/predict"

_RAW_TYPES = frozenset({b"image/jpeg", b"image/png", b"image/bmp", b"application/octet-stream"})
_JSON_ACCEPTED = frozenset({None, b"*/*", b"application/json"})
_FOR_THE_APP = frozenset({b"content-encoding", b"transfer-encoding", b"expect", b"upgrade"})


class QuickAnswer(NamedTuple):
    """Status, header lines (each with its line end) and body of a response."""

    status: int
    head: bytes
    body: bytes


@dataclass(slots=True)
class QuickRequest:
    """What counts of a request.

    Attributes
    ----------
    name, version : str
        The service asked for.
    authorization, if_none_match : str or None
        Headers.
    address : str
        Where it comes from.
    started : float
        When its headers were complete, in s of `perf_counter`.
    body : bytes
        Empty until `QuickPredict.submit`.
    """

    name: str
    version: str
    authorization: str | None
    if_none_match: str | None
    address: str
    started: float
    body: bytes = b""


Reply = Callable[[QuickAnswer | None], None]


class _Ready(NamedTuple):
    """A request that needs nothing but scoring."""

    request: QuickRequest
    reply: Reply
    image: ImageInput
    headers: dict[str, str]


class QuickPredict:
    """Answers predict requests outside the app.

    Parameters
    ----------
    state : ServiceState
    loop : event loop
        Where requests arrive and are answered.
    """

    def __init__(self, state: ServiceState, loop: AbstractEventLoop) -> None:
        self._state = state
        self._loop = loop
        self._waiting: deque[tuple[QuickRequest, Reply]] = deque()
        self._max_bytes = min(MAX_QUICK_BYTES, state.bodies.max_bytes)
        security = security_headers(TEMPLATE)
        self._security = _lines(security)
        self._common = _lines([(b"content-type", JSON.encode()), *security])

    def takes(self, url: bytes, headers: list[tuple[bytes, bytes]], address: str) -> QuickRequest | None:
        """Say whether a POST with these headers can go the short way, before its body is read.

        Parameters
        ----------
        url : bytes
            Path and query as sent.
        headers : list of (name, value)
            Names in lower case.
        address : str
            The client's, which a trusted proxy may have named.
        """
        parts = url.split(b"/")
        if len(parts) != 6 or parts[5] != b"predict" or parts[1] != b"v1" or parts[2] != b"services" or b"%" in url:
            return None
        fields = dict(headers)
        if len(fields) != len(headers) or not _FOR_THE_APP.isdisjoint(fields):
            return None
        if fields.get(b"content-type") not in _RAW_TYPES or fields.get(b"accept") not in _JSON_ACCEPTED:
            return None
        length = fields.get(b"content-length", b"")
        if not (length.isdigit() and len(length) < 10 and 0 < int(length) <= self._max_bytes):
            return None
        authorization, known = fields.get(b"authorization"), fields.get(b"if-none-match")
        return QuickRequest(
            parts[3].decode("latin-1"),
            parts[4].decode("latin-1"),
            None if authorization is None else authorization.decode("latin-1"),
            None if known is None else known.decode("latin-1"),
            address,
            perf_counter(),
        )

    def submit(self, request: QuickRequest, body: bytes, reply: Reply) -> None:
        """Answer soon: `reply` gets the answer, or None where the app has to give it."""
        request.body = body
        self._waiting.append((request, reply))
        if len(self._waiting) == 1:
            self._loop.call_soon(self._work)

    def turn_away(self, code: str, message: str, address: str) -> QuickAnswer:
        """Give the refusal of what does not become a request; the connection ends with it."""
        response = error_response(code, message)
        request_id = self._state.watch.next_id()
        self._state.watch.note(request_id, "any", "other", "", address, response.status_code, 0.0)
        last = b"connection: close\r\nx-request-id: %s\r\n" % request_id.encode()
        head = _lines(response.raw_headers) + self._security + last
        return QuickAnswer(response.status_code, head, bytes(response.body))

    def finish(self) -> None:
        """Answer everything that waits, now."""
        while self._waiting:
            self._answer_some()

    def _work(self) -> None:
        if self._waiting:
            self._answer_some()
        if self._waiting:  # after what the loop has to send and read
            self._loop.call_soon(self._work)

    def _answer_some(self) -> None:
        """Answer the first that waits and those that can be scored with it."""
        first = self._waiting[0][0]
        service, most = self._ask(first)
        count = _share(len(self._waiting), max(most, 1))
        ready: list[_Ready] = []
        while self._waiting and len(ready) < count:
            request, _ = self._waiting[0]
            if (request.name, request.version) != (first.name, first.version):
                break
            one = self._check(*self._waiting.popleft(), service if most else None)
            if one is not None:
                ready.append(one)
        if ready and service is not None:
            self._score(service, ready)

    def _ask(self, request: QuickRequest) -> tuple[PublishedService | None, int]:
        """Give the service and how many images may be scored at one time; 0 where database or threads are needed."""
        service = self._state.recent(request.name, request.version)
        return service, self._state.scoring.together(service) if service is not None else 0

    def _check(self, request: QuickRequest, reply: Reply, service: PublishedService | None) -> _Ready | None:
        """Do what comes before scoring; None where it is answered already, or is the app's."""
        state, authorization = self._state, request.authorization
        try:
            if service is None or not is_small(request.body):
                reply(None)
                return None
            if authorization is not None and state.authority.needs_lookup(authorization):
                reply(None)
                return None
            state.admit_actor(state.authority.identify(authorization, request.address), READER)
            image = ImageInput(UNNAMED, request.body)
            headers = cache_headers(service.model, Inputs((image,), many=False), JSON)
            raise_if_known(request.if_none_match, headers)
        except GalclassError as error:
            self._refuse(request, reply, error)
            return None
        except Exception:  # logged with its traceback; the app meets the request anew
            self._give_up(request, reply)
            return None
        return _Ready(request, reply, image, headers)

    def _score(self, service: PublishedService, ready: list[_Ready]) -> None:
        images = tuple([one.image for one in ready])
        try:
            predictions = self._state.scoring.score_now(service, images, None)
        except GalclassError as error:
            for one in ready:
                self._refuse(one.request, one.reply, error)
            return
        except Exception:  # logged with its traceback; the app meets the requests anew
            for one in ready:
                self._give_up(one.request, one.reply)
            return
        for one, prediction in zip(ready, predictions, strict=True):
            try:
                self._give(one, prediction)
            except GalclassError as error:
                self._refuse(one.request, one.reply, error)

    def _give(self, one: _Ready, prediction: Prediction) -> None:
        raise_fault(prediction)
        body = json_bytes(record_of(prediction))
        lines = "".join([f"{name}: {value}\r\n" for name, value in one.headers.items()])
        head = b"%scontent-length: %d\r\n%s" % (lines.encode(), len(body), self._common)
        self._end(one.request, one.reply, 200, head, body)

    def _give_up(self, request: QuickRequest, reply: Reply) -> None:
        """Let the app meet what nobody expected: it answers 500 in the one shape."""
        log.exception("the short way failed; the app answers", extra={"path": _path(request)})
        reply(None)

    def _refuse(self, request: QuickRequest, reply: Reply, error: GalclassError) -> None:
        response = refusal_of(error, _path(request))
        head = _lines(response.raw_headers) + self._security
        self._end(request, reply, response.status_code, head, bytes(response.body))

    def _end(self, request: QuickRequest, reply: Reply, status: int, head: bytes, body: bytes) -> None:
        watch = self._state.watch
        request_id = watch.next_id()
        reply(QuickAnswer(status, b"%sx-request-id: %s\r\n" % (head, request_id.encode()), body))
        seconds = perf_counter() - request.started
        watch.note(request_id, "POST", TEMPLATE, _path(request), request.address, status, seconds)


def _share(waiting: int, most: int) -> int:
    """Give how many to answer now, so that all get their turn in as few rounds of like size as possible.

    Of 9 that wait, 8 and then 1 with the 7 that come back meanwhile would make one in nine wait for two full rounds.
    """
    return math.ceil(waiting / math.ceil(waiting / most))


def _path(request: QuickRequest) -> str:
    return f"/v1/services/{request.name}/{request.version}/predict"


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%s: %s\r\n" % header for header in headers])
