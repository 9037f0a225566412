"""Read a request's body within limits: bytes, time, and the sum of all bodies being read.

Takes a request, returns its bytes; refuses a body over a limit before storing it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from galclass.errors import RequestError

Result = TypeVar("Result")


class BodyReader:
    """Reads bodies for one process.

    Parameters
    ----------
    max_bytes : int
        Largest body.
    timeout_s : float
        Longest time from the first to the last byte of a body.
    max_held_bytes : int
        Largest sum of the bodies being read or scored at a time, including what they unpack to or fetch.
    """

    def __init__(self, max_bytes: int, timeout_s: float, max_held_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.max_held_bytes = max(max_held_bytes, max_bytes)
        self.held_bytes = 0
        self._lock = threading.Lock()

    def change_held(self, count: int) -> None:
        """Count bytes as held, or as released if `count` is negative."""
        with self._lock:
            self.held_bytes += count

    @asynccontextmanager
    async def hold(self, request: Request, *, max_bytes: int | None = None) -> AsyncIterator[HeldBody]:
        """Read the whole body and count it as held until the block ends.

        Parameters
        ----------
        request : Request
        max_bytes : int, optional
            A limit below that of all bodies.

        Raises
        ------
        RequestError
            `body_too_large`, `slow_body`, `incomplete_body`, `unsupported_type` (an encoded body), `overloaded`.
        """
        held = HeldBody(self, min(max_bytes or self.max_bytes, self.max_bytes))
        self._check_headers(request, held.most)
        try:
            held.data = await self._read(request, held)
            yield held
        finally:
            held.release()

    async def _read(self, request: Request, held: HeldBody) -> bytes:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._collect(request, held)
        except TimeoutError as error:
            raise RequestError(
                "slow_body", "the body took too long to arrive", expected=f"at most {self.timeout_s:g} s", field="body"
            ) from error
        except ClientDisconnect as error:
            raise RequestError("incomplete_body", "the body ended early", field="body") from error

    def _check_headers(self, request: Request, most: int) -> None:
        declared = request.headers.get("content-length")
        if declared is not None and declared.isdecimal() and int(declared) > most:
            raise self._too_large(most)
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise RequestError(
                "unsupported_type", "encoded bodies are not accepted", got=repr(encoding[:40]), field="Content-Encoding"
            )

    async def _collect(self, request: Request, held: HeldBody) -> bytes:
        chunks: list[bytes] = []
        async for chunk in request.stream():
            if held.size + len(chunk) > held.most:
                raise self._too_large(held.most)
            held.add(len(chunk))
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _too_large(self, most: int) -> RequestError:
        return RequestError(
            "body_too_large",
            "the body is too large",
            expected=f"at most {most} bytes",
            advice="send fewer images in one request, or a batch" if most == self.max_bytes else None,
            field="body",
        )


def media_type_of(request: Request) -> str:
    """Return the media type of a body, in lower case and without parameters; empty where none is said."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Await work for a request whose body is read, and cancel it when the client leaves.

    Raises
    ------
    RequestError
        `client_left`.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.receive())  # the next message after the body reports that it has left
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise RequestError("client_left", "the client has left before its response")
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


class HeldBody:
    """The body of one request, and the bytes that are held for it.

    Attributes
    ----------
    data : bytes
        The whole body.
    size : int
        Bytes held: the body, and those added since.
    most : int
        Largest body.
    """

    def __init__(self, reader: BodyReader, most: int) -> None:
        self.data = b""
        self.size = 0
        self.most = most
        self._reader = reader

    def add(self, count: int) -> None:
        """Count bytes to be read, unpacked or fetched for this request, in advance; from any thread.

        Raises
        ------
        RequestError
            `overloaded`, if all requests together hold too much.
        """
        self.size += count
        self._reader.change_held(count)
        if self._reader.held_bytes > self._reader.max_held_bytes:
            raise RequestError("overloaded", "too many large bodies at one time", advice="try again shortly")

    def release(self) -> None:
        """Release the held bytes."""
        self._reader.change_held(-self.size)
        self.size = 0
