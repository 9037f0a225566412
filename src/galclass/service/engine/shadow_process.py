"""The process of a service's shadow, isolated from the server's interpreter, memory and faults.

Takes frames from a pipe: the model's name and settings, its bytes, then for each image a line of JSON and the bytes.
Returns one frame for each: its prediction, as JSON.
"""

from __future__ import annotations

import json
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from galclass.cutouts import SERVED
from galclass.errors import GalclassError
from galclass.scoring import Prediction, Scorer


def main(descriptor: int) -> None:
    """Load the model from the first frames, then predict until the pipe closes."""
    _give_way()
    with Connection(descriptor) as link, suppress(EOFError, OSError):
        about = json.loads(link.recv_bytes())
        value = link.recv_bytes()
        try:
            scorer = Scorer(
                value,
                name=about["name"],
                version=about["version"],
                limits=SERVED.with_seconds(about["max_decode_s"]),
                provider=about["provider"],
            )
        except GalclassError as error:
            link.send_bytes(json.dumps({"fault": str(error)[:400]}).encode())
            return
        link.send_bytes(json.dumps({"classes": scorer.signature.classes}).encode())
        while True:
            frame_px = json.loads(link.recv_bytes())["frame_px"]
            (prediction,) = scorer.score([link.recv_bytes()], frame_px=frame_px)
            link.send_bytes(json.dumps(_said(prediction)).encode())


def _give_way() -> None:
    """Be killed first if memory is short."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _said(prediction: Prediction) -> dict[str, Any]:
    return {
        "class": prediction.predicted_class,
        "group": prediction.predicted_group,
        "probabilities": prediction.probabilities,
    }
