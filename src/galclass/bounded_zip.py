"""A zip read in memory that does not grow with what it claims or unpacks to.

`zipfile` reads the whole table of contents before anyone can look at it, and unpacks without a bound: bzip2 and LZMA
always, deflate where a member is read whole. A kilobyte can take a gigabyte. Here the table is measured first, and a
member never gives more than it says.
"""

from __future__ import annotations

import bz2
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from typing import IO, Any

RATIO_FLOOR_BYTES = 1 << 20
"""What any member and archive may unpack to; ratios of small ones mean nothing."""

MAX_MEMBERS = 10_000_000
"""Members of a zip where nothing else is said; a table of so many takes gigabytes already."""

METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
"""The ways of packing a member that are read."""

_OTHER_METHODS = {
    **{1: "shrink", 2: "reduce", 3: "reduce", 4: "reduce", 5: "reduce", 6: "implode", 9: "deflate64", 20: "Zstandard"},
    **{93: "Zstandard", 94: "MP3", 95: "xz", 96: "JPEG", 97: "WavPack", 98: "PPMd", 99: "AES encryption"},
}
"""Those that PKWARE's specification knows besides."""

_ENTRY_BYTES, _NAME_BYTES = 46, 512
"""An entry of the table without names, and what its names, extras and comment may have on average."""

_END = b"PK\x05\x06"
_END_BYTES, _COMMENT_BYTES = 22, 65_535
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")


def fault_of_packing(info: zipfile.ZipInfo) -> str | None:
    """Return why a member is packed in a way that is not read, and what to do; None for the usual ways."""
    if info.compress_type in METHODS:
        return None
    method = _OTHER_METHODS.get(info.compress_type, f"method {info.compress_type}")
    return f"the member is packed with {method}, which is not supported: unpack the archive and zip it with deflate"


class BoundedZip(zipfile.ZipFile):
    """A zip of a bounded number of members.

    Parameters
    ----------
    file : path or binary file that can seek
    max_members : int

    Raises
    ------
    TooManyMembers
        If it has more, folders included; before its table of contents is read.
    BadZipFile
        If it is none.
    """

    _writing = False  # also where Ctrl-C comes before the base class says so: its destructor asks

    def __init__(self, file: str | os.PathLike[str] | IO[bytes], *, max_members: int = MAX_MEMBERS) -> None:
        if isinstance(file, str | os.PathLike):
            with open(file, "rb") as opened:
                _check_table(opened, max_members)
        else:
            _check_table(file, max_members)
        super().__init__(file)
        if len(self.filelist) > max_members:
            raise TooManyMembers(len(self.filelist))

    def open(self, name: str | zipfile.ZipInfo, mode: Any = "r", *args: Any, **options: Any) -> IO[bytes]:
        """Open a member; reading returns at most its declared number of bytes.

        Raises
        ------
        BadZipFile
            While it is read: if there is more of it.
        """
        member = super().open(name, mode, *args, **options)
        info = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        if info.compress_type in _UNPACKERS:
            member._decompressor = _UNPACKERS[info.compress_type](info.file_size)  # type: ignore[attr-defined]
        return member


