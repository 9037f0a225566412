"""Packed tables: text in gzip, bzip2, xz or Zstandard, and what astropy unpacks; a limit for what comes out.

A few bytes can unpack to any number; a table that trusted hands packed is at most some tens of times larger.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from galclass.errors import CatalogError

PACKED = (".gz", ".bz2", ".xz", ".zst")
"""Suffixes, the first one of gzip."""

MOST_RATIO = 200
"""Largest size unpacked, in sizes of the packed file..."""

SMALL_UNPACKED = 256 << 20
"""... if that is more than this; in bytes."""

_STEP = 1 << 20
_START = 16

Stream = AbstractContextManager[Any]


def _zstandard(file: IO[bytes]) -> Stream:
    return cast(Stream, pa.input_stream(file, compression="zstd"))


_WAYS: tuple[tuple[re.Pattern[bytes], Callable[[IO[bytes]], Stream]], ...] = (
    (re.compile(rb"\x1f\x8b"), lambda file: gzip.GzipFile(fileobj=file)),
    (re.compile(rb"BZh.(1AY&SY|\x17rE8P\x90)", re.DOTALL), bz2.BZ2File),
    (re.compile(rb"\xfd7zXZ\0"), lzma.LZMAFile),
    (re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _zstandard),  # a frame, or one to be skipped
)
"""By the first bytes."""

_ERRORS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, pa.ArrowException)


def unpacked(data: bytes, path: Path) -> bytes:
    """Return the bytes of a file, unpacked if their beginning says that they are packed.

    Raises
    ------
    CatalogError
        If they are damaged or cut off, or more than `most_unpacked`.
    """
    way = _way(data)
    if way is None:
        return data
    try:
        with way(BytesIO(data)) as stream:
            return b"".join(_pieces(stream, most_unpacked(len(data)), path))
    except _ERRORS as error:
        raise CatalogError(f"cannot be unpacked: {error or 'it is cut off'}", where=str(path)) from error


def check_size_unpacked(path: Path) -> None:
    """Check that a file, if it is packed, is no larger than `most_unpacked`; a damaged one is left to its reader.

    Raises
    ------
    CatalogError
        If it is larger.
    """
    most = most_unpacked(path.stat().st_size)
    with path.open("rb") as file:
        start = file.read(_START)
        file.seek(0)
        if start.startswith(b"PK\3\4"):
            _check_zip(path)
        elif way := _way(start):
            try:
                with way(file) as stream:
                    deque(_pieces(stream, most, path), maxlen=0)
            except _ERRORS:
                return


def check_declared(path: Path, size: int) -> None:
    """Check the size in bytes that a file itself says it has unpacked.

    Raises
    ------
    CatalogError
        If it is larger than `most_unpacked`.
    """
    if size > (most := most_unpacked(path.stat().st_size)):
        raise _too_large(path, most)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file that is perhaps packed; `read` returns its bytes unpacked. Check its size before."""
    with path.open("rb") as file:
        way = _way(file.read(_START))
        file.seek(0)
        if way is None:
            yield file
        else:
            with way(file) as stream:
                yield stream


def most_unpacked(size: int) -> int:
    """Return how many bytes a packed file of this size may unpack to."""
    return max(SMALL_UNPACKED, MOST_RATIO * size)


def _way(start: bytes) -> Callable[[IO[bytes]], Stream] | None:
    return next((way for magic, way in _WAYS if magic.match(start)), None)


def _pieces(stream: Any, most: int, path: Path) -> Iterator[bytes]:
    size = 0
    while piece := stream.read(_STEP):
        size += len(piece)
        if size > most:
            raise _too_large(path, most)
        yield piece


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            check_declared(path, sum(info.file_size for info in archive.infolist()))
    except zipfile.BadZipFile:
        return


def _too_large(path: Path, most: int) -> CatalogError:
    return CatalogError(
        "it is too large unpacked", where=str(path), expected=f"at most {most:,} bytes", advice="unpack it yourself"
    )
