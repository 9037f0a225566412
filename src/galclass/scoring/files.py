"""Image files -> predictions, streamed in order: small jobs in this process, large ones in others, on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from galclass.cutouts.headers import MAX_BYTES
from galclass.image_files import FileFault, ImageFile, with_bytes
from galclass.image_names import BAD_ID, fault_of_id
from galclass.scoring.chunks import Given, score_images
from galclass.scoring.prediction import Prediction
from galclass.scoring.processes import ScoringProcess, scoring_processes
from galclass.scoring.scorer import CHUNK, Scorer

WORTH_PROCESSES = 2_000
"""From this many images on, starting processes (a quarter of a second each) pays."""

_AHEAD = 3
"""Chunks in flight per process; more would only take memory."""


def repeated_ids(images: Iterable[ImageFile]) -> list[tuple[ImageFile, ImageFile]]:
    """Return each file whose object_id (its name without image suffix) occurred before, after the first with it."""
    first: dict[str, ImageFile] = {}
    return [(before, one) for one in images if (before := first.setdefault(one.object_id, one)) is not one]


def predict_files(
    images: Iterable[ImageFile | Path],
    scorer: Scorer,
    *,
    frame_px: int | None = None,
    processes: int = 0,
    embedding: bool = False,
    check_ids: bool = True,
) -> Iterator[tuple[ImageFile, Prediction]]:
    """Score a stream of files, in order and with constant memory.

    Parameters
    ----------
    images : iterable of ImageFile or Path
        From `galclass.image_files.find_images`, or loose files; one that cannot be read gets a record with `error`, as
        does one that brings down its process, where that is not this one.
    scorer : Scorer
        The loaded model.
    frame_px : int, optional
        Side of the survey's full frame; None: each file is a full frame.
    processes : int
        0: as many as there are cores. Fewer than `WORTH_PROCESSES` files are scored in this process instead, unless
        two or more are asked for.
    embedding : bool
        Whether records keep their embedding.
    check_ids : bool
        Whether a file whose name is no valid object id gets a record with `error`; False if names are no ids.

    Yields
    ------
    image : ImageFile
    prediction : Prediction
        With the file's name without image suffix as object_id.
    """
    files: Iterator[ImageFile] = (one if isinstance(one, ImageFile) else ImageFile("", str(one)) for one in images)
    files = map(_with_valid_id, files) if check_ids else files
    first = list(islice(files, WORTH_PROCESSES))
    are_many = len(first) == WORTH_PROCESSES
    count = processes or (len(os.sched_getaffinity(0)) if are_many else 1)
    chunks = _chunks(with_bytes(chain(first, files), MAX_BYTES))
    if count <= 1 and not are_many:
        for chunk in chunks:
            yield from zip(_images(chunk), score_images(scorer, chunk, frame_px, embedding), strict=True)
        return
    yield from _in_processes(chunks, scorer, (frame_px, embedding), count)


def _with_valid_id(image: ImageFile) -> ImageFile:
    """Return the image, with a fault if its name is no valid object id."""
    fault = None if image.fault else fault_of_id(image.object_id)
    return replace(image, fault=FileFault(image.name, BAD_ID, f"not an object id: {fault}")) if fault else image


def _images(chunk: Sequence[Given]) -> list[ImageFile]:
    return [image for image, _ in chunk]


def _in_processes(
    chunks: Iterator[list[Given]], scorer: Scorer, options: tuple[int | None, bool], count: int
) -> Iterator[tuple[ImageFile, Prediction]]:
    waiting: deque[tuple[list[Given], Future[list[Prediction]]]] = deque()
    with scoring_processes(scorer, count, *options) as processes:
        for chunk in chunks:
            waiting.append((chunk, processes.submit(ScoringProcess.score, chunk)))
            if len(waiting) >= count * _AHEAD:
                done, future = waiting.popleft()
                yield from zip(_images(done), future.result(), strict=True)
        for done, future in waiting:
            yield from zip(_images(done), future.result(), strict=True)


def _chunks(images: Iterator[Given]) -> Iterator[list[Given]]:
    while chunk := list(islice(images, CHUNK)):
        yield chunk
