"""What an archive may hold before it is taken for hostile, and names that are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from galclass.errors import ArchiveError
from galclass.image_files.names import shown

RATIO_FLOOR_BYTES = 1 << 20
"""Ratios of small members mean nothing."""

_PLAIN = re.compile(r"[A-Za-z0-9_-][\w. -]*(/[\w-][\w. -]*)*", re.ASCII)
"""Names that need no second look: no part is empty or begins with a dot."""

_DRIVE = re.compile(r"[A-Za-z]:(/|$)")


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold before it is taken for hostile.

    Attributes
    ----------
    member_bytes : int
        Largest member, unpacked.
    total_bytes : int
        Sum of all members, unpacked.
    members : int
        Number of members.
    ratio : float
        Unpacked by packed size of a member (zip) or of the whole (tar) above 1 MiB; images hardly shrink.
    """

    member_bytes: int = 256 << 20
    total_bytes: int = 1 << 40
    members: int = 10_000_000
    ratio: float = 200.0


DEFAULT_LIMITS = ArchiveLimits()


class MemberCheck:
    """Names of members brought into one form; names that point outside and sums over the limits are refused."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self._path, self._limits = path, limits
        self._members = 0
        self.total_bytes = 0

    def add(self, name: str, size: int) -> str:
        """Check a member and return its name with "/" between its parts, also where Windows wrote backslashes.

        Raises
        ------
        ArchiveError
            If the name points outside the archive, or the archive is over the limits.
        """
        if not _PLAIN.fullmatch(name):
            name = self._plain(name)
        self._members += 1
        self.total_bytes += size
        limits = self._limits
        if size > limits.member_bytes:
            raise refusal("a member that is too large", self._path, name, f"at most {limits.member_bytes} bytes", size)
        if self.total_bytes > limits.total_bytes:
            raise refusal("too many bytes", self._path, name, f"at most {limits.total_bytes}", self.total_bytes)
        if self._members > limits.members:
            raise refusal("too many members", self._path, name, f"at most {limits.members}", self._members)
        return name

    def _plain(self, name: str) -> str:
        plain = name.replace("\\", "/")
        parts = [part for part in plain.split("/") if part not in ("", ".")]
        if plain.startswith("/") or ".." in parts or "\0" in name or not parts or _DRIVE.match(plain):
            raise refusal("a name that points outside", self._path, name)
        return "/".join(parts)


def refusal(what: str, path: Path | str, name: str, expected: str | None = None, got: object = None) -> ArchiveError:
    """Return the error that refuses an archive for one of its members."""
    return ArchiveError(
        f"refused: {what}", where=f"{shown(str(path))}, member {shown(name)!r}", expected=expected, got=got,
        advice="get the archive from its publisher" if expected is None else "raise the limit if you trust it",
    )  # fmt: skip
