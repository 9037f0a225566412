"""What a listing did not take as an image: files skipped, by kind and name, and images that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from galclass.image_files.names import Kind, shown
from galclass.image_names import object_id_of

NAMED = 3
"""Files of a kind that a summary names."""

_WORDS = {
    Kind.OTHER_FORMAT: "in unsupported formats",
    Kind.NO_SUFFIX: "images without a suffix",
    Kind.ARCHIVE: "archives inside",
    Kind.SYSTEM: "of macOS and the like",
    Kind.HIDDEN: "in hidden folders",
    Kind.REPEATED: "seen before under another path",
    Kind.OTHER: "not images",
}
_ADVICE = {
    Kind.OTHER_FORMAT: "save them as PNG or JPEG",
    Kind.NO_SUFFIX: "add .jpg, .png, .bmp or .fits to their names",
    Kind.ARCHIVE: "name them explicitly to read them",
}


@dataclass(frozen=True)
class FileFault:
    """An image file that cannot be read: its name, a code such as `unreadable`, and the reason in words."""

    name: str
    code: str
    reason: str


@dataclass
class Skipped:
    """Files that were seen and not taken, counted by kind; the first of each kind by name.

    Attributes
    ----------
    counts : Counter of str
        By `Kind`.
    names : dict of str to list of str
        The first few of each kind.
    images : dict of str to str
        Object id -> file, of images that are not read for their format or their missing suffix.
    """

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)

    def add(self, kind: Kind, name: str) -> None:
        """Count a file."""
        self.counts[kind] += 1
        names = self.names.setdefault(kind, [])
        if len(names) < NAMED:
            names.append(shown(name))
        if kind in (Kind.OTHER_FORMAT, Kind.NO_SUFFIX):
            self.images.setdefault(object_id_of(name), shown(name))

    def update(self, other: Skipped) -> None:
        """Add what another listing skipped."""
        self.counts.update(other.counts)
        for kind, names in other.names.items():
            own = self.names.setdefault(kind, [])
            own += names[: NAMED - len(own)]
        for object_id, name in other.images.items():
            self.images.setdefault(object_id, name)

    @property
    def total(self) -> int:
        """How many files were skipped."""
        return self.counts.total()

    def lost(self, taken: Iterable[str]) -> list[str]:
        """Return the images that were skipped where no image of the same object id was taken.

        Parameters
        ----------
        taken : iterable of str
            Object ids of the images that were taken.
        """
        if not self.images:
            return []
        there = set(taken)
        return [name for object_id, name in self.images.items() if object_id not in there]

    def __str__(self) -> str:
        return "; ".join(self._of_kind(kind) for kind in Kind if self.counts[kind])

    def _of_kind(self, kind: Kind) -> str:
        count, names = self.counts[kind], self.names.get(kind, [])
        more = ", ..." if count > len(names) else ""
        advice = f": {_ADVICE[kind]}" if kind in _ADVICE else ""
        return f"{count:,} {_WORDS[kind]} ({', '.join(names)}{more}){advice}"

    def as_facts(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"counts": dict(self.counts), "names": self.names}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Skipped:
        """Build from plain values; `images` stay empty."""
        return cls(Counter(facts.get("counts", {})), dict(facts.get("names", {})))
