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
    responses = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is not a response
    try:
        _serve(sys.stdin.buffer, responses)
    except (EOFError, BrokenPipeError):  # the parent is gone, or done
        os._exit(0)  # without the flush at exit, which would fail again


def _serve(requests: BinaryIO, responses: BinaryIO) -> None:
    setup: Setup = pickle.load(requests)
    try:
        scorer = setup.scorer()
    except Exception as error:  # raised by the parent
        _send(responses, error)
        return
    _send(responses, None)
    while True:
        chunk = pickle.load(requests)
        try:
            response: Any = score_images(scorer, chunk, setup.frame_px, setup.embedding)
        except Exception as error:
            response = error
        _send(responses, response)


def _send(responses: BinaryIO, response: object) -> None:
    pickle.dump(response, responses, protocol=pickle.HIGHEST_PROTOCOL)
    responses.flush()


if __name__ == "__main__":
    main()
