"""The table of contents of a zip: which members are images, under which name, and where they lie."""

from __future__ import annotations

import lzma
import os
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from galclass.bounded_tar import is_tar
from galclass.bounded_zip import METHODS, fault_of_packing, fault_of_sizes
from galclass.errors import ArchiveError
from galclass.image_files.limits import RATIO_FLOOR_BYTES, ArchiveLimits, MemberCheck, refusal
from galclass.image_files.names import Kind, kind_of, looks_like_image, may_be_image
from galclass.image_files.skipped import FileFault, Skipped
from galclass.image_files.zipped import ZipLocation

_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_UNICODE_PATH = 0x7075
_START = 16  # bytes that tell an image


def is_zip(path: Path | str) -> bool:
    """Return whether a file is a zip; a tar that holds one, whose end zipfile takes for that of a zip, is none."""
    with open(path, "rb") as file:
        start = file.read(2)
    try:
        return zipfile.is_zipfile(path) and (start == b"PK" or not is_tar(path))
    except (EOFError, zlib.error, lzma.LZMAError):  # tarfile lets what unpacks it speak
        return True


class ZipImage(NamedTuple):
    """An image of a zip: its name with "/" between the parts, its entry, and where it lies."""

    name: str
    info: zipfile.ZipInfo
    location: ZipLocation


class ZipContents(NamedTuple):
    """The images of a zip, those that cannot be read, and the rest."""

    images: list[ZipImage]
    faults: list[FileFault]
    skipped: Skipped


def checked_members(
    archive: zipfile.ZipFile, path: Path | str, limits: ArchiveLimits
) -> list[tuple[str, zipfile.ZipInfo]]:
    """Return the files of a zip by their names; an unsafe table of contents refuses the whole.

    Raises
    ------
    ArchiveError
        For names that point outside, members that overlap, and what is over the limits.
    """
    infos = [info for info in archive.infolist() if not _is_folder(info)]
    if archive.fp is not None and (fault := fault_of_sizes(infos, archive.fp.seek(0, os.SEEK_END), limits.ratio)):
        raise refusal(fault, path, "all together", f"at most {limits.ratio:g} times its size")
    names = MemberCheck(Path(path), limits)
    members = []
    for info in infos:
        members.append((names.add(name_of(info), info.file_size), info))
        if info.file_size > max(RATIO_FLOOR_BYTES, limits.ratio * info.compress_size):
            raise refusal("a decompression bomb", path, info.filename, f"at most {limits.ratio:g} times its size")
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise refusal("members that overlap", path, info.filename)
        end = info.header_offset + info.compress_size
    return members


def zip_contents(archive: zipfile.ZipFile, path: Path | str, limits: ArchiveLimits) -> ZipContents:
    """List an open zip.

    Raises
    ------
    ArchiveError
        As `checked_members`.
    """
    members = checked_members(archive, path, limits)
    times = Counter(name for name, _ in members)
    repeated = len(times) < len(members)
    contents = ZipContents([], [], Skipped())
    for name, info in members:
        kind = kind_of(name)
        if kind is Kind.OTHER and may_be_image(name) and looks_like_image(_start_of(archive, info)):
            kind = Kind.NO_SUFFIX
        if kind is not Kind.IMAGE:
            contents.skipped.add(kind, name)
            continue
        fault = fault_of(name, info, times[name] if repeated else 1)
        if fault:
            contents.faults.append(fault)
        else:
            location = ZipLocation(info.header_offset, info.compress_size, info.CRC, info.compress_type)
            contents.images.append(ZipImage(name, info, location))
    return contents


def fault_of(name: str, info: zipfile.ZipInfo, times: int) -> FileFault | None:
    """Return why a member cannot be read, None where it can."""
    if times > 1:
        return FileFault(name, "repeated_name", f"the archive has {times} members of this name")
    if info.flag_bits & _ENCRYPTED:
        return FileFault(name, "encrypted", "the member is encrypted")
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        return FileFault(name, "link", "the member is a symbolic link")
    packing = fault_of_packing(info)
    return FileFault(name, "unsupported_packing", packing) if packing else None


def name_of(info: zipfile.ZipInfo) -> str:
    """Return a member's name: UTF-8 where it says so or is so, else by its Unicode extra field or code page 437."""
    if info.flag_bits & _UTF8_NAME or info.filename.isascii():
        return info.filename
    raw = info.orig_filename.encode("cp437")
    field = _unicode_path(info.extra, raw)
    try:
        return (field if field is not None else raw).decode("utf-8")
    except UnicodeDecodeError:
        return info.filename


def _unicode_path(extra: bytes, raw: bytes) -> bytes | None:
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        body = extra[4 : 4 + size]
        if kind == _UNICODE_PATH and size > 5 and body[1:5] == zlib.crc32(raw).to_bytes(4, "little"):
            return body[5:]
        extra = extra[4 + size :]
    return None


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return info.is_dir() or (info.filename.endswith("\\") and info.file_size == 0)


def _start_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.flag_bits & _ENCRYPTED or info.compress_type not in METHODS:
        return b""
    try:
        with archive.open(info) as member:
            return member.read(_START)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ArchiveError):
        return b""
