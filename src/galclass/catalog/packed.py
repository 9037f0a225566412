"""Tables of text that are packed as one file: gzip, bzip2, xz and Zstandard."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from galclass.errors import CatalogError

PACKED = (".gz", ".bz2", ".xz", ".zst")
"""Suffixes, the first one of gzip."""


def _zstandard(data: bytes) -> bytes:
    with pa.input_stream(pa.py_buffer(data), compression="zstd") as stream:
        unpacked: bytes = stream.read()
    return unpacked


_WAYS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\0": lzma.decompress,
    b"\x28\xb5\x2f\xfd": _zstandard,
}
"""By the first bytes."""


def unpacked(data: bytes, path: Path) -> bytes:
    """Return the bytes of a file, unpacked if their beginning says that they are packed.

    Raises
    ------
    CatalogError
        If they are damaged or cut off.
    """
    way = next((way for magic, way in _WAYS.items() if data.startswith(magic)), None)
    if way is None or (way is bz2.decompress and data[4:10] != b"1AY&SY"):
        return data
    try:
        return way(data)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        raise CatalogError(f"cannot be unpacked: {error or 'it is cut off'}", where=str(path)) from error
