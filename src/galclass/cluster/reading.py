"""From a chunk to its images, a few at a time: files read ahead while others are scored, shards and tables streamed.

Takes a `WorkChunk`, returns `Item`s. A file that is not there or not whole becomes an item with a fault; a store that
fails for a while is waited for, so that its images never end as rejects.
"""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

from galclass.bounded_tar import open_tar
from galclass.bounded_zip import BoundedZip
from galclass.cluster.folder import Folder, is_url
from galclass.cluster.inputs import WorkChunk, label_of
from galclass.cluster.retry import patiently
from galclass.cutouts.headers import MAX_BYTES
from galclass.errors import ArchiveError
from galclass.image_files import DEFAULT_LIMITS, shown
from galclass.image_files.keys import file_key
from galclass.image_files.names import Kind, kind_of
from galclass.image_files.zips import zip_contents
from galclass.image_names import BAD_ID, fault_of_id, suffix_of
from galclass.scoring import CHUNK
from galclass.scoring.prediction import ImageFault

READERS = 16
"""Objects asked of a store at a time by one process."""

_AHEAD = CHUNK
"""Files read ahead of the one that is asked for: those of the next batch while one is scored."""

_T = TypeVar("_T")
_ID_COLUMNS = ("object_id", "objid", "id", "name")


@dataclass(frozen=True)
class Item:
    """One image: its bytes or the fault, the id of its row, and where it is on the sky (deg) if that is known."""

    file: str
    object_id: str
    data: bytes = b""
    ra: float | None = None
    dec: float | None = None
    fault: ImageFault | None = None


def read_items(chunk: WorkChunk, patience_s: float) -> Iterator[Item]:
    """Read a chunk's images in order; only a few are held at a time."""
    readers = {"files": _files, "zip": _zip, "tar": _tar, "parquet": _parquet}
    try:
        yield from map(_with_valid_id, readers[chunk.kind](chunk, patience_s))
    except ArchiveError as error:
        yield _broken(chunk, error.what)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, FileNotFoundError, PermissionError) as error:
        yield _broken(chunk, str(error) or type(error).__name__)


def _with_valid_id(item: Item) -> Item:
    """Return the item, with a fault if its object id is not valid."""
    fault = None if item.fault else fault_of_id(item.object_id)
    return replace(item, data=b"", fault=ImageFault(BAD_ID, f"not an object id: {fault}")) if fault else item


def _broken(chunk: WorkChunk, reason: str) -> Item:
    """Stand for the rest of an archive that cannot be read."""
    name = PurePosixPath(chunk.label).name
    return Item(shown(chunk.label), shown(name), fault=ImageFault("unreadable", f"the archive is damaged ({reason})"))


def _item(chunk: WorkChunk, name: str, data: bytes, fault: ImageFault | None = None) -> Item:
    key = file_key(name)
    object_id, ra, dec = (chunk.objects or {}).get(key, (key, None, None))
    return Item(label_of(chunk, name), object_id, data, ra, dec, fault)


