"""Reading images of folders, archives and files: one at a time, by name, or as a stream.

`iter_images` is the plain form: `(name, bytes)` pairs. `find_images` and `read_image` serve stages that read in several
processes: a file is named by one, read by another.
"""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from galclass.bounded_zip import BoundedZip
from galclass.errors import ArchiveError
from galclass.image_files.limits import DEFAULT_LIMITS, ArchiveLimits, refusal
from galclass.image_files.listing import Listing, folder_files, is_archive, list_images, naming_the_archive
from galclass.image_files.names import Kind, shown
from galclass.image_files.skipped import FileFault, Skipped
from galclass.image_files.tars import tar_members
from galclass.image_files.zipped import ZipLocation, read_member
from galclass.image_files.zips import is_zip, zip_contents
from galclass.image_names import object_id_of

Wanted = Callable[[str], bool]
Unreadable = Callable[[FileFault], None]

READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What reading a file or a member of a zip may raise."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image file, loose or in an archive.

    Attributes
    ----------
    root : str
        The folder or archive as it was named; "" where `name` is the path of a file that was named itself.
    name : str
        Path inside it, with "/" between the parts.
    location : ZipLocation or None
        Where it lies in a zip.
    in_tar : bool
        Whether `root` is a tar, whose members are read in their order (`with_bytes`).
    fault : FileFault or None
        Why it cannot be read, where the listing has found that out.
    """

    root: str
    name: str
    location: ZipLocation | None = None
    in_tar: bool = False
    fault: FileFault | None = None

    @property
    def object_id(self) -> str:
        """The object id that the name stands for, as text that any file can hold."""
        return shown(object_id_of(self.name))

    @property
    def path(self) -> str:
        """The path of a loose file."""
        return os.path.join(self.root, self.name)

    def __str__(self) -> str:
        return shown(self.path)


def find_images(
    paths: Iterable[Path | str], *, skipped: Skipped | None = None, limits: ArchiveLimits = DEFAULT_LIMITS
) -> Iterator[ImageFile]:
    """Yield every image of files, folders (to the bottom) and archives, each folder in the order of names.

    Parameters
    ----------
    paths : iterable of path
        A file that is named itself is always tried, whatever its suffix, unless it is an archive.
    skipped : Skipped, optional
        Gets the files that are not images, and those that were named before under the same path.
    limits : ArchiveLimits
        What an archive may hold.

    Yields
    ------
    ImageFile
        Images that cannot be read have a `fault`.

    Raises
    ------
    ArchiveError
        If a path does not exist or a folder cannot be listed, or an archive is damaged, unsafe or over the limits.
    """
    roots = list(map(Path, paths))
    skipped = Skipped() if skipped is None else skipped
    named: set[str] = set()
    for root in roots:
        for image in _images_of(root, skipped, limits):
            if len(roots) > 1:
                absolute = os.path.abspath(image.path)
                if absolute in named:
                    skipped.add(Kind.REPEATED, image.path)
                    continue
                named.add(absolute)
            yield image


def _images_of(path: Path, skipped: Skipped, limits: ArchiveLimits) -> Iterator[ImageFile]:
    if path.is_dir():
        faults: list[FileFault] = []
        for name in folder_files(path, faults, skipped):
            yield ImageFile(str(path), name)
        yield from (ImageFile(str(path), fault.name, fault=fault) for fault in faults)
    elif not os.path.lexists(path):
        raise ArchiveError("no such file or folder", where=shown(path))
    elif is_archive(path):
        listing = list_images(path, limits=limits)
        skipped.update(listing.skipped)
        in_tar = not is_zip(path)
        yield from (ImageFile(str(path), entry.name, entry.location, in_tar) for entry in listing)
        yield from (ImageFile(str(path), fault.name, fault=fault) for fault in listing.faults)
    else:
        yield ImageFile("", str(path))


def read_image(image: ImageFile, most: int) -> bytes:
    """Read a loose file or a member of a zip.

    Parameters
    ----------
    image : ImageFile
        Not of a tar.
    most : int
        Largest image in bytes; of a larger one `most + 1` bytes are returned.

    Raises
    ------
    OSError, EOFError, zlib.error, lzma.LZMAError, BadZipFile
        If it cannot be read (`READ_ERRORS`).
    """
    if image.location is not None:
        return read_member(_descriptor(image.root), image.location, most)
    with open(image.path, "rb") as file:
        return file.read(most + 1)


@lru_cache(maxsize=2)
def _descriptor(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def with_bytes(images: Iterable[ImageFile], most: int) -> Iterator[tuple[ImageFile, bytes | None]]:
    """Yield images as they are, with None, and those of a tar with their bytes, read in one pass.

    Parameters
    ----------
    images : iterable of ImageFile
        Those of one tar in its order, one after another.
    most : int
        Largest image in bytes; of a larger one `most + 1` bytes are given.
    """
    for (root, in_tar), group in groupby(images, key=lambda image: (image.root, image.in_tar)):
        if not in_tar:
            yield from ((image, None) for image in group)
            continue
        yield from _with_tar_bytes(root, list(group), most)


def _with_tar_bytes(root: str, images: list[ImageFile], most: int) -> Iterator[tuple[ImageFile, bytes | None]]:
    at = 0
    for name, data in _tar_images(Path(root), DEFAULT_LIMITS, None, most):
        if at < len(images) and name == images[at].name:
            yield images[at], data
            at += 1
    yield from ((image, None) for image in images[at:])  # the tar has changed since it was listed


def iter_images(
    path: Path | str,
    *,
    wanted: Wanted | None = None,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    unreadable: Unreadable | None = None,
    listing: Listing | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Yield every image of a folder, zip or tar, or one image file, in a stable order, reading one at a time.

    Parameters
    ----------
    path : path
        A folder (searched to the bottom), an image file, a zip, or a tar (plain, gz, bz2, xz, zst).
    wanted : callable, optional
        Returns whether the bytes of a name are to be read; others are passed over (cheap in a folder or zip).
    limits : ArchiveLimits
        What is refused.
    unreadable : callable, optional
        Called with each image that cannot be read (a dangling link, no permission, an encrypted member), which is then
        left out; without it such an image is an error.
    listing : Listing, optional
        What `list_images` returned for the path, so that it is not listed again.

    Yields
    ------
    name : str
        Path inside the folder or archive, with "/" between its parts.
    data : bytes
        The file's bytes as they are; nothing is decoded.

    Raises
    ------
    ArchiveError
        If the archive is damaged, unsafe or over the limits, or an image of it cannot be read.
    OSError
        If a file of a folder cannot be read.
    """
    path = Path(path)
    listing = list_images(path, limits=limits) if listing is None else listing
    for fault in listing.faults:
        if wanted is None or wanted(fault.name):
            if unreadable is None:
                raise ArchiveError(fault.reason, where=f"{shown(path)}, {shown(fault.name)}")
            unreadable(fault)
    names = [entry.name for entry in listing if wanted is None or wanted(entry.name)]
    if path.is_dir():
        yield from _loose(path, names, unreadable)
    elif len(listing) and listing[0].location is not None:
        yield from _zip_images(path, set(names), limits, unreadable)
    elif not is_archive(path):
        yield from _loose(path.parent, names, unreadable)
    elif names:
        yield from _tar_images(path, limits, set(names))


