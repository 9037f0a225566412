"""Images from a zip archive in memory, within limits on count and sizes; names never become paths."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable

from galclass.service.errors import RequestError
from galclass.service.inputs import ImageInput, id_of_file

UNPACKED_BODIES = 4
"""Largest sum of the unpacked images of one archive, in largest bodies: images are packed already."""

_DAMAGED = (
    *(zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, RuntimeError),
    *(zlib.error, lzma.LZMAError, OSError),  # of the three ways to compress; bzip2 raises OSError
)
"""What a damaged, encrypted or foreign archive raises."""

_ENTRY = b"PK\x01\x02"
"""What each entry of an archive's directory begins with."""


def read_zip(
    body: bytes, max_images: int, max_image_bytes: int, count: Callable[[int], None] = lambda _: None
) -> list[ImageInput]:
    """Give the files of an archive as images, folders and hidden files left out.

    Parameters
    ----------
    body : bytes
    max_images : int
    max_image_bytes : int
        Largest unpacked image; all together may have `UNPACKED_BODIES` times as much.
    count : callable
        Gets the sum of the unpacked sizes before anything is unpacked.

    Raises
    ------
    RequestError
        `bad_archive`, `too_many_images`, `too_large`, `no_image`.
    """
    if body.count(_ENTRY) > 2 * max_images + 1000:  # macOS puts a hidden file beside each; told before they are read
        raise _too_many(max_images)
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = [entry for entry in archive.infolist() if _is_image(entry)]
            count(_check(entries, max_images, max_image_bytes))
            return [
                ImageInput(id_of_file(entry.filename, place), _read(archive, entry))
                for place, entry in enumerate(entries)
            ]
    except _DAMAGED as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError("bad_archive", "the archive is damaged, encrypted or no zip file", field="body") from error


def _is_image(entry: zipfile.ZipInfo) -> bool:
    name = entry.filename.rsplit("/", 1)[-1]
    return not entry.is_dir() and bool(name) and not name.startswith((".", "__MACOSX"))


def _check(entries: list[zipfile.ZipInfo], max_images: int, max_image_bytes: int) -> int:
    """Check the sizes that the directory declares, which `_read` does not go beyond; give their sum."""
    if not entries:
        raise RequestError("no_image", "the archive holds no file", field="body")
    if len(entries) > max_images:
        raise _too_many(max_images)
    most, unpacked = UNPACKED_BODIES * max_image_bytes, sum(entry.file_size for entry in entries)
    if unpacked > most or max(entry.file_size for entry in entries) > max_image_bytes:
        expected = f"at most {max_image_bytes} bytes an image, {most} together"
        raise RequestError("too_large", "the archive unpacks to too much", expected=expected, field="body")
    return unpacked


def _too_many(max_images: int) -> RequestError:
    return RequestError("too_many_images", "too many files", expected=f"at most {max_images}", field="body")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as file:  # reads no more than the size that was checked
        return file.read(entry.file_size)
