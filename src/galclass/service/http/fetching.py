"""Images by URL, only from hosts that the configuration lists: no request to anywhere else can be provoked.

Takes https URLs, returns bytes. A host is resolved once, all its addresses must be public, and the connection goes to
exactly such an address, with the name for TLS and Host. Redirects are not followed, and bodies are not decoded.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

import httpx2

from galclass.errors import RequestError
from galclass.service.http.addresses import is_public
from galclass.service.http.inputs import ImageInput
from galclass.service.http.json_shapes import MAX_URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str], Sequence[str]]

_TIMEOUT_S = 15.0
_AT_ONE_TIME = 4
_MAX_ADDRESSES = 3
"""Addresses of one host that are tried."""


@dataclass(frozen=True)
class _Target:
    """The parts of a checked URL."""

    host: str
    path: str


def resolve(host: str) -> list[str]:
    """Ask the system for the addresses of a host."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)]


class UrlFetcher:
    """Fetches images from allowed hosts.

    Parameters
    ----------
    hosts : collection of str
        Host names; empty: every URL is refused.
    max_bytes : int
        Largest sum of the images of one request.
    transport : httpx2.AsyncBaseTransport, optional
        Where requests go; the network by default.
    resolver : callable
        Returns the addresses of a host.
    public : callable
        Returns whether an address may be connected to.
    tls : ssl.SSLContext, optional
        Which certificates are trusted; those of the system by default.
    port : int
        The one port that is connected to.
    timeout_s : float
        Longest time from a name to the last byte of an image.
    """

    def __init__(
        self,
        hosts: Collection[str],
        max_bytes: int,
        transport: httpx2.AsyncBaseTransport | None = None,
        *,
        resolver: Resolver = resolve,
        public: Callable[[Address], bool] = is_public,
        tls: ssl.SSLContext | None = None,
        port: int = 443,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._hosts = {_canonical(host) for host in hosts}
        self._max_bytes = max_bytes
        self._transport = transport
        self._resolver = resolver
        self._public = public
        # Made once: reading the system's certificates takes tens of milliseconds.
        self._tls = tls or (httpx2.create_ssl_context(trust_env=False) if hosts else True)
        self._port = port
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(_AT_ONE_TIME)
        # Its own threads: names that take long to resolve must not keep other work out of the loop's.
        self._resolving = ThreadPoolExecutor(_AT_ONE_TIME, thread_name_prefix="resolve")

    async def fill(
        self, images: tuple[ImageInput, ...], count: Callable[[int], None] = lambda _: None
    ) -> tuple[ImageInput, ...]:
        """Fetch the images given by URL and keep the others; if one fails, the rest are not fetched.

        Parameters
        ----------
        images : tuple of ImageInput
        count : callable
            Called with the size of each piece as it arrives; may refuse it.

        Raises
        ------
        RequestError
            `url_refused`, `url_failed`, `too_large`; what `count` raises.
        """
        targets = {index: self._check(image.url) for index, image in enumerate(images) if image.url is not None}
        if not targets:
            return images
        taken = _Taken(self._max_bytes, count)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    index: group.create_task(self._filled(images[index], target, taken))
                    for index, target in targets.items()
                }
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return tuple(tasks[index].result() if index in tasks else image for index, image in enumerate(images))

    async def _filled(self, image: ImageInput, target: _Target, taken: _Taken) -> ImageInput:
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return replace(image, data=await self._fetch(target, taken))
            except TimeoutError as error:
                raise _failed("the host did not respond in time") from error

    def _check(self, url: str) -> _Target:
        """Check a URL as text, and extract what is sent: nothing else parses it again."""
        if len(url) > MAX_URL or not url.isprintable() or " " in url or "\\" in url:
            raise _refused("it is not a URL")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise _refused("it is not a URL") from error
        if parts.scheme != "https" or port not in (None, self._port) or "@" in parts.netloc:
            raise _refused("only plain https addresses are fetched")
        host = _canonical(parts.hostname or "")
        if not host or host not in self._hosts:
            raise _refused("its host is not allowed" if self._hosts else "this server fetches no URLs")
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        return _Target(host, path + (f"?{quote(parts.query, safe='/%:@!$&()*+,;=~?')}" if parts.query else ""))

    async def _fetch(self, target: _Target, taken: _Taken) -> bytes:
        addresses = await self._addresses(target.host)
        client = httpx2.AsyncClient(
            timeout=self._timeout_s,
            follow_redirects=False,
            transport=self._transport,
            trust_env=False,
            verify=self._tls,
        )
        async with client:
            for address in addresses[:_MAX_ADDRESSES]:
                try:
                    return await self._get(client, target, address, taken)
                except httpx2.ConnectError:
                    continue  # the next address
                except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                    raise _failed("the host did not respond") from error
        raise _failed("the host did not respond")

    async def _get(self, client: httpx2.AsyncClient, target: _Target, address: Address, taken: _Taken) -> bytes:
        shown = f"[{address}]" if address.version == 6 else str(address)
        name = target.host if self._port == 443 else f"{target.host}:{self._port}"
        headers = {"Host": name, "Accept-Encoding": "identity"}
        url, names = f"https://{shown}:{self._port}{target.path}", {"sni_hostname": target.host}
        async with client.stream("GET", url, headers=headers, extensions=names) as response:
            if response.status_code != 200:
                raise RequestError("url_failed", "the host returned no image", got=response.status_code, field="url")
            if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
                raise _failed("the host returned an encoded body, which was not requested")
            data = bytearray()
            async for piece in response.aiter_bytes():  # as it is: it has no encoding
                taken.add(len(piece))
                data += piece
            return bytes(data)

    async def _addresses(self, host: str) -> list[Address]:
        """Resolve a host, once; what is connected to is what was checked."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._resolving, self._resolver, host)
            addresses = [ipaddress.ip_address(text) for text in dict.fromkeys(found)]
        except (OSError, UnicodeError, ValueError) as error:
            raise _failed("the host is unknown") from error
        if not addresses:
            raise _failed("the host is unknown")
        if not all(self._public(address) for address in addresses):
            raise _refused("its host is not on the public network")
        return addresses


class _Taken:
    """Size of the images of one request so far: together at most that of a body."""

    def __init__(self, max_bytes: int, count: Callable[[int], None]) -> None:
        self._max_bytes = max_bytes
        self._count = count
        self._size = 0

    def add(self, size: int) -> None:
        self._size += size
        if self._size > self._max_bytes:
            expected = f"at most {self._max_bytes} bytes together"
            raise RequestError("too_large", "the images are too large", expected=expected, field="url")
        self._count(size)


def _canonical(host: str) -> str:
    """Return the canonical form of a host name: lower case, ASCII, without a final dot; empty if it is not one."""
    try:
        return host.rstrip(".").lower() if host.isascii() else host.encode("idna").decode("ascii").lower().rstrip(".")
    except UnicodeError:
        return ""


def _refused(why: str) -> RequestError:
    return RequestError("url_refused", f"the URL is refused: {why}", field="url")


def _failed(what: str) -> RequestError:
    return RequestError("url_failed", what, field="url")
