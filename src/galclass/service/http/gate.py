"""Before any route: ambiguous requests, those for another host and those from another site's page are refused.

Plain ASGI, since it handles every request. Takes a scope, passes it on or sends the refusal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from galclass.errors import RequestError, ServiceError
from galclass.service.http.connections import MAX_HEADER_BYTES, REFUSAL, TARGET
from galclass.service.http.errors import refusal_of

_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?", re.ASCII)
_NAME = re.compile(r"\*|(?:\*\.)?[A-Za-z0-9._~-]+|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?", re.ASCII)
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_OWN_SITE = frozenset({b"same-origin", b"none"})
_CHECKED = frozenset({b"host", b"origin", b"sec-fetch-site", b"transfer-encoding", b"content-length", b"authorization"})


class Hosts:
    """The names under which a server is reached.

    Parameters
    ----------
    bound : str
        Address that the server listens on.
    allowed : sequence of str
        `serve.allowed_hosts`: names or addresses, "*.example.org" for all below one, "*" for any. Empty: the loopback
        names and the address that a connection came to; any, where the server listens on all addresses.

    Raises
    ------
    ServiceError
        If one of them is no name or address, such as one with a scheme or a port.
    """

    def __init__(self, bound: str, allowed: Sequence[str]) -> None:
        for name in allowed:
            if not _NAME.fullmatch(name):
                raise ServiceError(
                    "it is not a host name",
                    where="serve.allowed_hosts",
                    expected='a name without scheme and port, such as "galaxies.example.org" or "*.example.org"',
                    got=repr(name[:100]),
                )
        self.named = frozenset(_plain(name) for name in allowed)
        self.any = "*" in self.named or (not self.named and bound.strip("[]") in _EVERYWHERE)
        self._suffixes = tuple(name[1:] for name in self.named if name.startswith("*."))
        self._bound = _plain(bound)

    def have(self, host: str, reached: str) -> bool:
        """Return whether the server serves a host name.

        Parameters
        ----------
        host : str
            In lower case, without port.
        reached : str
            Address that the connection came to.
        """
        if self.any:
            return True
        if self.named:
            return self.names(host)
        return host in (self._bound, reached) or _is_loopback(host)

    def names(self, host: str) -> bool:
        """Return whether a name is in the list, not just allowed by default."""
        return host in self.named or host.endswith(self._suffixes)


class Gate:
    """ASGI middleware.

    Parameters
    ----------
    app : ASGI application
    hosts : Hosts
    """

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self.app = app
        self.hosts = hosts
        self._known: dict[tuple[bytes, str], bool] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] == "http":
            error = self._refusal(scope)
            if error is not None:
                await refusal_of(error, scope["path"])(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> RequestError | None:
        refused = scope.get("state", {}).get(REFUSAL)
        if refused is not None:
            return _last(*refused)
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        found: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name in _CHECKED:
                if name in found:
                    return _last("bad_http", f"there are two {name.decode()} headers")
                found[name] = value
        if size > MAX_HEADER_BYTES:
            return _last("headers_too_large", "the headers are too large")
        target = scope.get("state", {}).get(TARGET, b"/")
        if target[:1] not in b"/*":  # a whole URL names a host, as the header does
            authority = _authority(target)
            if found.setdefault(b"host", authority).lower() != authority:
                return _last("bad_http", "the target and the host header name two hosts")
        return _framing(scope["http_version"], found) or self._host(scope, found) or self._origin(scope, found)

    def _host(self, scope: Scope, found: dict[bytes, bytes]) -> RequestError | None:
        host = found.get(b"host")
        if host is None:
            return None if scope["http_version"] == "1.0" else _last("bad_http", "there is no host header")
        reached = (scope.get("server") or ("",))[0] or ""
        known = self._known.get((host, reached))
        if known is None:
            if not _HOST.fullmatch(host):
                return _last("bad_http", "the host header is malformed")
            known = self.hosts.have(_host_of(host.decode()), _plain(reached))
            if len(self._known) < 1000:
                self._known[host, reached] = known
        if known:
            return None
        return RequestError(
            "unknown_host", "this server does not serve that host", field="Host", advice="see serve.allowed_hosts"
        )

    def _origin(self, scope: Scope, found: dict[bytes, bytes]) -> RequestError | None:
        """Refuse requests that another site's page sends for its visitor; a token shows that they are intended."""
        if scope["method"] not in _CHANGING or b"authorization" in found:
            return None
        origin, site = found.get(b"origin"), found.get(b"sec-fetch-site")
        if (site is None or site in _OWN_SITE) and (origin is None or self._is_own(origin, found.get(b"host", b""))):
            return None
        return RequestError(
            "cross_site",
            "a page of another site sent this request",
            field="Origin",
            advice="send a token, or name the site's host in serve.allowed_hosts",
        )

    def _is_own(self, origin: bytes, host: bytes) -> bool:
        """Return whether an origin is this server's: its Host header, or a listed name that a proxy has replaced."""
        scheme, _, authority = origin.decode("latin-1").lower().partition("://")
        here = host.decode("latin-1").lower()
        if scheme not in ("http", "https") or not authority:
            return False
        default = {"http": ":80", "https": ":443"}[scheme]
        if authority.removesuffix(default) == here.removesuffix(default):
            return True
        name = _host_of(authority)
        return name != _host_of(here) and self.hosts.names(name)


def _framing(version: str, found: dict[bytes, bytes]) -> RequestError | None:
    """Refuse requests whose length two parsers could read differently."""
    if version not in ("1.0", "1.1"):
        return _last("bad_http", "the version of HTTP is not 1.0 or 1.1")
    coding = found.get(b"transfer-encoding")
    if coding is None:
        return None
    if coding.strip().lower() != b"chunked" or b"content-length" in found or version == "1.0":
        return _last("bad_http", "the length of the body is ambiguous")
    return None


def _authority(target: bytes) -> bytes:
    """Return host and port of a target that is a whole URL, in lower case."""
    return target.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0].lower()


def _last(code: str, message: str) -> RequestError:
    """Return a refusal with which the connection ends."""
    return RequestError(code, message, headers={"Connection": "close"})


def _host_of(authority: str) -> str:
    try:
        return _plain(urlsplit(f"//{authority}").hostname or "")
    except ValueError:
        return ""


def _plain(name: str) -> str:
    return name.lower().strip("[]").removesuffix(".")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
