"""Image files -> predictions, streamed in order: small jobs in this process, large ones on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path

from galclass.cutouts import DecodeLimits
from galclass.cutouts.headers import MAX_BYTES
from galclass.image_files import ImageFile, read_image, with_bytes
from galclass.image_files.reading import READ_ERRORS
from galclass.scoring.prediction import ImageFault, Prediction
from galclass.scoring.scorer import CHUNK, Scorer

WORTH_PROCESSES = 2_000
"""From this many images on, starting processes (about a second each) pays."""

Given = tuple[ImageFile, bytes | None]
"""An image and its bytes; None: they are read when it is scored."""

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
) -> Iterator[tuple[ImageFile, Prediction]]:
    """Score a stream of files, in order and with constant memory.

    Parameters
    ----------
    images : iterable of ImageFile or Path
        From `galclass.image_files.find_images`, or loose files; one that cannot be read gets a record with `error`.
    scorer : Scorer
        The loaded model.
    frame_px : int, optional
        Side of the survey's full frame; None: each file is a full frame.
    processes : int
        0: all cores, once there are enough files for that to pay; 1: this process only.
    embedding : bool
        Whether records keep their embedding.

    Yields
    ------
    image : ImageFile
    prediction : Prediction
        With the file's name without image suffix as object_id.
    """
    files = (one if isinstance(one, ImageFile) else ImageFile("", str(one)) for one in images)
    first = list(islice(files, WORTH_PROCESSES))
    count = processes or (len(os.sched_getaffinity(0)) if len(first) == WORTH_PROCESSES else 1)
    chunks = _chunks(with_bytes(chain(first, files), MAX_BYTES))
    if count <= 1:
        for chunk in chunks:
            yield from zip(_images(chunk), score_images(scorer, chunk, frame_px, embedding), strict=True)
        return
    yield from _in_processes(chunks, scorer, (frame_px, embedding), count)


def score_images(
    scorer: Scorer, chunk: Sequence[Given], frame_px: int | None, embedding: bool = False
) -> list[Prediction]:
    """Score a few images, reading those not read yet."""
    data, faults = [], {}
    for number, (image, given) in enumerate(chunk):
        try:
            if image.fault is not None:
                faults[number] = ImageFault(image.fault.code, image.fault.reason)
            data.append(b"" if image.fault else read_image(image, MAX_BYTES) if given is None else given)
        except READ_ERRORS as error:
            data.append(b"")
            faults[number] = ImageFault("unreadable", getattr(error, "strerror", None) or str(error))
    answers = scorer.score(data, object_ids=[image.object_id for image in _images(chunk)], frame_px=frame_px)
    for number, fault in faults.items():
        answers[number] = Prediction(
            chunk[number][0].object_id, scorer.model, datetime.now(UTC), error=fault, classes=scorer.signature.classes
        )
    return [replace(one, cutout=None, embedding=one.embedding if embedding else None) for one in answers]


def _images(chunk: Sequence[Given]) -> list[ImageFile]:
    return [image for image, _ in chunk]


def _in_processes(
    chunks: Iterator[list[Given]], scorer: Scorer, options: tuple[int | None, bool], count: int
) -> Iterator[tuple[ImageFile, Prediction]]:
    model = (scorer.value, scorer.model.name, scorer.model.version, scorer.limits)
    waiting: deque[tuple[list[Given], Future[list[Prediction]]]] = deque()
    pool = ProcessPoolExecutor(count, get_context("spawn"), _start_process, (*model, *options))
    try:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(_score_in_process, chunk)))
            if len(waiting) >= count * _AHEAD:
                done, future = waiting.popleft()
                yield from zip(_images(done), future.result(), strict=True)
        for done, future in waiting:
            yield from zip(_images(done), future.result(), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


_process: tuple[Scorer, int | None, bool]


def _start_process(
    value: bytes, name: str, version: int, limits: DecodeLimits, frame_px: int | None, embedding: bool
) -> None:
    global _process
    _process = (Scorer(value, name=name, version=version, limits=limits), frame_px, embedding)


def _score_in_process(chunk: list[Given]) -> list[Prediction]:
    scorer, frame_px, embedding = _process
    return score_images(scorer, chunk, frame_px, embedding)


def _chunks(images: Iterator[Given]) -> Iterator[list[Given]]:
    while chunk := list(islice(images, CHUNK)):
        yield chunk
