"""File names of images: which suffixes count, and the object id or key that a name stands for.

One list of suffixes and one rule for every stage: command line, archives, catalogs, uploads, batches.
"""

from __future__ import annotations

import unicodedata

READ_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib"})
"""Suffixes of files that are read as images, in lower case."""

OTHER_IMAGE_SUFFIXES = frozenset(
    {".tif", ".tiff", ".webp", ".gif", ".heic", ".heif", ".avif", ".svg", ".jp2", ".jxl", ".fits", ".fit", ".fts"}
)
"""Suffixes of pictures in formats that are not read; such files are counted and named, never passed over."""

IMAGE_SUFFIXES = READ_SUFFIXES | OTHER_IMAGE_SUFFIXES
"""Every suffix that is dropped from a file name to get its object id."""

_MAC_JUNK = "__MACOSX"


def suffix_of(name: str) -> str:
    """Return the suffix of a file name with its dot, in lower case; "" where there is none."""
    base = base_name(name)
    dot = base.rfind(".")
    return base[dot:].lower() if dot > 0 else ""


def base_name(name: str) -> str:
    """Return a file name without folders, whether they are separated by "/" or, as Windows does, by backslashes."""
    return name.replace("\\", "/").rpartition("/")[2]


def object_id_of(name: str) -> str:
    """Return the object id that a file name stands for: without folders and without an image suffix.

    Parameters
    ----------
    name : str
        A file name or path, of this system or of an archive.

    Returns
    -------
    str
        In Unicode's composed form (NFC), so that names written on a Mac match those of a catalog. Only a suffix in
        `IMAGE_SUFFIXES` is dropped: "J1.5" and "J1.6" are two objects, "J1.5.jpg" is "J1.5".
    """
    base = base_name(name)
    if suffix_of(base) in IMAGE_SUFFIXES:
        base = base[: base.rfind(".")]
    return base if base.isascii() else unicodedata.normalize("NFC", base)


def is_junk(name: str) -> bool:
    """Say whether a name is what macOS adds to archives and foreign disks (`__MACOSX/`, `._x`), not a user's file."""
    parts = name.replace("\\", "/").split("/")
    return _MAC_JUNK in parts or parts[-1].startswith("._")
