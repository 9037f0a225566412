"""A scoring process: chunks of image files in, predictions out, over its standard input and output.

Started by `processes.py` as `python -m galclass.scoring.process`. It reads pickles of its parent alone: first the
model and its settings, then one chunk after another. The end of the input ends it.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any, BinaryIO

from galclass.scoring.chunks import Setup, score_images


def main() -> None:
    """Load the model, then score chunks until the input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    try:
        _serve(sys.stdin.buffer, answers)
    except (EOFError, BrokenPipeError):  # the parent is gone, or done
        os._exit(0)  # without the flush at exit, which would fail again


def _serve(orders: BinaryIO, answers: BinaryIO) -> None:
    setup: Setup = pickle.load(orders)
    try:
        scorer = setup.scorer()
    except Exception as error:  # raised by the parent
        _send(answers, error)
        return
    _send(answers, None)
    while True:
        chunk = pickle.load(orders)
        try:
            answer: Any = score_images(scorer, chunk, setup.frame_px, setup.embedding)
        except Exception as error:
            answer = error
        _send(answers, answer)


def _send(answers: BinaryIO, answer: object) -> None:
    pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
    answers.flush()


if __name__ == "__main__":
    main()
