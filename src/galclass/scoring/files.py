"""Files and folders -> predictions, streamed in order: small jobs in this process, large ones on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from galclass.errors import ModelError
from galclass.preprocess import DecodeLimits
from galclass.scoring.prediction import ImageFault, Prediction
from galclass.scoring.scorer import CHUNK, Scorer

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
"""What counts as an image in a folder; a file that is named itself is always tried."""

WORTH_PROCESSES = 2_000
"""Images from which starting processes (about a second each) pays."""

_AHEAD = 3
"""Chunks in flight per process; more only takes memory."""


def find_images(paths: Iterable[Path | str]) -> Iterator[Path]:
    """Give every image file of files and folders (to the bottom), each folder in the order of names.

    Raises
    ------
    ModelError
        If a path does not exist, or a folder cannot be listed.
    """
    for path in map(Path, paths):
        if path.is_dir():
            yield from _walk(path)
        elif path.exists():
            yield path
        else:
            raise ModelError("no such file or folder", where=str(path))


def _walk(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder, onerror=_not_listed):
        folders.sort()
        yield from (Path(where, name) for name in sorted(names) if os.path.splitext(name)[1].lower() in SUFFIXES)


def _not_listed(error: OSError) -> None:
    raise ModelError("a folder cannot be listed", where=shown(error.filename), got=error.strerror) from error


def repeated_ids(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Give each file whose object_id (its name without suffix) came before, after the first file that had it."""
    first: dict[str, Path] = {}
    return [(before, path) for path in paths if (before := first.setdefault(path.stem, path)) is not path]


def predict_files(
    paths: Iterable[Path], scorer: Scorer, *, frame_px: int | None = None, processes: int = 0
) -> Iterator[tuple[Path, Prediction]]:
    """Score files as they stream by, in order and with flat memory.

    Parameters
    ----------
    paths : iterable of Path
        Image files; a file that cannot be read gets a record with `error`.
    scorer : Scorer
        The loaded model.
    frame_px : int, optional
        Side of the survey's full frame; None: each file is a full frame.
    processes : int
        0 takes all cores once there are enough files for that to pay; 1 stays in this process.

    Yields
    ------
    path : Path
    prediction : Prediction
        With the file's name without suffix as object_id; without the embedding.
    """
    files = iter(paths)
    first = list(islice(files, WORTH_PROCESSES))
    count = processes or (len(os.sched_getaffinity(0)) if len(first) == WORTH_PROCESSES else 1)
    chunks = _chunks(_chain(first, files))
    if count <= 1:
        for chunk in chunks:
            yield from zip(chunk, score_paths(scorer, chunk, frame_px), strict=True)
        return
    yield from _in_processes(chunks, scorer, frame_px, count)


def score_paths(scorer: Scorer, paths: Sequence[Path], frame_px: int | None) -> list[Prediction]:
    """Read and score a few files."""
    data, faults = [], {}
    for number, path in enumerate(paths):
        try:
            data.append(path.read_bytes())
        except OSError as error:
            data.append(b"")
            faults[number] = ImageFault("unreadable", error.strerror or str(error))
    answers = scorer.score(data, object_ids=[shown(path.stem) for path in paths], frame_px=frame_px)
    for number, fault in faults.items():
        answers[number] = Prediction(shown(paths[number].stem), scorer.model, datetime.now(UTC), error=fault)
    return [replace(answer, embedding=None) for answer in answers]


def shown(path: Path | str) -> str:
    """Give a path as text that any file can hold: bytes of a name that are no UTF-8 become replacement characters."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def _in_processes(
    chunks: Iterator[list[Path]], scorer: Scorer, frame_px: int | None, count: int
) -> Iterator[tuple[Path, Prediction]]:
    model = (scorer.value, scorer.model.name, scorer.model.version, scorer.limits)
    waiting: deque[tuple[list[Path], Future[list[Prediction]]]] = deque()
    pool = ProcessPoolExecutor(count, get_context("spawn"), _start_process, (*model, frame_px))
    try:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(_score_in_process, chunk)))
            if len(waiting) >= count * _AHEAD:
                done, future = waiting.popleft()
                yield from zip(done, future.result(), strict=True)
        for done, future in waiting:
            yield from zip(done, future.result(), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


_process: tuple[Scorer, int | None]


def _start_process(value: bytes, name: str, version: int, limits: DecodeLimits, frame_px: int | None) -> None:
    global _process
    _process = (Scorer(value, name=name, version=version, limits=limits), frame_px)


def _score_in_process(paths: list[Path]) -> list[Prediction]:
    scorer, frame_px = _process
    return score_paths(scorer, paths, frame_px)


def _chunks(paths: Iterator[Path]) -> Iterator[list[Path]]:
    while chunk := list(islice(paths, CHUNK)):
        yield chunk


def _chain(first: list[Path], rest: Iterator[Path]) -> Iterator[Path]:
    yield from first
    yield from rest
