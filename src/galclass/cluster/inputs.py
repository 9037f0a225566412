"""What there is to score, listed lazily and cut into chunks: the unit of work, of retry and of exactly-once.

Takes a folder or URL, an archive or a table; returns `WorkChunk`s. A folder of millions of objects is never held whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from galclass.bounded_zip import BoundedZip
from galclass.cluster.folder import Folder, is_url
from galclass.errors import ArchiveError, ClusterError
from galclass.image_files import DEFAULT_LIMITS, Skipped, shown
from galclass.image_files.folders import walk
from galclass.image_files.keys import file_key
from galclass.image_files.listing import file_stamp
from galclass.image_files.names import Kind, kind_of
from galclass.image_files.zips import zip_contents
from galclass.image_names import suffix_of

ARCHIVES: Mapping[str, Literal["zip", "tar", "parquet"]] = {
    ".zip": "zip",
    ".tar": "tar",
    ".tgz": "tar",
    ".gz": "tar",
    ".parquet": "parquet",
}

SkyObject = tuple[str, float | None, float | None]
"""What a catalog says of a file: object id, right ascension and declination in deg (J2000)."""


@dataclass(frozen=True)
class WorkChunk:
    """Images that are scored together.

    Attributes
    ----------
    kind : str
        "files": names inside a folder; "zip": members of an archive; "tar": a whole shard; "parquet": a row group.
    path : str
        Folder, archive or table: an absolute path or a URL.
    label : str
        The same as the user wrote it, as the rows' `file` column has it.
    names : tuple of str
        Files or members; empty for "tar" and "parquet".
    row_group : int
        Of "parquet".
    objects : dict of str to (object id, ra, dec)
        By name without folder and image suffix, where a catalog was given.
    stamp : str
        Changes when the files do.
    """

    kind: Literal["files", "zip", "tar", "parquet"]
    path: str
    label: str
    names: tuple[str, ...] = ()
    row_group: int = 0
    objects: Mapping[str, SkyObject] | None = None
    stamp: str = ""

    def to_json(self) -> str:
        """Write the chunk as text that any column can hold, whatever bytes its names have."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> WorkChunk:
        """Read the chunk."""
        values: dict[str, Any] = json.loads(text)
        return cls(**{**values, "names": tuple(values["names"])})


def chunk_name(number: int, chunk: WorkChunk) -> str:
    """Name a chunk by its position and its content: the same in every run over the same input."""
    return f"{number:09d}-{hashlib.sha256(chunk.to_json().encode()).hexdigest()[:16]}"


def work_chunks(
    images: str, size: int, objects: Mapping[str, SkyObject] | None = None, skipped: Skipped | None = None
) -> Iterator[WorkChunk]:
    """List images as chunks, lazily.

    Parameters
    ----------
    images : str
        A folder of images, zips, tars (WebDataset shards) or Parquet files, or one of these files; a path that all
        nodes see, or a URL.
    size : int
        Images a chunk of loose files or zip members; a shard or row group is a chunk whatever its size.
    objects : mapping of file key to (object id, ra, dec), optional
        From a catalog; the key is the file's name without folder and image suffix.
    skipped : Skipped, optional
        Gets the files of folders and zips that are not images.

    Raises
    ------
    ClusterError
        If nothing is there, or positions are to come from a catalog for shards and tables, which bring their own.
    """
    found = False
    skipped = Skipped() if skipped is None else skipped
    for chunk in _listed(images, size, skipped):
        found = True
        if objects is None:
            yield chunk
        elif chunk.kind in ("tar", "parquet"):
            raise ClusterError(
                "positions of shards and tables come from themselves",
                where=chunk.label,
                expected="a .json beside each image with object_id, ra, dec; or columns of these names",
                got="a catalog",
            )
        else:
            keys = (file_key(name) for name in chunk.names)
            yield replace(chunk, objects={key: objects[key] for key in keys if key in objects})
    if not found:
        raise ClusterError(
            "there is no image", where=images, expected="images, zips, tars or Parquet files",
            got=f"{skipped.total:,} other files: {skipped}" if skipped.total else "no file",
        )  # fmt: skip


