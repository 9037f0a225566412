"""Who may do what: bearer tokens with the roles reader < publisher < admin.

Takes a request, gives its actor; tokens are looked up by their hash and never logged.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from galclass.service.errors import RequestError

READER, PUBLISHER, ADMIN = "reader", "publisher", "admin"
ROLES = (READER, PUBLISHER, ADMIN)
"""Roles in rising order; each may do what those before it may."""

_TTL_S = 0.5
"""A revoked token is refused after this long."""

_MAX_KEPT = 1000
_MAX_TOKEN_CHARACTERS = 200


@dataclass(frozen=True)
class Actor:
    """Who sends a request: the label and role of a token, or an address without one.

    Attributes
    ----------
    name : str
        The token's label, for labels and logs; "anonymous" without a token.
    role : str or None
        One of `ROLES`; None without a token.
    key : str
        What the rate is counted by.
    """

    name: str
    role: str | None
    key: str

    def may(self, role: str) -> bool:
        """Say whether the actor's role allows what `role` allows."""
        return self.role is not None and ROLES.index(self.role) >= ROLES.index(role)


class Authority:
    """Checks tokens, remembering each answer for less than a second.

    Parameters
    ----------
    check : callable
        Gives (label, role) of a valid token's secret, or None.
    open_reading : bool
        Whether a reader needs no token.
    count_unknown : callable
        Gets the address that sent an unknown token, before it is refused; may refuse it with another code.
    """

    def __init__(
        self,
        check: Callable[[str], tuple[str, str] | None],
        *,
        open_reading: bool,
        count_unknown: Callable[[str], None],
    ) -> None:
        self._check = check
        self._count_unknown = count_unknown
        self._open_reading = open_reading
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Actor | None]] = OrderedDict()

    def needs_lookup(self, authorization: str | None) -> bool:
        """Say whether identifying a request with this Authorization header asks the database."""
        secret = bearer_of(authorization)
        return secret is not None and self._kept(_key(secret)) is None

    def knew(self, authorization: str | None) -> bool:
        """Say whether the token of this header was valid when it was looked up last, if that is remembered."""
        secret = bearer_of(authorization)
        kept = self._known.get(_key(secret)) if secret is not None else None
        return kept is not None and kept[1] is not None

    def identify(self, authorization: str | None, address: str) -> Actor:
        """Give the actor of a request.

        Parameters
        ----------
        authorization : str or None
            The Authorization header.
        address : str
            Where the request comes from; names the actor who sends no token.

        Raises
        ------
        RequestError
            `unauthorized`, for an Authorization header that holds no valid token; what `count_unknown` raises.
        """
        secret = bearer_of(authorization)
        if secret is None:
            return Actor("anonymous", None, f"address {address}")
        key = _key(secret)
        kept = self._kept(key)
        actor = kept[1] if kept else self._look_up(secret, key)
        if actor is None:
            self._count_unknown(address)
            raise RequestError("unauthorized", "the token is unknown or revoked", field="Authorization")
        return actor

    def require(self, actor: Actor, role: str) -> None:
        """Check that an actor has a role.

        Raises
        ------
        RequestError
            `unauthorized` without a token, `forbidden` with a token of too low a role.
        """
        if actor.may(role) or (role == READER and self._open_reading):
            return
        if actor.role is None:
            raise RequestError(
                "unauthorized",
                f"this needs a token of role {role}",
                advice="send Authorization: Bearer TOKEN; `galclass tokens create` makes one",
                field="Authorization",
            )
        raise RequestError(
            "forbidden", "the token's role is too low", expected=role, got=actor.role, field="Authorization"
        )

    def _kept(self, key: str) -> tuple[float, Actor | None] | None:
        with self._lock:
            kept = self._known.get(key)
            return kept if kept and kept[0] > monotonic() else None

    def _look_up(self, secret: str, key: str) -> Actor | None:
        found = self._check(secret)
        actor = Actor(found[0], found[1], f"token {key}") if found else None
        with self._lock:
            self._known[key] = (monotonic() + _TTL_S, actor)
            while len(self._known) > _MAX_KEPT:
                self._known.popitem(last=False)
        return actor


def bearer_of(authorization: str | None) -> str | None:
    """Give the bearer token of an Authorization header, or None without one.

    Raises
    ------
    RequestError
        `unauthorized`, if the header is there and is no bearer token.
    """
    if authorization is None:
        return None
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not 0 < len(secret) <= _MAX_TOKEN_CHARACTERS:
        raise RequestError("unauthorized", "not a bearer token", expected="Bearer TOKEN", field="Authorization")
    return secret


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:16]
