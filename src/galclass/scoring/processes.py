"""Scoring in other processes: they score chunks of files, one of which may be brought down by an image.

They are plain subprocesses, as those of `prepare`: no `if __name__ == "__main__"` in the caller, and one that a file
crashes costs that file only.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from galclass.child_process import CRASHED, CRASHED_BECAUSE, ChildProcess, ProcessDied
from galclass.errors import ModelError
from galclass.scoring.chunks import Given, Setup, without_prediction
from galclass.scoring.prediction import ImageFault, Prediction
from galclass.scoring.scorer import Scorer


class ScoringProcess:
    """One process and the pipes to it; one that a file brings down is replaced.

    Parameters
    ----------
    setup : bytes
        Pickle of a `Setup`.
    """

    def __init__(self, setup: bytes) -> None:
        self._setup, self._ready = setup, False
        self._process = ChildProcess("galclass.scoring.process")

    def score(self, chunk: Sequence[Given]) -> list[Prediction | None]:
        """Score a chunk, and where that brings the process down, its files one by one; None: the one that did it.

        Raises
        ------
        ModelError
            If no process can load the model.
        """
        try:
            return list(self._ask(chunk))
        except ProcessDied:
            self._process.restart()
            self._ready = False
        if len(chunk) == 1:
            return [None]
        return [answer for given in chunk for answer in self.score([given])]

    def stop(self) -> None:
        """End the process for good, also in the middle of a chunk."""
        self._process.stop()

    def close(self) -> None:
        """Close the pipes of a process that no thread waits for."""
        self._process.close()

    def _ask(self, chunk: Sequence[Given]) -> list[Prediction]:
        if not self._ready:
            self._load()
        answer: list[Prediction] = self._exchange(pickle.dumps(list(chunk), pickle.HIGHEST_PROTOCOL))
        return answer

    def _load(self) -> None:
        try:
            self._exchange(self._setup)
        except ProcessDied as error:
            if self._process.is_stopped:
                raise
            status = self._process.wait()
            advice = "more memory may help, or fewer processes (--processes)"
            raise ModelError(
                "a scoring process ended before it began", got=f"status {status}", advice=advice
            ) from error
        self._ready = True

    def _exchange(self, order: bytes) -> Any:
        orders, answers = self._process.pipes
        try:
            orders.write(order)
            orders.flush()
            answer = pickle.load(answers)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            raise ProcessDied from error
        if isinstance(answer, BaseException):
            raise answer
        return answer


class ScoringProcesses:
    """Several processes, each with a thread of this process that waits for it.

    Parameters
    ----------
    scorer : Scorer
        Loaded again in each.
    count : int
    frame_px, embedding
        As for `score_images`.
    """

    def __init__(self, scorer: Scorer, count: int, frame_px: int | None, embedding: bool) -> None:
        self._scorer = scorer
        setup = pickle.dumps(Setup.of(scorer, frame_px, embedding), pickle.HIGHEST_PROTOCOL)
        self._processes = [ScoringProcess(setup) for _ in range(count)]
        self._idle: SimpleQueue[ScoringProcess] = SimpleQueue()
        for process in self._processes:
            self._idle.put(process)
        self._threads = ThreadPoolExecutor(count, "scoring")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.stop()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.close()

    def submit(self, chunk: Sequence[Given]) -> Future[list[Prediction]]:
        """Have a chunk scored by the next process that is idle; a file that crashes it gets the error `CRASHED`."""
        return self._threads.submit(self._score, chunk)

    def _score(self, chunk: Sequence[Given]) -> list[Prediction]:
        process = self._idle.get()
        try:
            answers = process.score(chunk)
        finally:
            self._idle.put(process)
        fault = ImageFault(CRASHED, CRASHED_BECAUSE)
        return [
            without_prediction(self._scorer, image, fault) if answer is None else answer
            for (image, _), answer in zip(chunk, answers, strict=True)
        ]
