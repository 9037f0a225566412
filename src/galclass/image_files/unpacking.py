"""A checked archive unpacked into a new folder, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from galclass.atomic_files import new_folder
from galclass.bounded_zip import BoundedZip
from galclass.errors import ArchiveError
from galclass.image_files.limits import DEFAULT_LIMITS, ArchiveLimits, refusal
from galclass.image_files.listing import naming_the_archive
from galclass.image_files.names import shown
from galclass.image_files.tars import tar_members
from galclass.image_files.zips import checked_members, fault_of, is_zip
from galclass.image_names import is_junk


def unpack(path: Path | str, folder: Path | str, *, limits: ArchiveLimits = DEFAULT_LIMITS) -> int:
    """Unpack an archive's files into a new folder, all or nothing.

    Returns
    -------
    int
        Number of files written. macOS resource files are left out.

    Raises
    ------
    ArchiveError
        If the folder exists, or the archive is damaged, unsafe or over the limits, holds links or devices, or a name
        that comes twice (also in another case, as some disks take both for one); nothing is left behind.
    """
    path, folder = Path(path), Path(folder)
    if folder.exists():
        raise ArchiveError("the target folder already exists", where=shown(folder), advice="name a new one")
    names: set[str] = set()
    with new_folder(folder) as partial:
        for name, data in _files(path, limits):
            if name.casefold() in names:
                raise refusal("a name that occurs twice", path, name)
            names.add(name.casefold())
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    return len(names)


def _files(path: Path, limits: ArchiveLimits) -> Iterator[tuple[str, bytes]]:
    if not path.is_file():
        raise ArchiveError("archive not found", where=shown(path))
    with naming_the_archive(path):
        yield from _zip_files(path, limits) if is_zip(path) else _tar_files(path, limits)


def _zip_files(path: Path, limits: ArchiveLimits) -> Iterator[tuple[str, bytes]]:
    with BoundedZip(path, max_members=limits.members) as archive:
        for name, info in checked_members(archive, path, limits):
            fault = fault_of(name, info, 1)
            if fault:
                raise refusal(fault.reason, path, name)
            if not is_junk(name):
                with archive.open(info) as member:
                    data = member.read(limits.member_bytes + 1)  # the declared size may lie
                if len(data) > limits.member_bytes:
                    raise refusal("a member longer than it claims", path, name, f"at most {limits.member_bytes} bytes")
                yield name, data


def _tar_files(path: Path, limits: ArchiveLimits) -> Iterator[tuple[str, bytes]]:
    for name, _, member in tar_members(path, limits):
        if member is None:
            raise refusal("a link or device", path, name)
        if not is_junk(name):
            yield name, member.read()
