"""The connections of a server process: how many in all and from one address, and how each is closed.

Takes protocols and their transports; a connection over a limit gets its refusal in the state of its requests.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from asyncio import AbstractEventLoop, TimerHandle
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

CONNECTIONS = "connections"
"""Key under which the server process's state holds its `Connections`."""

REFUSAL = "refusal"
"""Key under which the state of a request holds code and message of its refusal."""

TARGET = "target"
"""Key under which the state of a request holds its target as it was sent: a path, or a whole URL."""

MAX_HEADER_BYTES = 32 * 1024
"""Request line and headers together; browsers and proxies stay far below."""

LINGER_S = 2.0
"""Time in which a client whose connection ends may continue sending, so that it can read the reason."""

_SOON_S = 0.05
"""Time to the next look whether a client that sends nothing more has read everything."""

SYSTEM_BYTES = 128 * 1024
"""What the system may hold of a response for one client (Linux takes twice as much); by itself it would take 4 MB."""

_FULL = "the server has too many connections; try again shortly"
_FULL_ADDRESS = "your address has too many connections; close one or try again shortly"


class Connections:
    """Counts the connections of a process.

    Up to the limit they are served, up to twice the limit refused with a response, beyond that closed.

    Parameters
    ----------
    most : int
        Connections in all.
    most_of_address : int
        Connections from one address, or from one IPv6 network of 64 bits; 0 sets no limit.
    """

    def __init__(self, most: int, most_of_address: int) -> None:
        self._most = most
        self._most_of_address = most_of_address
        self._networks: dict[Any, str] = {}
        self._counts: Counter[str] = Counter()

    def enter(self, protocol: Any) -> None:
        """Count the connection of uvicorn's protocol and have it refused if it is over a limit."""
        address = protocol.client[0] if protocol.client else ""
        app = protocol.app
        trusted = isinstance(app, ProxyHeadersMiddleware) and address in app.trusted_hosts  # it speaks for many
        network = "" if trusted else client_network(address)
        self._networks[protocol] = network
        self._counts[network] += 1
        of_address = self._counts[network] if network and self._most_of_address else 0
        if len(self._networks) > 2 * self._most or of_address > 2 * self._most_of_address:
            protocol.transport.abort()
        elif len(self._networks) > self._most or of_address > self._most_of_address:
            message = _FULL if len(self._networks) > self._most else _FULL_ADDRESS
            protocol.app_state = {**protocol.app_state, REFUSAL: ("overloaded", message)}

    def leave(self, protocol: Any) -> None:
        """Stop counting a connection."""
        network = self._networks.pop(protocol, None)
        if network is not None:
            self._counts[network] -= 1
            if not self._counts[network]:
                del self._counts[network]


def client_network(address: str) -> str:
    """Return the key of one client: an IPv4 address, or the 64 bits of an IPv6 network, whose rest it chooses.

    Parameters
    ----------
    address : str
        An address; other text stands for itself.
    """
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ip_network((parsed, 64), strict=False))
    return str(parsed)


class Clock:
    """Does something unless it is stopped in time.

    Parameters
    ----------
    loop : event loop
    seconds : float
        Time from `start` to `action`.
    action : callable
    """

    def __init__(self, loop: AbstractEventLoop, seconds: float, action: Callable[[], object]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._action = action
        self._timer: TimerHandle | None = None

    @property
    def runs(self) -> bool:
        """Return whether it was started and not stopped."""
        return self._timer is not None

    def start(self) -> None:
        """Start, or restart."""
        self.stop()
        self._timer = self._loop.call_later(self._seconds, self._action)

    def stop(self) -> None:
        """Stop; a clock that does not run stays as it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class PoliteTransport:
    """A transport that ends its side first when it closes, and the connection soon after.

    Closing a connection while the client still sends makes the client's system discard what it has not read yet, and a
    refusal would be lost.

    Parameters
    ----------
    transport : asyncio.Transport
    loop : event loop
    patience_s : float
        Longest time for the client to read the rest.

    Attributes
    ----------
    client_has_ended : bool
        Set once the client has closed its side: it sends nothing that would have to be waited for.
    """

    def __init__(self, transport: Any, loop: AbstractEventLoop, patience_s: float) -> None:
        self._transport = transport
        self._loop = loop
        self._patience_s = patience_s
        self._ending = False
        self.client_has_ended = False
        self._socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEM_BYTES)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is ending."""
        if not self._ending:
            self._transport.write(data)

    def abort(self) -> None:
        """Disconnect and discard what the client has not read, also in the kernel, which would keep sending it."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def is_closing(self) -> bool:
        """Return whether nothing more will be sent."""
        return self._ending or bool(self._transport.is_closing())

    def close(self) -> None:
        """Send the rest, then disconnect, after `LINGER_S` if the client may still send."""
        latest = self._loop.time() + self._patience_s
        if self.client_has_ended:
            self._end_writing()
            self._end(latest, _SOON_S)
        elif not self.is_closing():
            self._end_writing()
            self._loop.call_later(LINGER_S, self._end, latest, LINGER_S)

    def _end_writing(self) -> None:
        if not self.is_closing():
            self._ending = True
            self._transport.write_eof()

    def _end(self, latest: float, step_s: float) -> None:
        if self._transport.is_closing():
            return
        if not self._waits():
            self._transport.close()
        elif self._loop.time() < latest:
            self._loop.call_later(step_s, self._end, latest, step_s)
        else:
            self.abort()

    def _waits(self) -> bool:
        """Return whether the client has not read everything, here or in the kernel."""
        if self._transport.get_write_buffer_size():
            return True
        try:
            return any(fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4)))
        except OSError:
            return False