def _loose(folder: Path, names: Iterable[str], unreadable: Unreadable | None) -> Iterator[tuple[str, bytes]]:
    for name in names:
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            if unreadable is None:
                raise
            unreadable(FileFault(name, "unreadable", error.strerror or str(error)))
            continue
        yield name, data


def _zip_images(
    path: Path, names: set[str], limits: ArchiveLimits, unreadable: Unreadable | None
) -> Iterator[tuple[str, bytes]]:
    with naming_the_archive(path), BoundedZip(path, max_members=limits.members) as archive, path.open("rb") as file:
        for name, _, location in zip_contents(archive, path, limits).images:
            if name not in names:
                continue
            try:
                data = read_member(file.fileno(), location, limits.member_bytes)
            except READ_ERRORS as error:
                if unreadable is None:
                    raise
                unreadable(FileFault(name, "unreadable", f"the member cannot be read ({error})"))
                continue
            if len(data) > limits.member_bytes:
                raise refusal("a member longer than it claims", path, name, f"at most {limits.member_bytes} bytes")
            yield name, data


def _tar_images(
    path: Path, limits: ArchiveLimits, names: set[str] | None, most: int | None = None
) -> Iterator[tuple[str, bytes]]:
    with naming_the_archive(path):
        for name, info, member in tar_members(path, limits):
            if member is not None and (names is None or name in names):
                yield name, member.read(info.size if most is None else min(info.size, most + 1))
