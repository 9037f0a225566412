"""Images from a zip archive in memory, within limits on count and sizes; names never become paths."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from galclass.bounded_zip import BoundedZip, TooManyMembers, fault_of_packing, fault_of_sizes
from galclass.errors import RequestError
from galclass.image_names import READ_SUFFIXES, base_name, fault_of_id, is_junk, suffix_of
from galclass.service.http.image_inputs import ImageInput, id_of_file

UNPACKED_BODIES = 4
"""Largest sum of the unpacked images of one archive, in largest bodies: images are packed already."""

_DAMAGED = (
    *(zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, RuntimeError),
    *(zlib.error, lzma.LZMAError, OSError),  # of the three ways to compress; bzip2 raises OSError
)
"""Raised for a damaged, encrypted or foreign archive."""

RATIO = 50.0
"""Largest ratio of unpacked and packed size, of a file and of all together, above 1 MiB."""

_ENTRY_MEMORY_BYTES = 1024
"""Memory of an entry of an archive's directory once it is read."""

_UTF8_FLAG, _ENCRYPTED_FLAG = 0x800, 0x1
_NOT_IMAGES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class ArchiveImages:
    """The contents of an archive.

    Attributes
    ----------
    images : list of ImageInput
        In the order of the archive's directory.
    skipped : list of str
        Names of the files that were left out: what macOS and Windows add, and hidden files that are no images.
    """

    images: list[ImageInput]
    skipped: list[str]


def read_zip(
    body: bytes, max_images: int, max_image_bytes: int, count: Callable[[int], None] = lambda _: None
) -> ArchiveImages:
    """Return the files of an archive as images.

    Parameters
    ----------
    body : bytes
    max_images : int
    max_image_bytes : int
        Largest unpacked image; all together may have `UNPACKED_BODIES` times as much.
    count : callable
        Called with the sum of the unpacked sizes before anything is unpacked.

    Raises
    ------
    RequestError
        `bad_archive`, `too_many_images`, `too_large`, `no_image`, `invalid` (a name that is no object id).
    """
    # macOS puts a hidden file beside each; and what is read of an entry takes more memory than the entry.
    most = min(2 * max_images, max_image_bytes // _ENTRY_MEMORY_BYTES) + 1000
    try:
        with BoundedZip(io.BytesIO(body), max_members=most) as archive:
            _check_sizes(archive, len(body))
            files = [entry for entry in archive.infolist() if not _is_folder(entry)]
            entries = [entry for entry in files if not _is_skipped(name_of(entry))]
            skipped = [name_of(entry) for entry in files if _is_skipped(name_of(entry))]
            count(_check(entries, max_images, max_image_bytes))
            return ArchiveImages([_image(archive, entry, index) for index, entry in enumerate(entries)], skipped)
    except TooManyMembers as error:
        raise _too_many(min(max_images, most)) from error
    except _DAMAGED as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError("bad_archive", "the archive is damaged or not a zip file", field="body") from error


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    if fault := fault_of_sizes(archive.infolist(), size, RATIO):
        expected = f"at most {RATIO:g} times its packed size"
        raise RequestError("too_large", f"the archive is refused: {fault}", expected=expected, field="body")


def name_of(entry: zipfile.ZipInfo) -> str:
    """Return an entry's name: macOS writes UTF-8 without the flag that says so, which is read as code page 437."""
    if entry.flag_bits & _UTF8_FLAG or entry.filename.isascii():
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    """Return whether an entry is a folder; Windows ends the names of folders with backslashes."""
    return entry.is_dir() or (not entry.file_size and not base_name(entry.filename))


def _is_skipped(name: str) -> bool:
    base = base_name(name)
    hidden = base.startswith(".") and suffix_of(base) not in READ_SUFFIXES
    return is_junk(name) or hidden or base.lower() in _NOT_IMAGES


def _check(entries: list[zipfile.ZipInfo], max_images: int, max_image_bytes: int) -> int:
    """Check the sizes that the directory declares, which `_image` does not go beyond; return their sum."""
    if not entries:
        raise RequestError("no_image", "the archive contains no image", field="body")
    if len(entries) > max_images:
        raise _too_many(max_images)
    most, unpacked = UNPACKED_BODIES * max_image_bytes, sum(entry.file_size for entry in entries)
    if unpacked > most or max(entry.file_size for entry in entries) > max_image_bytes:
        expected = f"at most {max_image_bytes} bytes per image, {most} together"
        raise RequestError("too_large", "the archive unpacks to too much", expected=expected, field="body")
    return unpacked


def _too_many(max_images: int) -> RequestError:
    return RequestError("too_many_images", "too many files", expected=f"at most {max_images}", field="body")


def _image(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, index: int) -> ImageInput:
    filename = name_of(entry)
    name = id_of_file(filename, index)
    shown = "".join(sign for sign in filename[-80:] if sign.isprintable())
    where = f"file {index + 1} ({shown!r})"
    if fault := fault_of_id(name):
        raise RequestError("invalid", f"its name is not an object id: {fault}", where=where, field="body")
    if entry.flag_bits & _ENCRYPTED_FLAG:
        raise RequestError("bad_archive", "it is encrypted", where=where, field="body")
    if packing := fault_of_packing(entry):
        raise RequestError("bad_archive", packing, where=where, field="body")
    try:
        with archive.open(entry) as file:  # reads no more than the size that was checked
            return ImageInput(name, file.read(entry.file_size))
    except _DAMAGED as error:
        raise RequestError("bad_archive", "it is damaged", where=where, field="body") from error
