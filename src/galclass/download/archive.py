"""Image bytes out of a folder, a zip or a tar, streamed: 240,000 images need no 240,000 files on disk.

Takes a path, gives `(name, bytes)` pairs one at a time; `unpack` writes a checked archive to a folder.
An archive is refused as a whole if a member points outside, a name comes twice, or it is a decompression bomb.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from galclass.errors import ArchiveError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp"})
_BLOCK_BYTES = 1 << 20
_RATIO_FLOOR_BYTES = 1 << 20  # ratios of small members mean nothing


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold before it is taken for hostile.

    Attributes
    ----------
    member_bytes : int
        Largest member, unpacked.
    total_bytes : int
        Sum of all members, unpacked.
    members : int
        Number of members.
    ratio : float
        Unpacked by packed size of a member (zip) or of the whole (tar) above 1 MiB; images hardly shrink.
    """

    member_bytes: int = 256 << 20
    total_bytes: int = 1 << 40
    members: int = 10_000_000
    ratio: float = 200.0


DEFAULT_LIMITS = ArchiveLimits()

Wanted = Callable[[str], bool]
Unreadable = Callable[[str, OSError], None]


def iter_images(
    path: Path | str,
    *,
    wanted: Wanted | None = None,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    unreadable: Unreadable | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Give every image of a folder or archive in a stable order, reading one at a time.

    Parameters
    ----------
    path : path
        A folder (searched to the bottom), an image file, a zip, or a tar (plain, gz, bz2, xz).
    wanted : callable, optional
        Says of a name whether its bytes are to be read; others are passed over (cheap in a folder or zip).
    limits : ArchiveLimits
        What is refused.
    unreadable : callable, optional
        Told of each file of a folder that cannot be read (a dangling link, no permission), which is then passed over;
        left out, such a file is an error.

    Yields
    ------
    name : str
        Path inside the folder or archive, with "/" between its parts.
    data : bytes
        The file's bytes as they are; nothing is decoded.

    Raises
    ------
    ArchiveError
        If the archive is damaged, unsafe or over the limits.
    """
    path = Path(path)
    keep = wanted or (lambda name: True)
    if path.is_dir():
        for name in folder_names(path):
            if keep(name):
                try:
                    data = (path / name).read_bytes()
                except OSError as error:
                    if unreadable is None:
                        raise
                    unreadable(name, error)
                    continue
                yield name, data
        return
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        if keep(path.name):
            yield path.name, path.read_bytes()
        return
    yield from _members(path, limits, lambda name: is_image(name) and keep(name))


def unpack(path: Path | str, folder: Path | str, *, limits: ArchiveLimits = DEFAULT_LIMITS) -> int:
    """Unpack an archive's files into a new folder, all or nothing.

    Returns
    -------
    int
        Number of files written. Links, devices and macOS resource files are left out.

    Raises
    ------
    ArchiveError
        If the folder exists, or the archive is damaged, unsafe or over the limits; nothing is left behind.
    """
    path, folder = Path(path), Path(folder)
    if folder.exists():
        raise ArchiveError("the target folder exists", where=str(folder), advice="name a new one")
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    count = 0
    try:
        for name, data in _members(path, limits, lambda name: True):
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            count += 1
        partial.mkdir(parents=True, exist_ok=True)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return count


def is_image(name: str) -> bool:
    """Tell whether a member's name is that of an image (macOS resource files are none)."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not _is_junk(name)


def _is_junk(name: str) -> bool:
    return "__MACOSX" in name.split("/") or "/._" in f"/{name}"


def folder_names(folder: Path) -> list[str]:
    """List the image files of a folder, to its bottom, sorted, with "/" between the parts."""
    names = []
    for root, folders, files in os.walk(folder):
        folders.sort()
        inside = Path(root).relative_to(folder).as_posix()
        names += [file if inside == "." else f"{inside}/{file}" for file in files if is_image(file)]
    return sorted(names)


def _members(path: Path, limits: ArchiveLimits, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    if not path.is_file():
        raise ArchiveError("no such folder or archive", where=str(path))
    with naming_the_archive(path):
        if zipfile.is_zipfile(path):
            yield from _zip_members(path, limits, wanted)
        else:
            yield from _tar_members(path, limits, wanted)


@contextmanager
def naming_the_archive(path: Path) -> Iterator[None]:
    """Turn what a damaged archive raises into an `ArchiveError` that names it."""
    try:
        yield
    except PermissionError:
        raise
    except (zipfile.BadZipFile, zlib.error, tarfile.TarError, EOFError, OSError, NotImplementedError) as error:
        raise ArchiveError(
            f"damaged or not an archive: {error}", where=str(path), expected="a zip or tar", advice="fetch it again"
        ) from error


def _zip_members(path: Path, limits: ArchiveLimits, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for info in checked_zip(archive, path, limits):
            if info.filename and not _is_junk(info.filename) and wanted(info.filename):
                with archive.open(info) as member:
                    yield info.filename, _read(member, info.filename, path, limits)


def checked_zip(archive: zipfile.ZipFile, path: Path, limits: ArchiveLimits) -> list[zipfile.ZipInfo]:
    """Give the files of a zip; an unsafe table of contents refuses it."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    names = _NameCheck(path, limits)
    end = 0
    for info in infos:
        names.add(info.filename, info.file_size)
        if info.flag_bits & 0x1:
            raise _refusal("an encrypted member", path, info.filename)
        if (info.external_attr >> 16) & 0o170000 == 0o120000:
            raise _refusal("a symbolic link", path, info.filename)
        if info.file_size > max(_RATIO_FLOOR_BYTES, limits.ratio * info.compress_size):
            raise _refusal("a decompression bomb", path, info.filename, f"at most {limits.ratio:g} times its size")
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise _refusal("members that overlap", path, info.filename)
        end = info.header_offset + info.compress_size
    return infos


def _tar_members(path: Path, limits: ArchiveLimits, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    names = _NameCheck(path, limits)
    most = max(_RATIO_FLOOR_BYTES, limits.ratio * path.stat().st_size)
    with tarfile.open(path, "r|*") as archive:
        for info in archive:
            if info.isdir():
                continue
            if not info.isreg():
                raise _refusal("a link or device", path, info.name)
            names.add(info.name, info.size)
            if names.total_bytes > most:
                raise _refusal("a decompression bomb", path, info.name, f"at most {limits.ratio:g} times its size")
            if not _is_junk(info.name) and wanted(info.name):
                member = archive.extractfile(info)
                if member is not None:
                    yield info.name, _read(member, info.name, path, limits)


class _NameCheck:
    """Refuse names that point outside or come twice, and sums over the limits."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self._path, self._limits = path, limits
        self._seen: set[str] = set()
        self.total_bytes = 0

    def add(self, name: str, size: int) -> None:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or not parts or ":" in parts[0]:
            raise _refusal("a name that points outside", self._path, name)
        key = "/".join(parts).casefold()
        if key in self._seen:
            raise _refusal("a name that comes twice", self._path, name)
        self._seen.add(key)
        self.total_bytes += size
        limits = self._limits
        if size > limits.member_bytes:
            raise _refusal("a member that is too large", self._path, name, f"at most {limits.member_bytes} bytes", size)
        if self.total_bytes > limits.total_bytes:
            raise _refusal("too many bytes", self._path, name, f"at most {limits.total_bytes}", self.total_bytes)
        if len(self._seen) > limits.members:
            raise _refusal("too many members", self._path, name, f"at most {limits.members}", len(self._seen))


def _refusal(what: str, path: Path, name: str, expected: str | None = None, got: object = None) -> ArchiveError:
    return ArchiveError(
        f"refused: {what}", where=f"{path}, member {name!r}", expected=expected, got=got,
        advice="get the archive from its publisher" if expected is None else "raise the limit if you trust it",
    )  # fmt: skip


def _read(member: IO[bytes], name: str, path: Path, limits: ArchiveLimits) -> bytes:
    # The declared size may lie: never read more than the limit.
    buffer = io.BytesIO()
    while block := member.read(_BLOCK_BYTES):
        buffer.write(block)
        if buffer.tell() > limits.member_bytes:
            raise _refusal("a member longer than it says", path, name, f"at most {limits.member_bytes} bytes")
    return buffer.getvalue()
