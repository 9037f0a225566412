"""The work of the prepare stage: every chunk that the journal lacks, over all cores, with a bar.

Takes the chunks of a store and its writer, returns the number of files decoded.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import groupby, islice
from pathlib import Path

from galclass.cutouts.headers import MAX_BYTES
from galclass.errors import StoreError
from galclass.image_files import ImageFile, with_bytes
from galclass.image_files.zips import is_zip
from galclass.prepare.chunks import Chunk
from galclass.prepare.pool import Items, fill_chunks
from galclass.prepare.store import StoreWriter

Fill = Callable[..., int]
"""Has the signature of `fill`."""


def fill(writer: StoreWriter, chunks: Sequence[Chunk], processes: int, progress: bool) -> int:
    """Make the cutouts of all chunks that are not done.

    Parameters
    ----------
    writer : StoreWriter
    chunks : sequence of Chunk
        All chunks of the store; the files of a chunk in the order of their container.
    processes : int
        Worker processes; 0 takes one per core.
    progress : bool
        Show a bar on the terminal.

    Returns
    -------
    int
        Number of files decoded.

    Raises
    ------
    StoreError
        If the disk is too small.
    """
    missing = [chunk for chunk in chunks if chunk.first not in writer.done]
    todo = sum(len(chunk.names) for chunk in missing)
    if not missing:
        return 0
    check_disk(writer, todo)
    workers = min(processes or len(os.sched_getaffinity(0)), len(missing))
    with files_bar(writer.slots, writer.slots - todo, progress) as advance:
        results = fill_chunks(chunks_with_bytes(missing), writer.partial, writer.parameters, workers)
        with closing(results):
            for result in results:
                writer.record(result.chunk.first, result.sha256s, result.rejects)
                advance(len(result.chunk.names))
    return todo


def chunks_with_bytes(chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Items | None]]:
    """Yield chunks as they are, or with the bytes of their files where these are in a tar, read in one pass."""
    for path, group in groupby(chunks, key=lambda chunk: chunk.images):
        if Path(path).is_dir() or is_zip(path):
            yield from ((chunk, None) for chunk in group)
            continue
        own = list(group)
        images = [ImageFile(path, name, in_tar=True) for chunk in own for name in chunk.names]
        items = with_bytes(images, MAX_BYTES)
        for chunk in own:
            yield chunk, [(image.name, data or b"") for image, data in islice(items, len(chunk.names))]


@contextmanager
def files_bar(total: int, done: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yield a progress bar of files on the terminal's error stream, or a silent counter."""
    if not shown:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("prepare"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("prepare", total=total, completed=done)
        yield lambda count: bar.advance(task, count)


def check_disk(writer: StoreWriter, files: int) -> None:
    """Raise StoreError where the cutouts of so many files do not fit on the disk."""
    needed, free = files * writer.bytes_per_cutout, shutil.disk_usage(writer.folder).free
    if needed > free:
        raise StoreError(
            "the disk is too small for the store",
            where=str(writer.folder),
            expected=f"{needed / 1e9:.1f} GB",
            got=f"{free / 1e9:.1f} GB free",
            advice="another --workspace, a smaller size_px, or a limit",
        )
