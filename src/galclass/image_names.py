"""File names of images: which suffixes count, and the object id or key that a name stands for.

One list of suffixes and one rule for every stage: command line, archives, catalogs, uploads, batches.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

_FITS_SUFFIXES = (".fits", ".fit", ".fts")
_PACKED_FITS = tuple(fits + packed for fits in _FITS_SUFFIXES for packed in (".gz", ".fz"))

READ_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", *_FITS_SUFFIXES, *_PACKED_FITS, ".fz"}
)
"""Suffixes of files that are read as images, in lower case."""

OTHER_IMAGE_SUFFIXES = frozenset({".tif", ".tiff", ".webp", ".gif", ".heic", ".heif", ".avif", ".svg", ".jp2", ".jxl"})
"""Suffixes of images in unsupported formats; such files are counted and named, never passed over."""

IMAGE_SUFFIXES = READ_SUFFIXES | OTHER_IMAGE_SUFFIXES
"""Every suffix that is dropped from a file name to get its object id."""

_MAC_JUNK = "__MACOSX"

MAX_ID_CHARACTERS = 200
"""Longest object id; the same for catalogs, files, databases, HTTP and its clients."""

BAD_ID = "bad_id"
"""Code of rows and files whose id is not valid."""


def suffix_of(name: str) -> str:
    """Return the suffix of a file name, ".jpg", in lower case and without blanks behind it; "" where there is none.

    That of a packed FITS file has two parts, ".fits.gz".
    """
    base = base_name(name).rstrip()
    dot = base.rfind(".")
    suffix = base[dot:].lower() if dot > 0 else ""
    if suffix in (".gz", ".fz"):
        return next((both for both in _PACKED_FITS if base.lower().endswith(both) and len(base) > len(both)), suffix)
    return suffix


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
    suffix = suffix_of(base)
    if suffix in IMAGE_SUFFIXES:
        base = base[: len(base.rstrip()) - len(suffix)]
    if "%" in base:
        base = _unescaped(base)
    return base if base.isascii() else unicodedata.normalize("NFC", base)


def fault_of_id(text: str) -> str | None:
    """Return why a text is not a valid object id, or None if it is.

    An id has 1 to `MAX_ID_CHARACTERS` characters, all of them printable; blanks of any kind are.
    """
    if not text:
        return "it is empty"
    if len(text) > MAX_ID_CHARACTERS:
        return f"it has {len(text)} characters, at most {MAX_ID_CHARACTERS} are allowed"
    for index, sign in enumerate(text, 1):
        if not sign.isprintable() and unicodedata.category(sign) != "Zs":
            return f"character {index} is U+{ord(sign):04X}, which is not printable"
    return None


def is_junk(name: str) -> bool:
    """Return whether macOS adds a file of this name to archives and foreign disks (`__MACOSX/`, `._x`)."""
    parts = name.replace("\\", "/").split("/")
    return _MAC_JUNK in parts or parts[-1].startswith("._")


_NEVER_IN_NAMES = frozenset('/\\:*?"<>|%') | {chr(code) for code in (*range(32), 127)}
_WINDOWS_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\.|$)")
"""Names that are devices on Windows, whatever follows their first dot."""

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
        dot, and "%" itself are written as %XX (UTF-8, capital letters); so are the first letters, as many as it takes,
        of a device of Windows and of a name that is taken. None: longer than a file name may be.
    """
    composed = unicodedata.normalize("NFC", object_id)
    letters = sum(map(_is_letter, composed))
    stems = (_spelt(composed, count) for count in range(_least_escapes(composed), letters + 1))
    stem = next((stem for stem in stems if stem.casefold() not in taken), None)
    if not stem or len(stem.encode("utf-8", "surrogatepass")) > _MAX_STEM_BYTES:
        return None
    return stem


def _spelt(object_id: str, count: int) -> str:
    """Return the file name of an object id in which so many of its letters, the first ones, are escaped."""
    stem: list[str] = []
    for index, char in enumerate(object_id):
        first = count > 0 and _is_letter(char)
        count -= first
        stem.append(f"%{ord(char):02X}" if first or char in _NEVER_IN_NAMES or (char == "." and not index) else char)
    return "".join(stem)


def _least_escapes(object_id: str) -> int:
    return int(_WINDOWS_DEVICES.match(object_id) is not None)


def _is_letter(char: str) -> bool:
    return char.isascii() and char.isalpha()


def _unescaped(stem: str) -> str:
    """Return the object id of a name made by `file_stem_of`; any other name unchanged."""
    composed = unicodedata.normalize("NFC", stem)
    escaped = sum(_is_letter(chr(int(digits, 16))) for digits in _ESCAPE.findall(composed))
    object_id = _ESCAPE.sub(lambda one: chr(int(one[1], 16)), composed)
    return object_id if composed == _spelt(object_id, max(escaped, _least_escapes(object_id))) else stem
