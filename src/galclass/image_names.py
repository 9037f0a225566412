"""File names of images: which suffixes count, and the object id or key that a name stands for.

One list of suffixes and one rule for every stage: command line, archives, catalogs, uploads, batches.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

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
        `IMAGE_SUFFIXES` is dropped: "J1.5" and "J1.6" are two objects, "J1.5.jpg" is "J1.5". A name that
        `file_stem_of` made is read back: "M 51%2FNGC 5194.jpg" is "M 51/NGC 5194".
    """
    base = base_name(name)
    if suffix_of(base) in IMAGE_SUFFIXES:
        base = base[: base.rfind(".")]
    if "%" in base:
        base = _unescaped(base)
    return base if base.isascii() else unicodedata.normalize("NFC", base)


def is_junk(name: str) -> bool:
    """Say whether a name is what macOS adds to archives and foreign disks (`__MACOSX/`, `._x`), not a user's file."""
    parts = name.replace("\\", "/").split("/")
    return _MAC_JUNK in parts or parts[-1].startswith("._")


_NEVER_IN_NAMES = frozenset('/\\:*?"<>|%') | {chr(code) for code in (*range(32), 127)}
_WINDOWS_DEVICES = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)$")
_ESCAPE = re.compile(r"%([0-9A-F]{2})")
_MAX_STEM_BYTES = 240  # a file name may have 255 bytes on all common systems; suffix and ".part" need room


def file_stem_of(object_id: str, taken: Container[str] = ()) -> str | None:
    """Return a file name (without suffix) that `object_id_of` reads back as this object id, in NFC.

    Parameters
    ----------
    object_id : str
        Any text.
    taken : container of str
        Case-folded names in use: a name that differs from one of them in case only gets another spelling.

    Returns
    -------
    str or None
        The id itself where every system takes it for a file name. Characters that some system forbids, a leading
        dot, and "%" itself are written as %XX (UTF-8, capital letters). None: longer than a file name may be.
    """
    composed = unicodedata.normalize("NFC", object_id)
    stem = "".join(_escaped(char) if char in _NEVER_IN_NAMES else char for char in composed)
    if stem.startswith("."):
        stem = _escaped(".") + stem[1:]
    letters = [place for place, char in enumerate(stem) if char.isascii() and char.isalpha()]
    letters = [place for place in letters if not _in_escape(stem, place)]
    if _WINDOWS_DEVICES.match(stem):
        stem = _with_escapes(stem, letters[:1])
    count = 0
    while stem.casefold() in taken and count < len(letters):
        count += 1
        stem = _with_escapes(stem, letters[count - 1 : count])
        letters = [place + 2 if place > letters[count - 1] else place for place in letters]
    too_long = len(stem.encode("utf-8", "surrogatepass")) > _MAX_STEM_BYTES
    return None if too_long or not stem or stem.casefold() in taken else stem


def _escaped(char: str) -> str:
    return f"%{ord(char):02X}"


def _in_escape(stem: str, place: int) -> bool:
    return any(stem[begin : begin + 1] == "%" for begin in (place - 1, place - 2) if begin >= 0)


def _with_escapes(stem: str, places: list[int]) -> str:
    return "".join(_escaped(char) if place in places else char for place, char in enumerate(stem))


def _unescaped(stem: str) -> str:
    """Return the object id of a name that `file_stem_of` made; any other name as it is."""
    escapes = list(_ESCAPE.finditer(stem))
    if len(escapes) != stem.count("%"):
        return stem
    for one in escapes:
        char = chr(int(one[1], 16))
        first_dot = char == "." and one.start() == 0
        if not (char in _NEVER_IN_NAMES or first_dot or (char.isascii() and char.isalpha())):
            return stem
    return _ESCAPE.sub(lambda one: chr(int(one[1], 16)), stem)
