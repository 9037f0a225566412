"""Images by URL: nothing is fetched that the configuration does not name, and nothing from inside the network."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from galclass.errors import RequestError
from galclass.service.http.addresses import is_public
from galclass.service.http.fetching import UrlFetcher, resolve
from galclass.service.http.inputs import ImageInput

HOST = "cutouts.example.org"
PUBLIC = "93.184.215.14"


def fetcher_of(
    answer: Callable[[httpx2.Request], httpx2.Response], hosts: Sequence[str] = (HOST,), max_bytes: int = 100
) -> UrlFetcher:
    return UrlFetcher(hosts, max_bytes, httpx2.MockTransport(answer), resolver=lambda _: [PUBLIC])


def fetch(url: str, answer: httpx2.Response | Exception, hosts: tuple[str, ...] = (HOST,)) -> bytes:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    (image,) = asyncio.run(fetcher_of(handle, hosts).fill((ImageInput("1", b"", url=url),)))
    return image.data


@pytest.mark.parametrize(
    "url",
    [
        "http://cutouts.example.org/a.jpg",
        "file:///etc/passwd",
        "https://evil.example.org/a.jpg",
        "https://cutouts.example.org.evil.org/",
        "https://cutouts.example.org@evil.org/",
        "https://user:secret@cutouts.example.org/",
        "https://@cutouts.example.org/",
        "https://:@cutouts.example.org/",
        "https://cutouts.example.org:8443/",
        "https://cutouts.example.org:0443x/",
        "https://cutouts.example.org\\@evil.org/",
        "https://evil.org\\cutouts.example.org/",
        "https://cutouts.example.org\t/a",
        "https://cutouts.example.org/a\r\nHost: evil.org",
        "https://cutouts.example.org/a b",
        " https://cutouts.example.org/",
        "https://cutouts.example.org%00.evil.org/",
        "https://cutouts.example.org%2eevil.org/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[bad/",
        "https:///a",
        "//cutouts.example.org/a",
        "https://cutouts.example.org/" + "a" * 5000,
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(RequestError) as caught:
        fetch(url, httpx2.Response(200, content=b"image"))
    assert caught.value.code == "url_refused"


def test_without_a_list_every_url_is_refused() -> None:
    with pytest.raises(RequestError, match="fetches no URLs"):
        fetch(f"https://{HOST}/a.jpg", httpx2.Response(200, content=b"image"), hosts=())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0"])
def test_a_listed_name_that_points_inside_is_refused_however_it_is_spelt(host: str) -> None:
    fetcher = UrlFetcher((host,), 100)
    with pytest.raises(RequestError, match="not on the public network"):
        asyncio.run(fetcher.fill((ImageInput("1", b"", url=f"https://{host}/a.jpg"),)))


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254"),
        *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1"),
        *("192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255"),
        *("240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8"),
        *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:2::1"),
        *("2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "3fff::1", "5f00::1"),
        *("fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "4000::1"),
    ],
)
def test_what_is_no_host_on_the_internet_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    asked: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(200, content=b"image")

    transport = httpx2.MockTransport(handle)
    fetcher = UrlFetcher((HOST,), 100, transport, resolver=lambda _: [PUBLIC, address])  # one bad one is enough
    with pytest.raises(RequestError) as caught:
        asyncio.run(fetcher.fill((ImageInput("1", b"", url=f"https://{HOST}/a"),)))
    assert (caught.value.code, asked) == ("url_refused", [])


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "223.255.255.1"]
)
def test_hosts_on_the_internet_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["2600::1", "2a00:1450:4001:81b::200e", "2001:4860:4860::8888", "2606:4700::1111"])
def test_hosts_on_the_internet_of_ipv6_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx2.Response(302, headers={"Location": "https://127.0.0.1/"}), "url_failed"),
        (httpx2.Response(404), "url_failed"),
        (httpx2.ConnectError("no"), "url_failed"),
        (httpx2.Response(200, content=b"x" * 101), "too_large"),
        (httpx2.Response(200, headers={"Content-Encoding": "br"}, stream=httpx2.ByteStream(b"x")), "url_failed"),
    ],
)
def test_a_host_that_misbehaves_is_told_from_an_image(answer, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        fetch(f"https://{HOST}/a.jpg", answer)
    assert caught.value.code == code


@pytest.mark.parametrize("spelling", [HOST, HOST.upper(), f"{HOST}.", f"{HOST}:443"])
def test_an_allowed_image_is_fetched(spelling: str) -> None:
    assert fetch(f"https://{spelling}/a.jpg", httpx2.Response(200, content=b"image")) == b"image"


def test_a_name_of_another_script_is_its_ascii_form_and_nothing_like_it() -> None:
    for url in ("https://bücher.example/a", "https://xn--bcher-kva.example/a"):
        for hosts in (("bücher.example",), ("xn--bcher-kva.example",)):
            assert fetch(url, httpx2.Response(200, content=b"image"), hosts) == b"image"
    with pytest.raises(RequestError, match="not allowed"):
        fetch("https://cutоuts.example.org/a", httpx2.Response(200, content=b"image"))  # noqa: RUF001  # a Cyrillic o


def test_one_bad_address_fetches_none_of_the_others() -> None:
    asked: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(200, content=b"image")

    urls = [f"https://{HOST}/a.jpg", "https://evil.example.org/b.jpg"]
    with pytest.raises(RequestError, match="host is not allowed"):
        asyncio.run(fetcher_of(handle).fill(tuple(ImageInput("1", b"", url=url) for url in urls)))
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
        fetcher = fetcher_of(handle)  # type: ignore[arg-type]  # httpx2 takes both kinds of function
        names = ("a", "b", "bad")
        with pytest.raises(RequestError) as caught:
            await fetcher.fill(tuple(ImageInput(name, b"", url=f"https://{HOST}/{name}.jpg") for name in names))
        assert caught.value.code == "url_failed"
        assert sorted(ended) == ["/a.jpg", "/b.jpg"]

    asyncio.run(run())


def test_what_is_fetched_counts_together_and_as_held() -> None:
    held: list[int] = []
    fetcher = fetcher_of(lambda _: httpx2.Response(200, content=b"x" * 60), max_bytes=130)
    images = [ImageInput(str(n), b"", url=f"https://{HOST}/{n}.jpg") for n in range(3)]
    with_data = ImageInput("sent", b"sent")
    filled = asyncio.run(fetcher.fill((images[0], with_data, images[1]), held.append))
    assert [image.object_id for image in filled] == ["0", "sent", "1"]
    assert [len(image.data) for image in filled] == [60, 4, 60]
    assert sum(held) == 120
    with pytest.raises(RequestError, match="too large") as caught:
        asyncio.run(fetcher.fill(tuple(images)))
    assert caught.value.code == "too_large"


@dataclass
class Site:
    """A host with a certificate of its own on loopback, and what it was asked."""

    port: int = 0
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    asked: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for `HOST`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = tmp_path_factory.mktemp("tls") / "site.pem"
    file.write_bytes(text + made.public_bytes(serialization.Encoding.PEM))
    return file


async def visit(
    certificate: Path, answer: bytes, *, resolver: Callable[[str], Sequence[str]], slow: bool = False, **options: object
) -> tuple[bytes, Site]:
    """Fetch from a real TLS server on loopback that sends `answer`, for ever in small pieces if it is slow."""
    site = Site()
    site.trust.load_verify_locations(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: site.names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            site.asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            while slow:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    site.port = server.sockets[0].getsockname()[1]
    async with server:
        loopback_too = lambda address: True  # noqa: E731
        fetcher = UrlFetcher(
            (HOST,), 1000, resolver=resolver, public=loopback_too, tls=site.trust, port=site.port, **options
        )
        (image,) = await fetcher.fill((ImageInput("1", b"", url=f"https://{HOST}/a%20b.jpg?x=1&y=é"),))
    return image.data, site


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nimage"


def test_the_connection_goes_to_the_address_that_was_checked_under_the_name(certificate: Path, monkeypatch) -> None:
    resolved: list[str] = []

    def resolver(host: str) -> list[str]:
        resolved.append(host)
        return ["127.0.0.1"] if len(resolved) == 1 else ["127.0.0.2"]  # a name that changes as soon as it was checked

    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    real = socket.getaddrinfo
    looked_up: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: (looked_up.append(host), real(host, *a, **k))[1])
    data, site = asyncio.run(visit(certificate, ANSWER, resolver=resolver))
    assert data == b"image"
    assert resolved == [HOST]
    assert HOST not in looked_up
    assert site.names == [HOST]
    (request,) = site.asked
    assert request.startswith(b"GET /a%20b.jpg?x=1&y=%C3%A9 HTTP/1.1\r\n")
    assert f"host: {HOST}:{site.port}\r\n".encode() in request.lower()
    assert request.lower().count(b"\r\nhost:") == 1


def test_where_one_address_does_not_answer_the_next_is_tried(certificate: Path) -> None:
    data, _ = asyncio.run(visit(certificate, ANSWER, resolver=lambda _: ["127.0.0.9", "127.0.0.1"]))
    assert data == b"image"


def test_a_certificate_of_another_name_is_not_trusted(certificate: Path) -> None:
    with pytest.raises(RequestError) as caught:
        asyncio.run(untrusted(certificate))
    assert caught.value.code == "url_failed"


async def untrusted(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trust = ssl.create_default_context(cafile=str(certificate))
    async with server:
        fetcher = UrlFetcher(
            ("other.example.org",), 1000, resolver=lambda _: ["127.0.0.1"], public=lambda _: True, tls=trust, port=port
        )
        await fetcher.fill((ImageInput("1", b"", url="https://other.example.org/"),))


@pytest.mark.parametrize(
    ("answer", "slow", "code"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", False, "url_failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nimage", False, "url_failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000, False, "too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", True, "url_failed"),
        (b"HTTP/1.1 200 OK\r\nX: ", True, "url_failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf", False, "url_failed"),
        (b"no http at all\r\n\r\n", False, "url_failed"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, False, "url_failed"),
    ],
)
def test_what_a_hostile_host_answers_is_bounded(certificate: Path, answer: bytes, slow: bool, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        asyncio.run(visit(certificate, answer, resolver=lambda _: ["127.0.0.1"], slow=slow, timeout_s=0.5))
    assert caught.value.code == code


@pytest.mark.parametrize("found", [[], ["no address"], OSError("unknown")])
def test_a_name_without_an_address_is_unknown(found) -> None:
    def resolver(_: str) -> list[str]:
        if isinstance(found, OSError):
            raise found
        return found

    with pytest.raises(RequestError, match="unknown") as caught:
        asyncio.run(UrlFetcher((HOST,), 100, resolver=resolver).fill((ImageInput("1", b"", url=f"https://{HOST}/"),)))
    assert caught.value.code == "url_failed"


def test_the_system_is_asked_for_every_address() -> None:
    assert "127.0.0.1" in resolve("localhost")
