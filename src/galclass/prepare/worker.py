"""A worker process: one chunk in, one reply out, over its standard input and output.

Started by `pool.py` as `python -m galclass.prepare.worker`. A request is one line of JSON, then the
bytes of the files where the caller has them; the pixels go straight into the store's file, and the
response, one line of JSON, holds hashes and rejects. The end of the input ends the worker.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any, BinaryIO

import cv2

from galclass.cutouts.extract import CutoutParameters
from galclass.prepare.chunks import Chunk, fill_chunk


def main() -> None:
    """Handle requests until the input ends."""
    cv2.setNumThreads(1)  # global in this process, which is ours alone: one worker a core
    requests, responses = sys.stdin.buffer, sys.stdout.buffer
    while line := requests.readline():
        response = json.dumps(_response(json.loads(line), requests)).encode() + b"\n"
        try:
            responses.write(response)
            responses.flush()
        except BrokenPipeError:  # the parent is gone
            os._exit(0)  # without the flush at exit, which would fail again


def _response(request: dict[str, Any], requests: BinaryIO) -> dict[str, Any]:
    chunk = Chunk.from_json(request["chunk"])
    items = None
    if request["lengths"] is not None:
        items = [(name, requests.read(length)) for name, length in zip(chunk.names, request["lengths"], strict=True)]
    parameters = CutoutParameters(**request["parameters"])
    try:
        sha256s, rejects = fill_chunk(Path(request["path"]), chunk, parameters, items)
    except OSError as error:  # the disk is full: no fault of the files
        return {"error": str(error)}
    return {"sha256": sha256s, "rejects": [astuple(reject) for reject in rejects]}


if __name__ == "__main__":
    main()
