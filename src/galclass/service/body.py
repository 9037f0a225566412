"""Read a request's body within limits: bytes, time, and the sum of all bodies being read.

Takes a request, gives its bytes; refuses before it keeps anything that is over a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.requests import ClientDisconnect

from galclass.service.errors import RequestError


class BodyReader:
    """Reads bodies for one process.

    Parameters
    ----------
    max_bytes : int
        Largest body.
    timeout_s : float
        Longest time from the first to the last byte of a body.
    max_held_bytes : int
        Largest sum of the bodies being read or scored at one time.
    """

    def __init__(self, max_bytes: int, timeout_s: float, max_held_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.max_held_bytes = max(max_held_bytes, max_bytes)
        self.held_bytes = 0

    @asynccontextmanager
    async def hold(self, request: Request, *, max_bytes: int | None = None) -> AsyncIterator[bytes]:
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
        held = _Held(self, min(max_bytes or self.max_bytes, self.max_bytes))
        self._check_headers(request, held.most)
        try:
            yield await self._read(request, held)
        finally:
            held.release()

    async def _read(self, request: Request, held: _Held) -> bytes:
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
                "unsupported_type", "encoded bodies are not taken", got=repr(encoding[:40]), field="Content-Encoding"
            )

    async def _collect(self, request: Request, held: _Held) -> bytes:
        chunks: list[bytes] = []
        async for chunk in request.stream():
            held.add(len(chunk))
            if held.size > held.most:
                raise self._too_large(held.most)
            if self.held_bytes > self.max_held_bytes:
                raise RequestError("overloaded", "too many large bodies at one time", advice="try again shortly")
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


class _Held:
    """The bytes that one request holds."""

    def __init__(self, reader: BodyReader, most: int) -> None:
        self.size = 0
        self.most = most
        self._reader = reader

    def add(self, count: int) -> None:
        self.size += count
        self._reader.held_bytes += count

    def release(self) -> None:
        self._reader.held_bytes -= self.size
        self.size = 0