class TooManyMembers(zipfile.BadZipFile):
    """A zip with more members than may be read."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"too many members ({count})")


def fault_of_sizes(members: Sequence[zipfile.ZipInfo], size: int, ratio: float) -> str | None:
    """Return why the sizes in a table of contents cannot be those of images, None where they can.

    Parameters
    ----------
    members : sequence of ZipInfo
        All of the zip's.
    size : int
        Bytes of the zip.
    ratio : float
        Largest ratio of unpacked and packed size above 1 MiB: of each member, and of all together.
    """
    packed, unpacked = (sum(getattr(one, name) for one in members) for name in ("compress_size", "file_size"))
    if packed > size:
        return "members that overlap"
    if unpacked > RATIO_FLOOR_BYTES + ratio * packed:
        return "a decompression bomb"
    if any(one.file_size > RATIO_FLOOR_BYTES + ratio * one.compress_size for one in members):
        return "a decompression bomb"
    return None


def _check_table(file: IO[bytes], max_members: int) -> None:
    """Refuse a table of contents that is too long for the allowed number of members; `zipfile` would read it whole."""
    found = _table_size(file)
    if found is not None and found > max_members * (_ENTRY_BYTES + _NAME_BYTES):
        raise TooManyMembers(found // (_ENTRY_BYTES + _NAME_BYTES))
    if found is not None and _entries(file, found) > max_members:
        raise TooManyMembers(max_members + 1)


def _table_size(file: IO[bytes]) -> int | None:
    """Return the size of the table that the end of a zip declares, in bytes; None without an end."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - _END_BYTES - _COMMENT_BYTES))
    tail = file.read(_END_BYTES + _COMMENT_BYTES)
    offset = tail.rfind(_END)
    if offset < 0 or len(tail) - offset < _END_BYTES:
        return None
    size = int.from_bytes(tail[offset + 12 : offset + 16], "little")
    end = length - len(tail) + offset
    if end >= _LOCATOR.size:
        file.seek(end - _LOCATOR.size)
        mark, _, where, _ = _LOCATOR.unpack(file.read(_LOCATOR.size))
        # zipfile takes the record that stands right before its locator, wherever the locator points.
        for start in (end - _LOCATOR.size - _END64.size, where) if mark == b"PK\x06\x07" else ():
            if 0 <= start <= length - _END64.size:
                file.seek(start)
                record = _END64.unpack(file.read(_END64.size))
                if record[0] == b"PK\x06\x06":
                    size = max(size, record[8])
    return size


def _entries(file: IO[bytes], size: int) -> int:
    """Count the entries that may be in the last bytes of a zip, where its table is, block by block."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - size - _END_BYTES - _COMMENT_BYTES - _LOCATOR.size - _END64.size))
    count, tail = 0, b""
    while block := file.read(1 << 20):
        data = tail + block
        count += data.count(b"PK\x01\x02")
        tail = data[-3:]
    return count


class _Bounded:
    """A decompressor with `zipfile`'s interface that refuses to return more than it is allowed."""

    def __init__(self, most: int) -> None:
        self._left = most
        self.eof = False

    def _counted(self, unpacker: bz2.BZ2Decompressor | lzma.LZMADecompressor, data: bytes) -> bytes:
        given = self._taken(unpacker.decompress(data, self._left + 1))
        self.eof = unpacker.eof
        return given

    def _taken(self, given: bytes) -> bytes:
        if len(given) > self._left:
            raise zipfile.BadZipFile("a member longer than it claims")
        self._left -= len(given)
        return given


class _Deflate(_Bounded):
    """As `zlib`'s, whose `flush` and whose reading of a whole member would have no bound."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)

    @property
    def unconsumed_tail(self) -> bytes:
        return self._unpacker.unconsumed_tail

    def decompress(self, data: bytes, most: int) -> bytes:
        given = self._unpacker.decompress(data, min(most, self._left + 1))
        self.eof = self._unpacker.eof
        return self._taken(given)

    def flush(self) -> bytes:
        return b"" if self.eof else self.decompress(self.unconsumed_tail, self._left + 1)


class _Bzip2(_Bounded):
    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._unpacker = bz2.BZ2Decompressor()

    def decompress(self, data: bytes) -> bytes:
        return self._counted(self._unpacker, data)


class _Lzma(_Bounded):
    """The filter's properties come first: two bytes of version, two of length, and they themselves."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._start = b""
        self._unpacker: lzma.LZMADecompressor | None = None

    def decompress(self, data: bytes) -> bytes:
        if self._unpacker is None:
            self._start += data
            size = int.from_bytes(self._start[2:4], "little")
            if len(self._start) <= 4 + size:
                return b""
            properties = lzma._decode_filter_properties(  # type: ignore[attr-defined]  # as zipfile does
                lzma.FILTER_LZMA1, self._start[4 : 4 + size]
            )
            # No larger dictionary than the member: its properties may ask for 4 GiB.
            properties["dict_size"] = min(properties["dict_size"], max(self._left, 4096))
            self._unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[properties])
            data = self._start[4 + size :]
        return self._counted(self._unpacker, data)


_UNPACKERS: dict[int, type[_Bounded]] = {
    zipfile.ZIP_DEFLATED: _Deflate,
    zipfile.ZIP_BZIP2: _Bzip2,
    zipfile.ZIP_LZMA: _Lzma,
}
