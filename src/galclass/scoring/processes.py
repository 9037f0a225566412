"""Scoring in other processes: they score chunks of files, one of which may be brought down by an image.

They are plain subprocesses, as those of `prepare`: no `if __name__ == "__main__"` in the caller, and one that a file
crashes costs that file only.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from galclass.child_process import CRASHED, CRASHED_BECAUSE, ChildPool, ChildProcess, ProcessDied
from galclass.errors import ModelError
from galclass.scoring.chunks import Given, Setup, without_prediction
from galclass.scoring.prediction import ImageFault, Prediction
from galclass.scoring.scorer import Scorer


class ScoringProcess(ChildProcess):
    """One process that scores; one that a file brings down is replaced.

    Parameters
    ----------
    scorer : Scorer
        As the process loads it.
    setup : bytes
        Pickle of a `Setup`.
    """

    def __init__(self, scorer: Scorer, setup: bytes) -> None:
        self._scorer, self._setup, self._ready = scorer, setup, False
        super().__init__("galclass.scoring.process")

    def score(self, chunk: Sequence[Given]) -> list[Prediction]:
        """Score a chunk, and where that brings the process down, its files one by one; the one that did it is faulty.

        Raises
        ------
        ModelError
            If no process can load the model.
        """

        def crashed(k: int) -> list[Prediction]:
            return [without_prediction(self._scorer, chunk[k][0], ImageFault(CRASHED, CRASHED_BECAUSE))]

        results = self.isolate_crashes(lambda start, stop: self._ask(chunk[start:stop]), crashed, 0, len(chunk))
        return [prediction for result in results for prediction in result]

    def restart(self) -> None:
        """Start another in its place, which loads the model anew."""
        super().restart()
        self._ready = False

    def _ask(self, chunk: Sequence[Given]) -> list[Prediction]:
        if not self._ready:
            self._load()
        response: list[Prediction] = self._exchange(pickle.dumps(list(chunk), pickle.HIGHEST_PROTOCOL))
        return response

    def _load(self) -> None:
        try:
            self._exchange(self._setup)
        except ProcessDied as error:
            if self.is_stopped:
                raise
            status = self.wait()
            advice = "more memory may help, or fewer processes (--processes)"
            raise ModelError(
                "a scoring process ended before it began", got=f"status {status}", advice=advice
            ) from error
        self._ready = True

    def _exchange(self, request: bytes) -> Any:
        requests, responses = self.pipes
        try:
            requests.write(request)
            requests.flush()
            response = pickle.load(responses)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            raise ProcessDied from error
        if isinstance(response, BaseException):
            raise response
        return response


def scoring_processes(scorer: Scorer, count: int, frame_px: int | None, embedding: bool) -> ChildPool[ScoringProcess]:
    """Start processes that score as a scorer does; `frame_px` and `embedding` are as for `score_images`."""
    setup = pickle.dumps(Setup.of(scorer, frame_px, embedding), pickle.HIGHEST_PROTOCOL)
    return ChildPool([ScoringProcess(scorer, setup) for _ in range(count)], "scoring")
