"""A tar read as a stream, in memory that does not grow with what its headers claim.

`tarfile` reads the payload of a long-name, PAX or sparse header whole, and unpacks a block of a compressed file
whatever comes out of it: a file of a megabyte can take gigabytes. Here every read is bounded, and so are the headers
before a member, those for all members, and what the whole unpacks to.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zlib
from typing import IO, Protocol

HEADER_BYTES = 1 << 18
"""Headers of one member together; real ones have a few kilobytes."""

GLOBAL_BYTES = 1 << 20
"""PAX headers that hold for all members that follow, together."""

RATIO_FLOOR_BYTES = 1 << 20
"""What any archive may unpack to; ratios of small ones mean nothing."""

RATIO = 200.0
"""Largest ratio of what an archive unpacks to and its size."""

_BLOCK_BYTES = 1 << 16
_XZ_MEMORY_BYTES = 128 << 20
"""Memory of one xz stream: `xz -9` takes 65 MiB."""

_DAMAGE = (ValueError, OverflowError, RecursionError, IndexError, KeyError, TypeError, zlib.error, lzma.LZMAError)
"""What invalid headers raise in `tarfile`, besides its own errors, and what a damaged stream does."""


class TarRefused(tarfile.ReadError):
    """A tar over one of the bounds."""


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


class BoundedTar(tarfile.TarFile):
    """A tar whose members are read in order, once; links and devices are reported, sparse files refused."""

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member.

        Raises
        ------
        ReadError
            If its headers are too long, damaged, or those of a sparse file.
        """
        source = self.fileobj
        assert isinstance(source, _Forward)
        source.limit = self.offset + HEADER_BYTES
        try:
            member = super().next()
        except _DAMAGE as error:
            raise tarfile.ReadError(f"invalid headers ({type(error).__name__})") from error
        finally:
            source.limit = None
        if sum(len(key) + len(value) + 64 for key, value in self.pax_headers.items()) > GLOBAL_BYTES:
            raise TarRefused(f"global headers of more than {GLOBAL_BYTES} bytes")
        if member is not None and (member.issparse() or member.type == tarfile.GNUTYPE_SPARSE):
            raise TarRefused("a sparse file, which is not an image")
        return member


def open_tar(file: IO[bytes], *, ratio: float = RATIO) -> BoundedTar:
    """Open a tar for reading, whatever packs it: gz, bz2, xz, lzma or nothing.

    Parameters
    ----------
    file : binary file that can seek
    ratio : float
        Largest ratio of what it unpacks to and its size, above 1 MiB.

    Raises
    ------
    ReadError
        If it is no tar; while it is read, where it is damaged or over a bound.
    """
    most = max(RATIO_FLOOR_BYTES, int(ratio * file.seek(0, io.SEEK_END)))
    file.seek(0)
    try:
        return BoundedTar(fileobj=_Forward(_unpacking(file), most), mode="r")  # type: ignore[arg-type]  # a file object
    except _DAMAGE as error:
        raise tarfile.ReadError(f"not a tar ({type(error).__name__})") from error


def is_tar(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a tar; one that is over the bounds is one as well."""
    try:
        with open(path, "rb") as file, open_tar(file):
            return True
    except TarRefused:
        return True
    except tarfile.TarError:
        return False


def open_plain_tar(stream: Readable, *, most: int) -> BoundedTar:
    """Open a tar that another decompressor unpacks, limited to a number of bytes."""
    return BoundedTar(fileobj=_Forward(stream, most), mode="r")  # type: ignore[arg-type]  # a file object


def _unpacking(file: IO[bytes]) -> Readable:
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)  # type: ignore[type-var]
    start = buffered.peek(6)[:6]
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=buffered)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(buffered)
    if start.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        return _Xz(buffered)
    return buffered


class _Forward:
    """A stream as `tarfile` wants it: it knows its position, goes forward only, and bounds what is read."""

    def __init__(self, source: Readable, most: int) -> None:
        self.limit: int | None = None
        self._source = source
        self._most = most
        self._offset = 0

    def tell(self) -> int:
        return self._offset

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go forward to a position, reading what is before it; the end of the data is found by the next read."""
        if offset < self._offset or whence != io.SEEK_SET:
            raise tarfile.ReadError("a position before the current one")
        while self._offset < offset and self._take(min(offset - self._offset, _BLOCK_BYTES)):
            pass
        return self._offset

    def read(self, size: int) -> bytes:
        if size < 0:
            raise tarfile.ReadError("a size below zero")
        if self.limit is not None and self._offset + size > self.limit:
            raise TarRefused(f"headers of one member of more than {HEADER_BYTES} bytes")
        pieces = []
        while size > 0 and (piece := self._take(min(size, _BLOCK_BYTES))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _take(self, size: int) -> bytes:
        piece = self._source.read(size)
        self._offset += len(piece)
        if self._offset > self._most:
            raise TarRefused(f"a decompression bomb: it unpacks to more than {self._most} bytes")
        return piece


class _Xz:
    """An xz or lzma stream, unpacked in bounded memory: `lzma.open` allocates whatever the file asks for."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._unpacker = self._new()

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)

    def read(self, size: int, /) -> bytes:
        while True:
            if self._unpacker.eof:
                rest = self._unpacker.unused_data.lstrip(b"\0") or self._file.read(_BLOCK_BYTES).lstrip(b"\0")
                if not rest:
                    return b""
                self._unpacker = self._new()
            else:
                rest = self._file.read(_BLOCK_BYTES) if self._unpacker.needs_input else b""
                if not rest and self._unpacker.needs_input:
                    raise EOFError("the xz stream ends early")
            data = self._unpacker.decompress(rest, size)
            if data:
                return data
