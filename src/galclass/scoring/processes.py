"""Scoring on several cores: processes that score chunks of files, one of which may be brought down by an image.

They are plain subprocesses, as those of `prepare`: no `if __name__ == "__main__"` in the caller, and one that a file
crashes costs that file only.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

import galclass
from galclass.errors import ModelError
from galclass.scoring.chunks import CRASHED, Given, Setup, without_prediction
from galclass.scoring.prediction import Prediction
from galclass.scoring.scorer import Scorer


class _ProcessDied(Exception):
    """The process ended before it answered."""


class ScoringProcess:
    """One process and the pipes to it; one that a file brings down is replaced.

    Parameters
    ----------
    setup : bytes
        Pickle of a `Setup`.
    """

    def __init__(self, setup: bytes) -> None:
        self._setup = setup
        self._lock = threading.Lock()
        self._stopped = False
        self._process = self._start()

    def score(self, chunk: Sequence[Given]) -> list[Prediction | None]:
        """Score a chunk, and where that brings the process down, its files one by one; None: the one that did it.

        Raises
        ------
        ModelError
            If no process can load the model.
        """
        try:
            return list(self._ask(chunk))
        except _ProcessDied:
            self._replace()
        if len(chunk) == 1:
            return [None]
        return [answer for given in chunk for answer in self.score([given])]

    def stop(self) -> None:
        """End the process for good, also in the middle of a chunk."""
        with self._lock:
            self._stopped = True
            self._process.kill()

    def close(self) -> None:
        """Close the pipes of a process that no thread waits for."""
        self.stop()
        self._process.communicate()

    def _replace(self) -> None:
        with self._lock:
            if self._stopped:
                raise _ProcessDied
            self._process.kill()
            self._process.communicate()
            self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._ready = False
        root = str(Path(galclass.__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        return subprocess.Popen(
            [sys.executable, "-m", "galclass.scoring.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            process_group=0,  # Ctrl-C goes to the parent, which ends this one
        )

    def _ask(self, chunk: Sequence[Given]) -> list[Prediction]:
        if not self._ready:
            self._load()
        answer: list[Prediction] = self._exchange(pickle.dumps(list(chunk), pickle.HIGHEST_PROTOCOL))
        return answer

    def _load(self) -> None:
        try:
            self._exchange(self._setup)
        except _ProcessDied as error:
            if self._stopped:
                raise
            status = self._process.wait()
            advice = "more memory may help, or fewer processes (--processes 1)"
            raise ModelError(
                "a scoring process ended before it began", got=f"status {status}", advice=advice
            ) from error
        self._ready = True

    def _exchange(self, order: bytes) -> Any:
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        try:
            orders.write(order)
            orders.flush()
            answer = pickle.load(answers)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            raise _ProcessDied from error
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
        return [
            without_prediction(self._scorer, image, CRASHED) if answer is None else answer
            for (image, _), answer in zip(chunk, answers, strict=True)
        ]
