"""Worker processes that fill a pixel file chunk by chunk.

Takes chunks (with their bytes or without), returns hashes and rejects as each is done, in any order.
The workers are plain subprocesses that speak JSON: no fork of a process with threads, no pickle, no
`if __name__ == "__main__"` in the caller; and one that a hostile image crashes costs that image only.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from galclass.child_process import CRASHED, CRASHED_BECAUSE, ChildPool, ChildProcess, ProcessDied
from galclass.cutouts.extract import CutoutParameters
from galclass.errors import StoreError
from galclass.prepare.chunks import Chunk, Reject

Items = Sequence[tuple[str, bytes]]

_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "67108864"}
"""For glibc: else images over 128 KiB may come from the system page by page, anew for each file."""


@dataclass(frozen=True)
class ChunkResult:
    """A chunk whose pixels are in the file: the sha256 of each source file (None: not read), and rejects."""

    chunk: Chunk
    sha256s: list[str | None]
    rejects: list[Reject]


class Worker(ChildProcess):
    """One worker process; one that a file brings down is replaced.

    Parameters
    ----------
    path : Path
        The pixel file.
    parameters : CutoutParameters
    """

    def __init__(self, path: Path, parameters: CutoutParameters) -> None:
        self._path, self._parameters = path, parameters
        super().__init__("galclass.prepare.worker", _KEEP_MEMORY)

    def fill(self, chunk: Chunk, items: Items | None) -> ChunkResult:
        """Have a chunk made; where that brings the worker down, have its files made one by one."""

        def ask(start: int, stop: int) -> ChunkResult:
            return self._ask(chunk.part(start, stop), items[start:stop] if items is not None else None)

        def crashed(k: int) -> ChunkResult:
            return ChunkResult(chunk.part(k, k + 1), [None], [Reject(chunk.names[k], CRASHED, CRASHED_BECAUSE)])

        results = self.isolate_crashes(ask, crashed, 0, len(chunk.names))
        sha256s = [sha256 for result in results for sha256 in result.sha256s]
        return ChunkResult(chunk, sha256s, [reject for result in results for reject in result.rejects])

    def _ask(self, chunk: Chunk, items: Items | None) -> ChunkResult:
        request = {
            "path": str(self._path),
            "chunk": chunk.as_json(),
            "parameters": asdict(self._parameters),
            "lengths": [len(data) for _, data in items] if items is not None else None,
        }
        response = self._exchange(json.dumps(request).encode() + b"\n", items or ())
        if "error" in response:
            raise StoreError(f"the cutouts cannot be written: {response['error']}", where=str(self._path))
        return ChunkResult(chunk, response["sha256"], [Reject(*reject) for reject in response["rejects"]])

    def _exchange(self, line: bytes, items: Items) -> dict[str, Any]:
        requests, responses = self.pipes
        try:
            requests.write(line)
            requests.writelines(data for _, data in items)
            requests.flush()
        except BrokenPipeError as error:
            raise ProcessDied from error
        reply = responses.readline()
        if not reply:
            raise ProcessDied
        response: dict[str, Any] = json.loads(reply)
        return response


def fill_chunks(
    chunks: Iterable[tuple[Chunk, Items | None]], path: Path, parameters: CutoutParameters, processes: int
) -> Generator[ChunkResult, None, None]:
    """Fill a pixel file with all chunks, using several worker processes.

    Parameters
    ----------
    chunks : iterable of (Chunk, items or None)
        Taken as workers become free; at most two per worker are waiting.
    path : Path
        The pixel file.
    parameters : CutoutParameters
    processes : int
        Number of workers, at least 1.

    Yields
    ------
    ChunkResult
        As each chunk is done, in any order.
    """
    running: set[Future[ChunkResult]] = set()
    with ChildPool([Worker(path, parameters) for _ in range(processes)], "prepare") as pool:
        for chunk, items in chunks:
            running.add(pool.submit(Worker.fill, chunk, items))
            if len(running) >= 2 * processes:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
