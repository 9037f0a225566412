"""Who may do what: bearer tokens with the roles reader < publisher < admin.

Takes a request, returns its actor; tokens are looked up by their hash and never logged. All valid tokens are read from
the database at once and kept for less than a second, and reread for unknown ones, which may be new: at most every
`READ_EVERY_S`, so that guesses cost the database little, and token holders nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from galclass.errors import RequestError
from galclass.service.http.connections import client_network

READER, PUBLISHER, ADMIN = "reader", "publisher", "admin"
ROLES = (READER, PUBLISHER, ADMIN)
"""Roles in rising order; each may do what those before it may."""

_TTL_S = 0.5
"""A revoked token is refused after this long."""

READ_EVERY_S = 0.05
"""Time from one reading of the tokens to the next; requests with an unknown token wait for it."""

_MAX_TOKEN_CHARACTERS = 200


@dataclass(frozen=True)
class Actor:
    """The sender of a request: the label and role of a token, or an address without one.

    Attributes
    ----------
    name : str
        The token's label, for labels and logs; "anonymous" without a token.
    role : str or None
        One of `ROLES`; None without a token.
    key : str
        The key for rate limiting.
    """

    name: str
    role: str | None
    key: str

    def may(self, role: str) -> bool:
        """Return whether the actor's role allows what `role` allows."""
        return self.role is not None and ROLES.index(self.role) >= ROLES.index(role)


class Authority:
    """Checks tokens against those that were valid less than a second ago.

    Parameters
    ----------
    read : callable
        Returns (label, role) of every valid token by the sha256 of its secret.
    open_reading : bool
        Whether a reader needs no token.
    count_unknown : callable
        Called with the address that sent an unknown token, before it is refused; may refuse it with another code.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, tuple[str, str]]],
        *,
        open_reading: bool,
        count_unknown: Callable[[str], None],
    ) -> None:
        self._read = read
        self._count_unknown = count_unknown
        self._open_reading = open_reading
        self._valid: dict[str, Actor] = {}
        self._until = 0.0

    def is_stale(self) -> bool:
        """Return whether `read` has to be called before a token is identified."""
        return monotonic() > self._until

    def knows(self, authorization: str) -> bool:
        """Return whether the token of this header was valid at the last reading.

        Raises
        ------
        RequestError
            `unauthorized`, if the header has no bearer token.
        """
        return _sha256(bearer_of(authorization) or "") in self._valid

    def read(self) -> None:
        """Read the valid tokens from the database."""
        asked_at = monotonic()
        found = self._read()
        self._valid = {key: Actor(label, role, f"token {key[:16]}") for key, (label, role) in found.items()}
        self._until = asked_at + _TTL_S

    def identify(self, authorization: str | None, address: str) -> Actor:
        """Return the actor of a request, without a query.

        Parameters
        ----------
        authorization : str or None
            The Authorization header.
        address : str
            The request's origin; names an actor without a token.

        Raises
        ------
        RequestError
            `unauthorized`, for an Authorization header without a valid token; what `count_unknown` raises.
        """
        secret = bearer_of(authorization)
        if secret is None:
            return Actor("anonymous", None, f"address {client_network(address)}")
        actor = self._valid.get(_sha256(secret))
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


def bearer_of(authorization: str | None) -> str | None:
    """Return the bearer token of an Authorization header, or None without one.

    Raises
    ------
    RequestError
        `unauthorized`, if the header is present but is not a bearer token.
    """
    if authorization is None:
        return None
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not 0 < len(secret) <= _MAX_TOKEN_CHARACTERS:
        raise RequestError("unauthorized", "not a bearer token", expected="Bearer TOKEN", field="Authorization")
    return secret


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
