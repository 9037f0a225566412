"""Chunks that crash their process: counted in the output folder, and after two crashes examined image by image.

Any image may crash a decoder, and Ray would restart its chunk forever. So each attempt leaves a mark before it
begins; a chunk with two marks and no result has its images tried one at a time in a child process, and those that
crash it become rejects. A node that was lost leaves marks too: then no image is found and the result is the same.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from galclass.cluster.folder import Folder
from galclass.cutouts import CutoutParameters, stored_cutout
from galclass.errors import CutoutError

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


class CrashFinder:
    """A child process that tries images, and is replaced when one kills it.

    Parameters
    ----------
    parameters : CutoutParameters
    frame_px : int or None
        As for `cutout`.
    """

    def __init__(self, parameters: CutoutParameters, frame_px: int | None) -> None:
        self._parameters, self._frame_px = parameters, frame_px
        self._pool = self._start()

    def crashing(self, images: Sequence[bytes]) -> set[int]:
        """Return the positions of the images that crash the decoder."""
        return {position for position, data in enumerate(images) if not self._survives(data)}

    def close(self) -> None:
        """End the child."""
        self._pool.shutdown()

    def _survives(self, data: bytes) -> bool:
        try:
            self._pool.submit(_try, data, self._parameters, self._frame_px).result()
        except BrokenProcessPool:
            self._pool.shutdown()
            self._pool = self._start()
            return False
        return True

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, get_context("spawn"))


def _try(data: bytes, parameters: CutoutParameters, frame_px: int | None) -> None:
    make: Callable[..., object] = stored_cutout
    try:
        make(data, parameters, frame_px=frame_px)
    except CutoutError:
        return
