"""What image files there are in a folder, zip or tar, and a stamp of each that changes when its bytes may have.

Takes the names that are there, gives `ImageFiles`: the key that joins a file to its catalog row, and the stamp.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from galclass.errors import StoreError


@dataclass(frozen=True)
class ImageFiles:
    """The image files of one container.

    Attributes
    ----------
    path : Path
        A folder, zip or tar.
    names : dict of str to str
        Key (name without folder and suffix) -> name inside the container, in the order of reading.
    stamps : dict of str to str
        Name -> size and time (folder), checksum (zip) or the archive's own size and time (tar).
    """

    path: Path
    names: dict[str, str]
    stamps: dict[str, str]

    @property
    def sha256(self) -> str:
        """Hash of all names and stamps."""
        return stamps_sha256(self.stamps.items())


def stamps_sha256(stamps: Iterable[tuple[str, str]]) -> str:
    """Hash names and stamps, in order."""
    digest = hashlib.sha256()
    for name, stamp in stamps:
        digest.update(f"{name}\0{stamp}\n".encode())
    return digest.hexdigest()


def image_files(path: Path, names: Iterable[str]) -> ImageFiles:
    """Look at the files of a container.

    Parameters
    ----------
    path : Path
        A folder, zip or tar.
    names : iterable of str
        Its image files, in the order of reading.

    Raises
    ------
    StoreError
        If two files have the same key.
    """
    by_key: dict[str, str] = {}
    for name in names:
        key = PurePosixPath(name).stem
        if key in by_key:
            raise StoreError(
                "two images have the same key",
                where=str(path),
                got=f"{by_key[key]} and {name}",
                advice="the name without folder and suffix joins an image to its catalog row; rename one",
            )
        by_key[key] = name
    if path.is_dir():
        stamps = {name: _file_stamp(path / name) for name in by_key.values()}
        return ImageFiles(path, by_key, stamps)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            checksums = {info.filename: f"{info.file_size} {info.CRC:08x}" for info in archive.infolist()}
        return ImageFiles(path, by_key, {name: checksums[name] for name in by_key.values()})
    return ImageFiles(path, by_key, dict.fromkeys(by_key.values(), _file_stamp(path)))


def _file_stamp(path: Path) -> str:
    facts = path.stat()
    return f"{facts.st_size} {facts.st_mtime_ns}"
