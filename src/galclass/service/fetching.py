"""Images by URL, only from hosts that the configuration lists: no request to anywhere else can be provoked.

Takes https URLs, gives bytes. Redirects are not followed, and a listed host that resolves to an address
inside the own network is refused, as a name can be pointed anywhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection
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
        Largest image.
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

    async def fill(self, images: tuple[ImageInput, ...]) -> tuple[ImageInput, ...]:
        """Fetch the images that are given by URL; the others stay as they are.

        Raises
        ------
        RequestError
            `url_refused`, `url_failed`, `too_large`.
        """
        if all(image.url is None for image in images):
            return images
        return tuple(await asyncio.gather(*(self._filled(image) for image in images)))

    async def _filled(self, image: ImageInput) -> ImageInput:
        if image.url is None:
            return image
        host = self._check(image.url)
        async with self._slots:
            if self._transport is None:
                await _check_addresses(host)
            return replace(image, data=await self._fetch(image.url))

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

    async def _fetch(self, url: str) -> bytes:
        client = httpx2.AsyncClient(
            timeout=_TIMEOUT_S, follow_redirects=False, transport=self._transport, trust_env=False
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S), client, client.stream("GET", url) as response:
                if response.status_code != 200:
                    raise RequestError("url_failed", "the host gave no image", got=response.status_code, field="url")
                return await self._read(response)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            raise RequestError("url_failed", "the host did not answer", field="url") from error

    async def _read(self, response: httpx2.Response) -> bytes:
        data = bytearray()
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > self._max_bytes:
                raise RequestError(
                    "too_large", "the image is too large", expected=f"at most {self._max_bytes} bytes", field="url"
                )
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
