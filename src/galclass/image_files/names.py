"""What a file is by its name, and how a name is shown: the same for folders, archives and object stores."""

from __future__ import annotations

import os
from enum import StrEnum
from functools import lru_cache

from galclass.image_names import OTHER_IMAGE_SUFFIXES, READ_SUFFIXES, base_name, is_junk, suffix_of

ARCHIVE_SUFFIXES = frozenset(
    {".zip", ".tar", ".tgz", ".gz", ".tbz", ".tbz2", ".bz2", ".txz", ".xz", ".tzst", ".zst", ".7z", ".rar"}
)
"""Suffixes of archives and packed files; one inside a folder or archive is not opened, but named."""

_THUMBNAIL_FOLDERS = frozenset({"@eaDir"})  # what a Synology disk adds to every folder


class Kind(StrEnum):
    """What a file is taken for; all but IMAGE are skipped, counted and named."""

    IMAGE = "image"
    OTHER_FORMAT = "other_format"
    NO_SUFFIX = "no_suffix"
    ARCHIVE = "archive"
    SYSTEM = "system"
    HIDDEN = "hidden"
    REPEATED = "repeated"
    OTHER = "other"


_KIND_OF_SUFFIX = (
    dict.fromkeys(ARCHIVE_SUFFIXES, Kind.ARCHIVE)
    | dict.fromkeys(OTHER_IMAGE_SUFFIXES, Kind.OTHER_FORMAT)
    | dict.fromkeys(READ_SUFFIXES, Kind.IMAGE)
)


def kind_of(name: str) -> Kind:
    """Classify a file by its path inside a folder or archive, with "/" between its parts.

    NO_SUFFIX is never returned: whether such a file is an image is seen by its first bytes (`looks_like_image`).
    """
    folder, _, base = name.rpartition("/")
    if "\\" in base:  # a folder unpacked from a zip of Windows, by a program that did not know
        folder, base = name.replace("\\", "/").rpartition("/")[0], base_name(base)
    within = _kind_of_files_in(folder)
    if within is not None or base.startswith("._"):
        return within or Kind.SYSTEM
    dot = base.rfind(".")
    suffix = base[dot:].lower() if dot > 0 else ""
    return _KIND_OF_SUFFIX.get(suffix_of(base) if suffix == ".gz" else suffix, Kind.OTHER)


@lru_cache(maxsize=4096)
def _kind_of_files_in(folder: str) -> Kind | None:
    """Return what all files of a folder are because of its name, or None if it says nothing."""
    if is_junk(f"{folder}/x") or any(part in _THUMBNAIL_FOLDERS for part in folder.split("/")):
        return Kind.SYSTEM
    hidden = any(part.startswith(".") and part not in (".", "..") for part in folder.split("/"))
    return Kind.HIDDEN if hidden else None


def may_be_image(name: str) -> bool:
    """Return whether a file's name says nothing of its format: no suffix, or one without a letter ("J1.5")."""
    base = name.rpartition("/")[2]
    return not base.startswith(".") and not any(letter.isalpha() for letter in suffix_of(base))


def looks_like_image(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of a JPEG, PNG, BMP or FITS file."""
    return start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"SIMPLE  =")) or (
        start[:2] == b"BM" and len(start) > 13
    )


def shown(path: os.PathLike[str] | str) -> str:
    """Return a path as text that any file can hold: bytes that are not UTF-8 become replacement characters."""
    text = os.fspath(path)
    return text if text.isascii() else os.fsencode(text).decode("utf-8", errors="replace")
