"""Images by URL: nothing is fetched that the configuration does not name."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from galclass.service.errors import RequestError
from galclass.service.fetching import UrlFetcher
from galclass.service.inputs import ImageInput

HOST = "cutouts.example.org"


def fetch(
    url: str, answer: httpx2.Response | Exception, hosts: tuple[str, ...] = (HOST,), max_bytes: int = 100
) -> bytes:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run() -> bytes:
        fetcher = UrlFetcher(hosts, max_bytes, httpx2.MockTransport(handle))
        (image,) = await fetcher.fill((ImageInput("1", b"", url=url),))
        return image.data

    return asyncio.run(run())


@pytest.mark.parametrize(
    "url",
    [
        "http://cutouts.example.org/a.jpg",
        "file:///etc/passwd",
        "https://evil.example.org/a.jpg",
        "https://cutouts.example.org.evil.org/",
        "https://cutouts.example.org@evil.org/",
        "https://user:secret@cutouts.example.org/",
        "https://cutouts.example.org:8443/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[bad/",
        "https:///a",
        "//cutouts.example.org/a",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(RequestError) as caught:
        fetch(url, httpx2.Response(200, content=b"image"))
    assert caught.value.code == "url_refused"


def test_without_a_list_every_url_is_refused() -> None:
    with pytest.raises(RequestError, match="fetches no URLs"):
        fetch(f"https://{HOST}/a.jpg", httpx2.Response(200, content=b"image"), hosts=())


def test_a_listed_name_that_points_inside_is_refused() -> None:
    fetcher = UrlFetcher(("localhost",), 100)
    with pytest.raises(RequestError, match="not on the public network"):
        asyncio.run(fetcher.fill((ImageInput("1", b"", url="https://localhost/a.jpg"),)))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx2.Response(302, headers={"Location": "https://127.0.0.1/"}), "url_failed"),
        (httpx2.Response(404), "url_failed"),
        (httpx2.ConnectError("no"), "url_failed"),
        (httpx2.Response(200, content=b"x" * 101), "too_large"),
    ],
)
def test_a_host_that_misbehaves_is_told_from_an_image(answer, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        fetch(f"https://{HOST}/a.jpg", answer)
    assert caught.value.code == code


def test_an_allowed_image_is_fetched() -> None:
    assert fetch(f"https://{HOST.upper()}/a.jpg", httpx2.Response(200, content=b"image")) == b"image"


def test_one_bad_address_fetches_none_of_the_others() -> None:
    asked: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(200, content=b"image")

    fetcher = UrlFetcher((HOST,), 100, httpx2.MockTransport(handle))
    urls = [f"https://{HOST}/a.jpg", "https://evil.example.org/b.jpg"]
    with pytest.raises(RequestError, match="host is not allowed"):
        asyncio.run(fetcher.fill(tuple(ImageInput("1", b"", url=url) for url in urls)))
    assert asked == []


def test_one_failure_ends_the_fetching_of_the_others() -> None:
    ended: list[str] = []

    async def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/bad.jpg":
            return httpx2.Response(404)
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            ended.append(request.url.path)
            raise
        return httpx2.Response(200, content=b"image")

    async def run() -> None:
        fetcher = UrlFetcher((HOST,), 100, httpx2.MockTransport(handle))
        names = ("a", "b", "bad")
        with pytest.raises(RequestError) as caught:
            await fetcher.fill(tuple(ImageInput(name, b"", url=f"https://{HOST}/{name}.jpg") for name in names))
        assert caught.value.code == "url_failed"
        assert sorted(ended) == ["/a.jpg", "/b.jpg"]

    asyncio.run(run())


def test_what_is_fetched_counts_together_and_as_held() -> None:
    def handle(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=b"x" * 60)

    held: list[int] = []
    fetcher = UrlFetcher((HOST,), 130, httpx2.MockTransport(handle))
    images = [ImageInput(str(n), b"", url=f"https://{HOST}/{n}.jpg") for n in range(3)]
    with_data = ImageInput("sent", b"sent")
    filled = asyncio.run(fetcher.fill((images[0], with_data, images[1]), held.append))
    assert [image.object_id for image in filled] == ["0", "sent", "1"]
    assert [len(image.data) for image in filled] == [60, 4, 60]
    assert sum(held) == 120
    with pytest.raises(RequestError, match="too large") as caught:
        asyncio.run(fetcher.fill(tuple(images)))
    assert caught.value.code == "too_large"
