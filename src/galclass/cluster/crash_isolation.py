"""Chunks that crash their process: counted in the output folder, and after two crashes examined image by image.

Any image may crash a decoder, and Ray would restart its chunk forever. So each attempt leaves a mark before it
begins; a chunk with two marks and no result has its images tried in a worker process (`prepare.pool`), and those that
crash it become rejects. A node that was lost leaves marks too: then no image is found and the result is the same.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from galclass.child_process import CRASHED
from galclass.cluster.folder import Folder
from galclass.cutouts import CutoutParameters, DecodeLimits
from galclass.prepare.chunks import Chunk
from galclass.prepare.pool import Worker

ATTEMPTS = "attempts"
TRUSTED = 2
"""Crashes after which a chunk is examined image by image."""


def begin_attempt(folder: Folder, name: str) -> bool:
    """Leave a mark, and return whether the chunk has crashed too many processes to be trusted."""
    died = sum(1 for _ in folder.names(f"{ATTEMPTS}/{name}"))
    folder.write(f"{ATTEMPTS}/{name}/{os.getpid()}-{uuid.uuid4().hex[:8]}", b"")
    return died >= TRUSTED


def end_attempts(folder: Folder, name: str) -> None:
    """Take the marks away once the chunk's result is there."""
    folder.delete(list(folder.names(f"{ATTEMPTS}/{name}")))


@contextmanager
def crash_finder(
    parameters: CutoutParameters, frame_px: int | None, limits: DecodeLimits
) -> Iterator[Callable[[Sequence[bytes]], set[int]]]:
    """Yield a function that returns the positions of the images that crash the decoder.

    It tries them in a worker process of the prepare stage, which is replaced when one brings it down.
    """
    with tempfile.NamedTemporaryFile() as pixels, closing(Worker(Path(pixels.name), parameters)) as worker:

        def crashing(images: Sequence[bytes]) -> set[int]:
            names = tuple(str(position) for position in range(len(images)))
            chunk = Chunk(0, "", names, frame_px, max_decode_s=limits.max_decode_s, hdu=limits.hdu)
            tried = worker.fill(chunk, list(zip(names, images, strict=True)))
            return {int(reject.key) for reject in tried.rejects if reject.code == CRASHED}

        yield crashing
