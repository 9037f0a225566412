"""Names: of models, aliases and services, and references such as galaxy@production."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass

from galclass.errors import RegistryError
from galclass.scoring.references import NAME, PRODUCTION

__all__ = ["PRODUCTION", "Reference", "check_name", "current_user", "parse_reference"]

_NAME = re.compile(NAME)

_MAX_DIGITS = 9
"""Digits of a version; more do not fit into a column, and SQLite's driver breaks on far more."""


@dataclass(frozen=True)
class Reference:
    """A model name with a version or an alias (`production` where neither is said)."""

    name: str
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.version if self.version is not None else self.alias}"


def parse_reference(text: str) -> Reference:
    """Read NAME, NAME@VERSION or NAME@ALIAS.

    Raises
    ------
    RegistryError
        If the text is none of these, or no database could hold the version.
    """
    name, at, rest = text.partition("@")
    check_name(name, "model name")
    if not at:
        return Reference(name, alias=PRODUCTION)
    if rest.isascii() and rest.isdigit():
        if len(rest) > _MAX_DIGITS:
            raise RegistryError("unknown version of this model", where=text[:80], advice="see `galclass models list`")
        return Reference(name, version=int(rest))
    return Reference(name, alias=check_name(rest, "alias"))


def check_name(text: str, what: str) -> str:
    """Return the text if it is a name: letters, digits, `_`, `.`, `-`; at most 64; not only digits."""
    if not _NAME.fullmatch(text) or (what == "alias" and text.isdigit()):
        raise RegistryError(
            f"{text!r} is not a valid {what}",
            expected="letters, digits, '_', '.' and '-', at most 64, beginning with a letter or digit",
        )
    return text


def current_user() -> str:
    """Return the name of the account that runs this process, for logs."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