def _listed(images: str, size: int, skipped: Skipped) -> Iterator[WorkChunk]:
    folder, name = _split(images)
    path = folder.location if is_url(images) else str(Path(folder.location).resolve())
    stamp = file_stamp(images) if name and not is_url(images) else ""
    entries = iter([(name, stamp)]) if name else _entries(folder, images, skipped)
    base, label = path.rstrip("/"), (images.rsplit("/", 1)[0] if name and "/" in images else "" if name else images)
    prefix = label.rstrip("/") + "/" if label else ""
    loose: list[tuple[str, str]] = []
    for entry, stamp in entries:
        kind = ARCHIVES.get(suffix_of(entry))
        if kind is None:
            loose.append((entry, stamp))
        else:
            whole = WorkChunk(kind, f"{base}/{entry}", prefix + entry, stamp=stamp)
            yield from _parts_of(whole, folder, entry, size, skipped)
        if len(loose) == size:
            yield _files(base, label, loose)
            loose = []
    if loose:
        yield _files(base, label, loose)


def _files(base: str, label: str, entries: list[tuple[str, str]]) -> WorkChunk:
    stamp = hashlib.sha256("\n".join(stamp for _, stamp in entries).encode()).hexdigest()
    return WorkChunk("files", base, label, tuple(name for name, _ in entries), stamp=stamp)


def _split(images: str) -> tuple[Folder, str]:
    """Return a folder and "", or the folder of one file and its name."""
    if _is_wanted(images) and not Path(images).is_dir():
        head, _, name = images.rpartition("/")
        if not is_url(images) and not Path(images).is_file():
            raise ClusterError("no such file", where=images)
        return Folder(head or ("/" if images.startswith("/") else ".")), name
    if not is_url(images) and not Path(images).is_dir():
        raise ClusterError("folder not found", where=images, advice="it must be at this path on every node")
    return Folder(images), ""


def _is_wanted(name: str) -> bool:
    return kind_of(name) is Kind.IMAGE or (suffix_of(name) in ARCHIVES and kind_of(name) is not Kind.SYSTEM)


def _entries(folder: Folder, images: str, skipped: Skipped) -> Iterator[tuple[str, str]]:
    """List what may be scored, with stamps: a disk in `galclass predict`'s order, a store in its own (by name)."""
    listed = folder.sizes() if is_url(images) else _walk(Path(images), skipped)
    for name, stamp in listed:
        if _is_wanted(name):
            yield name, stamp
        else:
            skipped.add(kind_of(name), name)


def _walk(root: Path, skipped: Skipped) -> Iterator[tuple[str, str]]:
    for name, _ in walk(str(root), _not_listed, lambda name: skipped.add(Kind.REPEATED, name)):
        yield name, file_stamp(os.path.join(root, name)) if _is_wanted(name) else ""


def _not_listed(inside: str, error: OSError) -> None:
    """Stop: a folder that is passed over would be missing from a run that says it is whole."""
    raise ClusterError(
        "a folder cannot be listed",
        where=shown(str(error.filename)),
        got=error.strerror,
        advice="fix it and run the same command again",
    ) from error


def _parts_of(whole: WorkChunk, folder: Folder, name: str, size: int, skipped: Skipped) -> Iterator[WorkChunk]:
    """Cut an archive into chunks by its directory; one whose directory is damaged stays whole and becomes a reject."""
    cut: dict[str, Callable[[], Iterator[WorkChunk]]] = {
        "zip": lambda: _zip_parts(whole, folder, name, size, skipped),
        "parquet": lambda: _row_groups(whole, folder, name),
        "tar": lambda: iter([whole]),
    }
    yield from cut[whole.kind]()


def _zip_parts(whole: WorkChunk, folder: Folder, name: str, size: int, skipped: Skipped) -> Iterator[WorkChunk]:
    try:
        with folder.open(name) as file, BoundedZip(file, max_members=DEFAULT_LIMITS.members) as archive:
            contents = zip_contents(archive, whole.label, DEFAULT_LIMITS)
    except (zipfile.BadZipFile, ArchiveError):
        yield whole
        return
    skipped.update(contents.skipped)
    names = iter([*(image.name for image in contents.images), *dict.fromkeys(one.name for one in contents.faults)])
    while part := tuple(islice(names, size)):
        yield replace(whole, names=part)


def _row_groups(whole: WorkChunk, folder: Folder, name: str) -> Iterator[WorkChunk]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with folder.open(name) as file:
            count = pq.ParquetFile(file).num_row_groups
    except pa.ArrowInvalid:
        yield whole
        return
    for number in range(count):
        yield replace(whole, row_group=number)


def label_of(chunk: WorkChunk, name: str) -> str:
    """Return the `file` of a row: what `galclass predict` would write for it."""
    return shown(f"{chunk.label.rstrip('/')}/{name}" if chunk.label else name)
