"""Members of a tar, streamed: plain, gz, bz2, xz or zst; what cannot be read is named."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from galclass import bounded_tar
from galclass.image_files.limits import RATIO_FLOOR_BYTES, ArchiveLimits, MemberCheck, refusal

_ZSTD = b"\x28\xb5\x2f\xfd"


def tar_members(path: Path, limits: ArchiveLimits) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes] | None]]:
    """Yield the name, entry and bytes of each member that is no folder; the bytes are None of links and devices.

    Raises
    ------
    ArchiveError
        For names that point outside, and what is over the limits.
    """
    names = MemberCheck(path, limits)
    most = max(RATIO_FLOOR_BYTES, limits.ratio * path.stat().st_size)
    with open_tar(path, limits) as archive:
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # else the entries of all members stay in memory
            if info.isdir():
                continue
            name = names.add(info.name, info.size if info.isreg() else 0)
            if names.total_bytes > most:
                raise refusal("a decompression bomb", path, info.name, f"at most {limits.ratio:g} times its size")
            yield name, info, archive.extractfile(info) if info.isreg() else None


@contextmanager
def open_tar(path: Path, limits: ArchiveLimits) -> Iterator[tarfile.TarFile]:
    """Open a tar as a stream in bounded memory, whatever packs it."""
    with path.open("rb") as file:
        if file.read(4) != _ZSTD:
            with bounded_tar.open_tar(file, ratio=limits.ratio) as archive:
                yield archive
            return
        most = max(RATIO_FLOOR_BYTES, int(limits.ratio * path.stat().st_size))
        with _unpacked_zst(path) as stream, bounded_tar.open_plain_tar(stream, most=most) as archive:
            yield archive


def _unpacked_zst(path: Path) -> Any:
    """Open a .zst for reading: tarfile reads it itself from Python 3.14 on."""
    import pyarrow as pa

    return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
