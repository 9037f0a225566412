"""Sending of responses: large ones in slices, with a limit on the bytes that wait for slow clients.

Takes ASGI messages and passes them on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Message, Send

SLICE_BYTES = 64 * 1024
"""Largest part of a response passed to the connection before the client has read the previous one."""

MAX_WAITING_BYTES = 128 * 1024 * 1024
"""Bytes of large responses that a process holds for clients at a time."""


class Responses:
    """The large responses of a process that are being sent.

    Parameters
    ----------
    max_bytes : int
        Most bytes of them.
    """

    def __init__(self, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0

    def has_room(self, count: int) -> bool:
        """Return whether a response of so many bytes may be held; one always may."""
        return not self.held_bytes or self.held_bytes + count <= self.max_bytes

    @contextmanager
    def held(self, count: int) -> Iterator[None]:
        """Count bytes as held until the block ends."""
        self.held_bytes += count
        try:
            yield
        finally:
            self.held_bytes -= count

    async def send(self, message: Message, send: Send) -> None:
        """Send a body in slices; each waits until the client has read most of the previous one."""
        body, more = message["body"], message.get("more_body", False)
        with self.held(len(body)):
            for start in range(0, len(body), SLICE_BYTES):
                last = start + SLICE_BYTES >= len(body)
                piece = body[start : start + SLICE_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": more or not last})
