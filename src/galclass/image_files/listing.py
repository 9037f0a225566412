"""Which images there are in a folder, archive or file, without reading them: names, stamps, and what was skipped.

Takes a path, returns a `Listing` in the order of `iter_images`. 240,000 names of a folder or zip take a few seconds.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, overload

from galclass.bounded_tar import is_tar
from galclass.bounded_zip import BoundedZip
from galclass.errors import ArchiveError
from galclass.image_files.folders import walk
from galclass.image_files.limits import DEFAULT_LIMITS, ArchiveLimits
from galclass.image_files.names import ARCHIVE_SUFFIXES, Kind, kind_of, looks_like_image, may_be_image, shown
from galclass.image_files.skipped import FileFault, Skipped
from galclass.image_files.tars import tar_members
from galclass.image_files.zipped import ZipLocation
from galclass.image_files.zips import is_zip, zip_contents
from galclass.image_names import IMAGE_SUFFIXES, object_id_of, suffix_of

_START = 16  # bytes that tell an image


class ImageEntry(NamedTuple):
    """One image of a container.

    Attributes
    ----------
    name : str
        Path inside the container, with "/" between its parts.
    stamp : str
        Changes when the bytes may have: size and time (folder), size and checksum (zip), the archive's own (tar).
    location : ZipLocation or None
        Where a member of a zip lies; None outside a zip.
    """

    name: str
    stamp: str
    location: ZipLocation | None = None


@dataclass(frozen=True)
class Listing(Sequence[ImageEntry]):
    """The images of a container in the order of reading, and what else was seen there.

    Attributes
    ----------
    path : Path
        A folder, zip, tar or image file.
    entries : list of ImageEntry
    faults : list of FileFault
        Images that cannot be read: encrypted members, names that come twice, links in archives, folders not listed.
    skipped : Skipped
        All other files, counted and named.
    """

    path: Path
    entries: list[ImageEntry]
    faults: list[FileFault]
    skipped: Skipped

    @overload
    def __getitem__(self, at: int) -> ImageEntry: ...
    @overload
    def __getitem__(self, at: slice) -> list[ImageEntry]: ...
    def __getitem__(self, at: int | slice) -> ImageEntry | list[ImageEntry]:
        return self.entries[at]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[ImageEntry]:
        return iter(self.entries)

    @property
    def seen(self) -> int:
        """How many files were seen: images, faults and skipped."""
        return len(self.entries) + len(self.faults) + self.skipped.total

    def lost(self) -> list[str]:
        """Return images skipped for their format or missing suffix that have no other image with the same id."""
        return self.skipped.lost(object_id_of(entry.name) for entry in self.entries)


def list_images(path: Path | str, *, limits: ArchiveLimits = DEFAULT_LIMITS) -> Listing:
    """List the images of a folder (recursively), zip, tar, or one file.

    Raises
    ------
    ArchiveError
        If the path does not exist, the folder cannot be listed, or the archive is damaged, unsafe or over the limits.
    """
    path = Path(path)
    listing = Listing(path, [], [], Skipped())
    if path.is_dir():
        _list_folder(listing)
    elif not path.exists():
        raise ArchiveError("file, folder or archive not found", where=shown(path))
    elif not is_archive(path):
        listing.entries.append(ImageEntry(path.name, file_stamp(path)))
    else:
        with naming_the_archive(path):
            _list_zip(listing, limits) if is_zip(path) else _list_tar(listing, limits)
    return listing


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip or tar: by its suffix or its bytes, but never one with the suffix of an image."""
    suffix = suffix_of(path.name)
    if suffix in IMAGE_SUFFIXES or not path.is_file():
        return False
    if suffix in ARCHIVE_SUFFIXES:
        return True
    try:
        return not looks_like_image(_start(path)) and (is_zip(path) or is_tar(path))
    except (OSError, EOFError, zlib.error, lzma.LZMAError):  # tarfile lets what unpacks it speak
        return False


