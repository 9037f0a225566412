"""Access tokens with roles: 256 random bits, of which only the sha256 is kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast, get_args

from sqlalchemy import select

from galclass.database.connection import Database
from galclass.database.schema import tokens
from galclass.database.types import now
from galclass.errors import DatabaseError

Role = Literal["reader", "publisher", "admin"]
ROLES: tuple[str, ...] = get_args(Role)
"""Each role may do what those before it may."""

PREFIX = "galclass_"
"""Makes a token recognisable to scanners for leaked secrets."""


@dataclass(frozen=True)
class TokenInfo:
    """What is kept about a token."""

    id: int
    role: Role
    label: str
    created_at: datetime
    revoked_at: datetime | None


class Tokens:
    """The tokens of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, role: str, label: str = "") -> str:
        """Create a token and return it, this once.

        Raises
        ------
        DatabaseError
            If the role is unknown.
        """
        if role not in ROLES:
            raise DatabaseError(f"unknown role {role!r}", expected=", ".join(ROLES))
        token = PREFIX + secrets.token_hex(32)
        row = {"sha256": _digest(token), "role": role, "label": label, "created_at": now()}
        with self._database.write() as connection:
            connection.execute(tokens.insert().values(**row))
        return token

    def verify(self, token: str) -> TokenInfo | None:
        """Return what is known about a token, or None if it is unknown or revoked."""
        query = select(tokens).where(tokens.c.sha256 == _digest(token), tokens.c.revoked_at.is_(None))
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return _info(row) if row is not None else None

    def valid(self) -> dict[str, TokenInfo]:
        """Return the tokens that are not revoked, by the sha256 of their secret in hexadecimal digits."""
        query = select(tokens).where(tokens.c.revoked_at.is_(None))
        with self._database.read() as connection:
            return {row.sha256: _info(row) for row in connection.execute(query)}

    def list(self) -> list[TokenInfo]:
        """Return all tokens, oldest first."""
        with self._database.read() as connection:
            return [_info(row) for row in connection.execute(select(tokens).order_by(tokens.c.id))]

    def revoke(self, id: int) -> TokenInfo:
        """Take a token back; it stays in the list with the time.

        Raises
        ------
        DatabaseError
            If there is no such token.
        """
        with self._database.write() as connection:
            where = (tokens.c.id == id, tokens.c.revoked_at.is_(None))
            connection.execute(tokens.update().where(*where).values(revoked_at=now()))
            row = connection.execute(select(tokens).where(tokens.c.id == id)).one_or_none()
        if row is None:
            raise DatabaseError(f"there is no token {id}", advice="see `galclass tokens list`")
        return _info(row)


def _info(row: object) -> TokenInfo:
    values = row._mapping  # type: ignore[attr-defined]  # a SQLAlchemy row
    return TokenInfo(
        values["id"], cast(Role, values["role"]), values["label"], values["created_at"], values["revoked_at"]
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