def _files(chunk: WorkChunk, patience_s: float) -> Iterator[Item]:
    """Read loose files, the next ones while the last are scored."""
    folder = Folder(chunk.path, patience_s) if is_url(chunk.path) else None

    def read(name: str) -> Item:
        try:
            data = folder.read(name) if folder else read_local(chunk.path, name, patience_s)
        except OSError as error:
            return _item(chunk, name, b"", ImageFault("unreadable", error.strerror or str(error)))
        if data is None:
            return _item(chunk, name, b"", ImageFault("unreadable", "No such file or directory"))
        return _item(chunk, name, data)

    # A disk is read by one thread, many files a task: a task of its own for each would cost as much as reading it.
    readers, together = (READERS, 1) if folder else (1, READERS)
    parts = iter(in_batches(chunk.names, together))
    with ThreadPoolExecutor(readers) as threads:
        waiting = deque(threads.submit(_each, read, part) for part in islice(parts, _AHEAD // together))
        while waiting:
            yield from waiting.popleft().result()
            waiting.extend(threads.submit(_each, read, part) for part in islice(parts, 1))


def _each(read: Callable[[str], Item], names: list[str]) -> list[Item]:
    return [read(name) for name in names]


def read_local(root: str, name: str, patience_s: float) -> bytes:
    """Read a file of a shared disk; where the whole disk is not mounted, wait for it."""
    path = os.path.join(root, name)

    def read() -> bytes:
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError as error:
            if os.path.isdir(root):
                raise
            raise TimeoutError(f"{root} is not mounted") from error  # the whole disk is missing: transient

    return patiently(read, where=path, patience_s=patience_s)


def _opened(chunk: WorkChunk, patience_s: float) -> IO[bytes]:
    """Open an archive, on a disk directly."""
    head, _, name = chunk.path.rpartition("/")
    if is_url(chunk.path):
        return Folder(head, patience_s).open(name)
    return patiently(lambda: _opened_here(Path(chunk.path)), where=chunk.path, patience_s=patience_s)


def _opened_here(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        if path.parent.is_dir():
            raise
        raise TimeoutError(f"{path.parent} is not mounted") from error  # the whole disk is missing: transient


def _zip(chunk: WorkChunk, patience_s: float) -> Iterator[Item]:
    with _opened(chunk, patience_s) as file, BoundedZip(file, max_members=DEFAULT_LIMITS.members) as archive:
        contents = zip_contents(archive, chunk.label, DEFAULT_LIMITS)
        infos = {image.name: image.info for image in contents.images}
        faults = {fault.name: ImageFault(fault.code, fault.reason) for fault in contents.faults}
        for name in chunk.names:
            if name in faults:
                yield _item(chunk, name, b"", faults[name])
                continue
            try:
                with archive.open(infos[name]) as member:
                    yield _item(chunk, name, member.read(MAX_BYTES + 1))
            except (KeyError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
                yield _item(chunk, name, b"", ImageFault("unreadable", str(error)))


def _tar(chunk: WorkChunk, patience_s: float) -> Iterator[Item]:
    """Stream a shard: members of one sample are adjacent and share their name without suffix."""
    with _opened(chunk, patience_s) as file, open_tar(file, ratio=DEFAULT_LIMITS.ratio) as archive:
        for facts, images in _samples(archive):
            for name, data, fault in images:
                own = str(facts.get("object_id", file_key(name)))
                position = (_number(facts.get("ra")), _number(facts.get("dec")))
                yield Item(label_of(chunk, name), own, data, *position, fault)


def _samples(
    archive: tarfile.TarFile,
) -> Iterator[tuple[dict[str, Any], list[tuple[str, bytes, ImageFault | None]]]]:
    key, facts, images = "", dict[str, Any](), list[tuple[str, bytes, ImageFault | None]]()
    while (info := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]  # else the entries of all members stay in memory
        is_facts = suffix_of(info.name) == ".json"
        if info.isdir() or not (is_facts or kind_of(info.name) is Kind.IMAGE):
            continue
        sample = str(PurePosixPath(info.name).with_suffix(""))
        if sample != key:
            yield facts, images
            key, facts, images = sample, {}, []
        member = archive.extractfile(info) if info.isreg() else None
        data = member.read(MAX_BYTES + 1) if member else b""
        if is_facts:
            facts = _facts(data)
        else:
            images.append((info.name, data, None if member else ImageFault("link", "the member is a link or device")))
    yield facts, images


def _facts(data: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(data)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _parquet(chunk: WorkChunk, patience_s: float) -> Iterator[Item]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _opened(chunk, patience_s) as file:
        try:
            table = pq.ParquetFile(file)
            image = _image_column(table.schema_arrow)
            wanted = [image, *(name for name in (*_ID_COLUMNS, "ra", "dec") if name in table.schema_arrow.names)]
            ids = next((name for name in _ID_COLUMNS if name in wanted), None)
            row = sum(table.metadata.row_group(number).num_rows for number in range(chunk.row_group))
            for batch in table.iter_batches(CHUNK, row_groups=[chunk.row_group], columns=wanted):
                for values in batch.to_pylist():
                    data = values[image]
                    data = data.get("bytes") if isinstance(data, dict) else data
                    own = str(values[ids]) if ids else f"{PurePosixPath(chunk.label).stem}_{row}"
                    position = _number(values.get("ra")), _number(values.get("dec"))
                    yield Item(f"{shown(chunk.label)}#{row}", own, data or b"", *position)
                    row += 1
        except (pa.ArrowInvalid, KeyError) as error:
            yield _broken(chunk, str(error).splitlines()[0][:200])


def _image_column(schema: Any) -> str:
    import pyarrow.types as kinds

    def holds_bytes(kind: Any) -> bool:
        if kinds.is_struct(kind):
            return any(field.name == "bytes" and holds_bytes(field.type) for field in kind)
        return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind))

    names = [field.name for field in schema if holds_bytes(field.type)]
    if len(names) != 1:
        raise KeyError(f"expected one column of image bytes, found {', '.join(names) or 'none'}")
    return str(names[0])


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None


def in_batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield items in batches."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
