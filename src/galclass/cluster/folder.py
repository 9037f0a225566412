"""A folder on a shared disk or in an object store (S3, Azure, Google), one API for both.

A file is there whole or not at all: stores put objects in one go, and on a disk obstore renames a finished file.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from galclass.cluster.retry import patiently
from galclass.download.stores import Stores

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_URL = re.compile(r"[a-z][a-z0-9+.-]+://")


def is_url(location: str) -> bool:
    """Return whether a text is a URL, not a path."""
    return bool(_URL.match(location))


class Folder:
    """A file location, given as a path or a URL.

    Parameters
    ----------
    location : str
        A path that all nodes see, or a URL such as s3://bucket/run or az://container/run.
    patience_s : float
        How long a failing store is waited for.
    """

    def __init__(self, location: str, patience_s: float = 300.0) -> None:
        self.location, self._patience_s = location.rstrip("/") or "/", patience_s
        if is_url(location):
            opened = Stores().open(self.location)
            self._store: ObjectStore = opened.store
            self._prefix = opened.path.rstrip("/") + "/" if opened.path else ""
        else:
            self._store, self._prefix = LocalStore(Path(location).resolve(), mkdir=True, automatic_cleanup=True), ""

    @property
    def absolute(self) -> str:
        """The location in a form that another process can use."""
        return self.location if is_url(self.location) else str(Path(self.location).resolve())

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file, replacing an existing one."""
        self._patiently(name, lambda: obstore.put(self._store, self._prefix + name, data))

    def read(self, name: str) -> bytes | None:
        """Read a whole file; None where there is none."""
        try:
            data: bytes = self._patiently(name, lambda: bytes(obstore.get(self._store, self._prefix + name).bytes()))
        except FileNotFoundError:
            return None
        return data

    def open(self, name: str) -> IO[bytes]:
        """Open a file for random access, without reading all of it."""
        reader = self._patiently(name, lambda: obstore.open_reader(self._store, self._prefix + name))
        return cast("IO[bytes]", io.BufferedReader(_Raw(self, name, reader), 1 << 20))

    def names(self, below: str = "") -> Iterator[str]:
        """List the files below a folder, lazily and in no order."""
        for name, _ in self.sizes(below):
            yield name

    def sizes(self, below: str = "") -> Iterator[tuple[str, str]]:
        """List (name, size and time) of the files below a folder, lazily; a store that fails is waited for."""
        last: str | None = None
        stream = self._listed(below, last)

        def next_page() -> Any:
            nonlocal stream
            try:
                return next(stream, None)
            except (OSError, BaseError):
                stream = self._listed(below, last)
                raise

        while page := self._patiently(below, next_page):
            for entry in page:
                last = entry["path"]
                yield last.removeprefix(self._prefix), f"{entry['size']} {entry['last_modified'].timestamp():.0f}"

    def _listed(self, below: str, after: str | None) -> Iterator[Any]:
        """Start a listing: stores list by name and go on after one; a disk, which does not, starts again."""
        offset = after if is_url(self.location) else None
        return iter(obstore.list(self._store, (self._prefix + below).rstrip("/") or None, offset=offset))

    def delete(self, names: Iterable[str]) -> None:
        """Delete files; missing ones are ignored."""
        for name in names:
            try:
                self._patiently(name, partial(obstore.delete, self._store, self._prefix + name))
            except FileNotFoundError:
                continue

    def _patiently(self, name: str, call: Any) -> Any:
        return patiently(call, where=f"{self.location}/{name}", patience_s=self._patience_s)


class _Raw(io.RawIOBase):
    """obstore's reader as a file of the standard library; a range that fails is retried."""

    def __init__(self, folder: Folder, name: str, reader: Any) -> None:
        self._folder, self._name, self._reader = folder, name, reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._reader.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        return int(self._reader.tell())

    def readinto(self, buffer: Any) -> int:
        location = self.tell()

        def read() -> bytes:
            self._reader.seek(location)
            return bytes(self._reader.read(len(buffer)))

        data: bytes = self._folder._patiently(self._name, read)
        buffer[: len(data)] = data
        return len(data)


def sha256_of(data: bytes) -> str:
    """Hash bytes."""
    return hashlib.sha256(data).hexdigest()
