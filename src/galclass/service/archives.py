"""Images from a zip archive in memory, within limits on count and sizes; names never become paths."""

from __future__ import annotations

import io
import zipfile
import zlib

from galclass.service.errors import RequestError
from galclass.service.inputs import ImageInput, id_of_file

MAX_UNPACKED_BYTES = 1 << 30
"""Largest sum of the unpacked images of one archive."""


def read_zip(body: bytes, max_images: int, max_image_bytes: int) -> list[ImageInput]:
    """Give the files of an archive as images, folders and hidden files left out.

    Raises
    ------
    RequestError
        `bad_archive`, `too_many_images`, `too_large`, `no_image`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = [entry for entry in archive.infolist() if _is_image(entry)]
            _check(entries, max_images, max_image_bytes)
            return [
                ImageInput(id_of_file(entry.filename, place), _read(archive, entry))
                for place, entry in enumerate(entries)
            ]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError("bad_archive", "the archive is damaged, encrypted or no zip file", field="body") from error


def _is_image(entry: zipfile.ZipInfo) -> bool:
    name = entry.filename.rsplit("/", 1)[-1]
    return not entry.is_dir() and bool(name) and not name.startswith((".", "__MACOSX"))


def _check(entries: list[zipfile.ZipInfo], max_images: int, max_image_bytes: int) -> None:
    if not entries:
        raise RequestError("no_image", "the archive holds no file", field="body")
    if len(entries) > max_images:
        raise RequestError("too_many_images", "too many files", expected=f"at most {max_images}", field="body")
    largest = max(entry.file_size for entry in entries)
    if largest > max_image_bytes or sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise RequestError("too_large", "the archive unpacks to too much", field="body")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as file:  # reads no more than the size that was checked
        return file.read(entry.file_size)
