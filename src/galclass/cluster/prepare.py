"""The prepare stage's work on a cluster: nodes cut, the driver writes.

Takes the chunks of a store and its writer, as `prepare.filling.fill` does, and leaves the same bytes: one writer,
since a shared disk keeps no promise about two machines that write into one file.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from galclass.cluster.connect import Work, map_work, shared
from galclass.cluster.crash_isolation import begin_attempt, end_attempts
from galclass.cluster.folder import Folder
from galclass.cluster.reading import read_local
from galclass.cluster.retry import patiently
from galclass.cutouts.extract import CutoutParameters
from galclass.errors import StoreError
from galclass.image_files.zips import is_zip
from galclass.prepare.chunks import Chunk, Reject, fill_chunk
from galclass.prepare.filling import Fill, check_disk, chunks_with_bytes, files_bar
from galclass.prepare.pool import Items, Worker
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
    with files_bar(writer.slots, writer.slots - todo, progress) as advance, writer.partial.open("r+b") as pixels:
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
    careful = begin_attempt(folder, name)
    sha256s, rejects, pixels = _cut(chunk, _items(chunk, work), job, careful=careful)
    end_attempts(folder, name)
    return {
        "first": chunk.first,
        "pixels": pixels,
        "sha256": json.dumps(sha256s),
        "rejects": json.dumps([astuple(reject) for reject in rejects]),
    }


def _items(chunk: Chunk, work: Work) -> list[tuple[str, bytes]] | None:
    lengths = json.loads(work["lengths"])
    if lengths is None:
        return None
    ends = [sum(lengths[: k + 1]) for k in range(len(lengths))]
    return [(name, work["data"][end - n : end]) for name, n, end in zip(chunk.names, lengths, ends, strict=True)]


def _cut(
    chunk: Chunk, items: Items | None, job: CutJob, *, careful: bool
) -> tuple[list[str | None], list[Reject], bytes]:
    """Cut with the very function of one machine, into a file of its own; again after a disk was away.

    A careful cut is made by a worker process, as on one machine: a file that crashes it is a reject.
    """
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        file.truncate(len(chunk.names) * 3 * job.parameters.store_side_px**2)
        with closing(Worker(path, job.parameters)) if careful else nullcontext() as worker:
            for last in (False, False, True):
                sha256s, rejects = _filled(worker, path, replace(chunk, first=0), job.parameters, items)
                unread = [reject.key for reject in rejects if reject.code == "unreadable"]
                if last or not any(_is_there_after_all(chunk, name, job.patience_s) for name in unread):
                    return sha256s, rejects, path.read_bytes()
    raise StoreError("a chunk was not cut", where=chunk.images)


def _filled(
    worker: Worker | None, path: Path, chunk: Chunk, parameters: CutoutParameters, items: Items | None
) -> tuple[list[str | None], list[Reject]]:
    if worker is None:
        return fill_chunk(path, chunk, parameters, items)
    made = worker.fill(chunk, items)
    return made.sha256s, made.rejects


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
