"""The prepare stage's work on a cluster: nodes cut, the driver writes.

Takes the chunks of a store and its writer, as `prepare.filling.fill` does, and leaves the same bytes: one writer,
since a shared disk keeps no promise about two machines that write into one file.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from galclass.cluster.connect import Work, map_work, shared
from galclass.cluster.crash_isolation import CrashFinder, begin_attempt, end_attempts
from galclass.cluster.folder import Folder
from galclass.cluster.reading import read_local
from galclass.cluster.retry import patiently
from galclass.cutouts.extract import CutoutParameters
from galclass.cutouts.headers import MAX_BYTES
from galclass.errors import StoreError
from galclass.image_files import ImageFile, read_image
from galclass.image_files.reading import READ_ERRORS
from galclass.image_files.zips import is_zip
from galclass.prepare.chunks import Chunk, Reject, fill_chunk
from galclass.prepare.filling import Fill, check_disk, chunks_with_bytes, files_bar
from galclass.prepare.pool import Items
from galclass.prepare.store import StoreWriter

_STREAMED_WAVE = 32
"""Chunks at a time where their bytes travel with them: about 100 MB."""


@dataclass(frozen=True)
class CutJob:
    """What all chunks share: how large a cutout is, the prepared folder, and how long a failing disk is waited for."""

    parameters: CutoutParameters
    folder: str
    patience_s: float


def fill_on_cluster(patience_s: float) -> Fill:
    """Return a function like `prepare.filling.fill` that works on the cluster that is connected."""
    return partial(_fill, patience_s=patience_s)


def _fill(
    writer: StoreWriter,
    chunks: Sequence[Chunk],
    processes: int,
    progress: bool,
    *,
    patience_s: float,
) -> int:
    del processes  # Ray knows the cores
    missing = [_with_real_path(chunk) for chunk in chunks if chunk.first not in writer.done]
    todo = sum(len(chunk.names) for chunk in missing)
    if not missing:
        return 0
    check_disk(writer, todo)
    job = shared(CutJob(writer.parameters, str(writer.folder.resolve()), patience_s))
    streamed = not all(_has_random_access(chunk.images) for chunk in missing)
    work = (_described(chunk, items) for chunk, items in chunks_with_bytes(missing))
    with files_bar(writer.places, writer.places - todo, progress) as advance, writer.partial.open("r+b") as pixels:
        for result in map_work(work, cut_chunk, job=job, wave=_STREAMED_WAVE if streamed else None):
            pixels.seek(result["first"] * writer.bytes_per_cutout)
            pixels.write(result["pixels"])
            pixels.flush()
            rejects = [Reject(*reject) for reject in json.loads(result["rejects"])]
            writer.record(result["first"], json.loads(result["sha256"]), rejects)
            advance(len(json.loads(result["sha256"])))
    Folder(str(writer.folder)).delete(list(Folder(str(writer.folder)).names("attempts")))
    return todo


def _with_real_path(chunk: Chunk) -> Chunk:
    return replace(chunk, images=str(Path(chunk.images).resolve()))


def _has_random_access(images: str) -> bool:
    return Path(images).is_dir() or is_zip(images)


def _described(chunk: Chunk, items: Items | None) -> Work:
    lengths = None if items is None else [len(data) for _, data in items]
    data = b"" if items is None else b"".join(data for _, data in items)
    return {"chunk": json.dumps(chunk.as_json()), "lengths": json.dumps(lengths), "data": data}


def cut_chunk(work: Work, reference: Any) -> Work:
    """Make the stored cutouts of a chunk: what Ray Data maps.

    Returns
    -------
    dict
        `first`, `pixels` (bytes of all cutouts), `sha256` and `rejects` as JSON.
    """
    import ray

    job: CutJob = ray.get(reference)
    chunk, folder = Chunk.from_json(json.loads(work["chunk"])), Folder(job.folder, job.patience_s)
    name = f"{chunk.first:012d}"
    items = _items(chunk, work)
    crashing: set[str] = set()
    if begin_attempt(folder, name):
        items = items or [(name, _bytes(chunk, name, job.patience_s)) for name in chunk.names]
        crashing = _crashing(items, chunk, job)
        items = [(key, b"" if key in crashing else data) for key, data in items]
    sha256s, rejects, pixels = _cut(chunk, items, job)
    end_attempts(folder, name)
    crashed = "the decoder crashed on this file"
    return {
        "first": chunk.first,
        "pixels": pixels,
        "sha256": json.dumps([None if key in crashing else one for key, one in zip(chunk.names, sha256s, strict=True)]),
        "rejects": json.dumps(
            [[r.key, "crashed", crashed] if r.key in crashing else [r.key, r.code, r.reason] for r in rejects]
        ),
    }


def _items(chunk: Chunk, work: Work) -> list[tuple[str, bytes]] | None:
    lengths = json.loads(work["lengths"])
    if lengths is None:
        return None
    ends = [sum(lengths[: k + 1]) for k in range(len(lengths))]
    return [(name, work["data"][end - n : end]) for name, n, end in zip(chunk.names, lengths, ends, strict=True)]


def _cut(chunk: Chunk, items: Items | None, job: CutJob) -> tuple[list[str | None], list[Reject], bytes]:
    """Cut with the very function of one machine, into a file of its own; again after a disk was away."""
    with tempfile.NamedTemporaryFile() as file:
        for last in (False, False, True):
            sha256s, rejects = fill_chunk(Path(file.name), replace(chunk, first=0), job.parameters, items)
            unread = [reject.key for reject in rejects if reject.code == "unreadable"]
            if last or not any(_is_there_after_all(chunk, name, job.patience_s) for name in unread):
                return sha256s, rejects, Path(file.name).read_bytes()
    raise StoreError("a chunk was not cut", where=chunk.images)


def _is_there_after_all(chunk: Chunk, name: str, patience_s: float) -> bool:
    """Return whether a loose file that could not be read can be read now; waits while its disk is unavailable."""
    if Path(chunk.images).is_file():
        patiently(lambda: Path(chunk.images).stat(), where=chunk.images, patience_s=patience_s)
        return False
    try:
        read_local(chunk.images, name, patience_s)
    except OSError:
        return False
    return True


def _bytes(chunk: Chunk, name: str, patience_s: float) -> bytes:
    try:
        if chunk.places is not None:
            return read_image(ImageFile(chunk.images, name, chunk.places[chunk.names.index(name)]), MAX_BYTES)
        return read_local(chunk.images, name, patience_s)
    except READ_ERRORS:
        return b""


def _crashing(items: Items, chunk: Chunk, job: CutJob) -> set[str]:
    finder = CrashFinder(job.parameters, chunk.frame_px)
    try:
        bad = finder.crashing([data for _, data in items])
    finally:
        finder.close()
    return {items[position][0] for position in bad}