def folder_files(folder: Path, faults: list[FileFault], skipped: Skipped) -> Iterator[str]:
    """Yield the names of a folder's images as they are found; the rest goes to `faults` and `skipped`.

    Raises
    ------
    ArchiveError
        If the folder itself cannot be listed; folders inside are faults.
    """

    def unlisted(inside: str, error: OSError) -> None:
        if not inside:
            raise ArchiveError("a folder cannot be listed", where=shown(folder), got=error.strerror) from error
        faults.append(FileFault(inside, "unreadable", f"the folder cannot be listed ({error.strerror})"))

    for name, special in walk(str(folder), unlisted, lambda name: skipped.add(Kind.REPEATED, name)):
        kind = kind_of(name)
        if kind is Kind.IMAGE and special:
            faults.append(FileFault(name, "unreadable", "it is not a file but a pipe, socket or device"))
        elif kind is Kind.IMAGE:
            yield name
        else:
            if kind is Kind.OTHER and not special and may_be_image(name) and looks_like_image(_start(folder / name)):
                kind = Kind.NO_SUFFIX
            skipped.add(kind, name)


def _list_folder(listing: Listing) -> None:
    folder = str(listing.path)
    seen: dict[str, str] = {}
    for name in sorted(folder_files(listing.path, listing.faults, listing.skipped)):
        if not name.isascii() and seen.setdefault(shown(name), name) != name:
            reason = "its name and that of another file differ only in bytes that are not UTF-8"
            listing.faults.append(FileFault(name, "unclear_name", reason))
            continue
        listing.entries.append(ImageEntry(name, file_stamp(f"{folder}/{name}")))


def _list_zip(listing: Listing, limits: ArchiveLimits) -> None:
    with BoundedZip(listing.path, max_members=limits.members) as archive:
        contents = zip_contents(archive, listing.path, limits)
    listing.faults.extend(contents.faults)
    listing.skipped.update(contents.skipped)
    listing.entries.extend(
        ImageEntry(name, f"{info.file_size} {info.CRC:08x}", location) for name, info, location in contents.images
    )


def _list_tar(listing: Listing, limits: ArchiveLimits) -> None:
    names: dict[str, int] = {}
    stamp = file_stamp(listing.path)
    for name, info, data in tar_members(listing.path, limits):
        kind = kind_of(name)
        if kind is Kind.OTHER and data and may_be_image(name) and looks_like_image(data.read(_START)):
            kind = Kind.NO_SUFFIX
        if kind is not Kind.IMAGE:
            listing.skipped.add(kind, name)
        elif data is None:
            what = f"a link to {shown(info.linkname)}" if info.issym() or info.islnk() else "a device or pipe"
            listing.faults.append(FileFault(name, "link", f"the member is {what}"))
        else:
            names[name] = names.get(name, 0) + 1
    for name, times in names.items():
        if times == 1:
            listing.entries.append(ImageEntry(name, stamp))
        else:
            reason = f"the archive has {times} members of this name"
            listing.faults.extend([FileFault(name, "repeated_name", reason)] * times)


@contextmanager
def naming_the_archive(path: Path) -> Iterator[None]:
    """Turn what a damaged archive raises into an `ArchiveError` that names it."""
    try:
        yield
    except PermissionError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        tarfile.TarError,
        EOFError,
        OSError,
        NotImplementedError,
    ) as error:
        other = _other_kind(path)
        raise ArchiveError(
            f"this is {other}" if other else f"damaged or not an archive: {error}", where=shown(path),
            expected="a zip or tar", advice="unpack it" if other else "fetch it again",
        ) from error  # fmt: skip


_OTHER_KINDS = {b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"Rar!\x1a\x07": "a RAR archive"}
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
_OF_TARS = (".tgz", ".tbz", ".tbz2", ".txz", ".tzst")


def _other_kind(path: Path) -> str | None:
    """Return what a file is that is neither zip nor tar; None if it may be a damaged one of these."""
    start, name = _start(path), path.name.lower()
    if start.startswith(_PACKED) and ".tar" not in name and not name.endswith(_OF_TARS):
        return "a single packed file"
    return next((kind for magic, kind in _OTHER_KINDS.items() if start.startswith(magic)), None)


def file_stamp(path: os.PathLike[str] | str) -> str:
    """Return size and time of a file, "unreadable" for a dangling link or one that is gone."""
    try:
        facts = os.stat(path)
    except OSError:  # whoever reads it finds out why
        return "unreadable"
    return f"{facts.st_size} {facts.st_mtime_ns}"


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_START)
    except OSError:
        return b""
