"""Images by URL, only from hosts that the configuration lists: no request to anywhere else can be provoked.

Takes https URLs, gives bytes. Redirects are not followed, and a listed host that resolves to an address
inside the own network is refused, as a name can be pointed anywhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Collection
from dataclasses import replace
from urllib.parse import urlsplit

import httpx2

from galclass.service.errors import RequestError
from galclass.service.inputs import ImageInput

_TIMEOUT_S = 15.0
_AT_ONE_TIME = 4


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
    """

    def __init__(
        self, hosts: Collection[str], max_bytes: int, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._hosts = {host.lower() for host in hosts}
        self._max_bytes = max_bytes
        self._transport = transport
        self._slots = asyncio.Semaphore(_AT_ONE_TIME)

    async def fill(
        self, images: tuple[ImageInput, ...], count: Callable[[int], None] = lambda _: None
    ) -> tuple[ImageInput, ...]:
        """Fetch the images that are given by URL; the others stay as they are, and where one fails, none is fetched on.

        Parameters
        ----------
        images : tuple of ImageInput
        count : callable
            Gets the size of each piece as it arrives; may refuse it.

        Raises
        ------
        RequestError
            `url_refused`, `url_failed`, `too_large`; what `count` raises.
        """
        hosts = {place: self._check(image.url) for place, image in enumerate(images) if image.url is not None}
        if not hosts:
            return images
        taken = _Taken(self._max_bytes, count)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    place: group.create_task(self._filled(images[place], host, taken)) for place, host in hosts.items()
                }
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return tuple(tasks[place].result() if place in tasks else image for place, image in enumerate(images))

    async def _filled(self, image: ImageInput, host: str, taken: _Taken) -> ImageInput:
        async with self._slots:
            if self._transport is None:
                await _check_addresses(host)
            return replace(image, data=await self._fetch(image.url or "", taken))

    def _check(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise _refused("it is no URL") from error
        if parts.scheme != "https" or port not in (None, 443) or parts.username or parts.password:
            raise _refused("only plain https addresses are fetched")
        if not parts.hostname or parts.hostname.lower() not in self._hosts:
            raise _refused("its host is not allowed" if self._hosts else "this server fetches no URLs")
        return parts.hostname

    async def _fetch(self, url: str, taken: _Taken) -> bytes:
        client = httpx2.AsyncClient(
            timeout=_TIMEOUT_S, follow_redirects=False, transport=self._transport, trust_env=False
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S), client, client.stream("GET", url) as response:
                if response.status_code != 200:
                    raise RequestError("url_failed", "the host gave no image", got=response.status_code, field="url")
                return await _read(response, taken)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            raise RequestError("url_failed", "the host did not answer", field="url") from error


class _Taken:
    """What the images of one request have taken so far: together no more than a body may have."""

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


async def _read(response: httpx2.Response, taken: _Taken) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_bytes():
        taken.add(len(chunk))
        data += chunk
    return bytes(data)


async def _check_addresses(host: str) -> None:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RequestError("url_failed", "the host is unknown", field="url") from error
    addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
    if not addresses or not all(address.is_global for address in addresses):
        raise _refused("its host is not on the public network")


def _refused(why: str) -> RequestError:
    return RequestError("url_refused", f"the URL is refused: {why}", field="url")
