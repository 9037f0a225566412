"""The image files of one container by the key that joins each to its catalog row.

Takes what `galclass.download.list_images` found there, gives `ImageFiles`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from galclass.errors import StoreError


class ImageEntry(Protocol):
    """The part of `galclass.download.ImageEntry` that is used here."""

    @property
    def name(self) -> str:
        """Path inside the container."""

    @property
    def stamp(self) -> str:
        """Changes when the bytes may have."""

    @property
    def place(self) -> tuple[int, int, int, bool] | None:
        """Where it lies in a zip."""


@dataclass(frozen=True)
class ImageFiles:
    """The image files of one container.

    Attributes
    ----------
    path : Path
        A folder, zip or tar.
    names : dict of str to str
        Key (name without folder and suffix) -> name inside the container, in the order of reading.
    entries : dict of str to ImageEntry
        Name -> stamp, and place in a zip.
    """

    path: Path
    names: dict[str, str]
    entries: dict[str, ImageEntry]

    @property
    def sha256(self) -> str:
        """Hash of all names and stamps."""
        return stamps_sha256((entry.name, entry.stamp) for entry in self.entries.values())


def stamps_sha256(stamps: Iterable[tuple[str, str]]) -> str:
    """Hash names and stamps, in order."""
    digest = hashlib.sha256()
    for name, stamp in stamps:
        digest.update(f"{name}\0{stamp}\n".encode())
    return digest.hexdigest()


def image_key(name: str) -> str:
    """Give the key that joins an image to its catalog row: the file name without folder and suffix."""
    return os.path.splitext(name.rpartition("/")[2])[0]


def image_files(path: Path, entries: Iterable[ImageEntry]) -> ImageFiles:
    """Find the key of each file.

    Parameters
    ----------
    path : Path
        A folder, zip or tar.
    entries : iterable of ImageEntry
        Its image files, in the order of reading.

    Raises
    ------
    StoreError
        If two files have the same key.
    """
    names: dict[str, str] = {}
    by_name: dict[str, ImageEntry] = {}
    for entry in entries:
        key = image_key(entry.name)
        if key in names:
            raise StoreError(
                "two images have the same key",
                where=str(path),
                got=f"{names[key]} and {entry.name}",
                advice="the name without folder and suffix joins an image to its catalog row; rename one",
            )
        names[key] = entry.name
        by_name[entry.name] = entry
    return ImageFiles(path, names, by_name)
