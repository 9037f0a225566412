"""The server's side of a shadow's process: start it, request predictions, end it.

Takes encoded images one at a time, returns the model's predictions. The process itself is `shadow_process`.
"""

from __future__ import annotations

import json
from multiprocessing.connection import Connection
from typing import Any

from galclass.child_process import end_group, start_linked
from galclass.scoring import ModelId

ANSWER_S, START_S = 60.0, 120.0
"""Longest time for one image and for loading a model: a busy machine leaves the process little CPU time."""

_MAX_REPLY_BYTES = 1 << 20
NICE = 19
"""How much lower than the server's the priority of the processes is: they use the remaining CPU time."""


class ShadowProcess:
    """A process that predicts one image at a time, once `load` has returned.

    Parameters
    ----------
    model : ModelId
    value : bytes
        Its ONNX bytes.
    max_decode_s : float
        How long an image may take to decode.
    provider : str
        What runs the graph.
    """

    def __init__(self, model: ModelId, value: bytes, max_decode_s: float, provider: str) -> None:
        link, self._child = start_linked(
            "galclass.service.engine.shadow_process", environment={"OMP_NUM_THREADS": "1"}, niceness=NICE
        )
        self._link = Connection(link.detach())
        about = {"name": model.name, "version": model.version, "max_decode_s": max_decode_s, "provider": provider}
        self._orders = (json.dumps(about).encode(), value)
        self.classes: tuple[str, ...] = ()

    def load(self) -> None:
        """Wait until the process has loaded the model.

        Raises
        ------
        OSError, EOFError
            If it ended, took longer than `START_S`, or cannot load it.
        """
        found = self._ask(self._orders, START_S)
        if "fault" in found:
            raise OSError(found["fault"])
        self.classes = tuple(found["classes"])

    def ask(self, image: bytes, frame_px: int | None) -> dict[str, Any]:
        """Return class, group and probabilities; after an error the process cannot be used any more.

        Raises
        ------
        OSError, EOFError
            If it ended, or takes longer than `ANSWER_S`.
        """
        return self._ask((json.dumps({"frame_px": frame_px}).encode(), image), ANSWER_S)

    def _ask(self, frames: tuple[bytes, bytes], timeout_s: float) -> dict[str, Any]:
        for frame in frames:
            self._link.send_bytes(frame)
        if not self._link.poll(timeout_s):
            raise TimeoutError(f"no reply within {timeout_s:g} s")
        return dict(json.loads(self._link.recv_bytes(_MAX_REPLY_BYTES)))

    def kill(self) -> None:
        """End the process; a call waiting for its reply gets an error."""
        end_group(self._child)

    def close(self) -> None:
        """End the process and the link to it."""
        self.kill()
        self._link.close()
