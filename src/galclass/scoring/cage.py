"""Try a model in a process of limited time and memory before it is registered, and see that it gives predictions.

The process gets the bytes on its standard input, no database and no password; it cannot write files. What it prints is
one line of JSON. It costs about half a second, so a process remembers which bytes it has tried.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass

from galclass.errors import ModelError
from galclass.scoring.checks import read_json
from galclass.scoring.graph import check_graph
from galclass.scoring.limits import MEMORY_VARIABLE, SECONDS_VARIABLE, RunLimits, run_limits
from galclass.scoring.session import signature_of
from galclass.scoring.signature import Signature

START_S = 30.0
"""Added to the time of the process: starting it on a busy machine."""
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_REMEMBERED = 64
_ADVICE = "use a model that gives probabilities for every image, in time"
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from galclass.scoring.trial import main; main()"
_one_at_a_time = threading.Lock()
_tried: OrderedDict[tuple[str, RunLimits], float | None] = OrderedDict()


@dataclass(frozen=True)
class TriedModel:
    """A model that gave predictions in the process.

    Attributes
    ----------
    sha256 : str
    signature : Signature
    difference : float or None
        Largest difference from the recorded answer to the probe image; None where the model carries no probe.
    """

    sha256: str
    signature: Signature
    difference: float | None


def try_model(model: bytes, *, where: str = "model") -> TriedModel:
    """Check a file, and what it gives for images in a limited process.

    Parameters
    ----------
    model : bytes
    where : str
        What an error calls it.

    Raises
    ------
    ModelError
        If `check_graph` or the signature refuses it; if it takes more time or memory than it may; if it does not give
        the probe image's recorded answer, or for any of several batch sizes finite probabilities in [0, 1], as many as
        its signature has, summing to 1 for what excludes one another, and the same for the same image.
    """
    signature = signature_of(check_graph(model, where=where), where=where)
    sha256, limits = hashlib.sha256(model).hexdigest(), run_limits()
    key = (sha256, limits)
    with _one_at_a_time:
        if key not in _tried:
            _tried[key] = _run(model, limits, where)
            while len(_tried) > _REMEMBERED:
                _tried.popitem(last=False)
        return TriedModel(sha256, signature, _tried[key])


def _run(model: bytes, limits: RunLimits, where: str) -> float | None:
    environment = {
        SECONDS_VARIABLE: repr(limits.seconds),
        MEMORY_VARIABLE: repr(limits.memory_bytes / (1 << 20)),
        "OPENBLAS_NUM_THREADS": "1",
    }
    environment |= {name: os.environ[name] for name in _KEPT if name in os.environ}
    command = [sys.executable, "-I", "-B", "-c", _PROGRAM, json.dumps([path for path in sys.path if path])]
    try:
        done = subprocess.run(
            command, input=model, capture_output=True, env=environment, cwd="/", timeout=START_S + 2 * limits.seconds
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            "trying it takes too long and was stopped", where=where,
            expected=f"at most {limits.seconds:g} s for a run", advice=_ADVICE,
        ) from error  # fmt: skip
    if done.returncode:
        raise ModelError(
            "the process that tried it ended: it takes too much time or memory, or crashes onnxruntime",
            where=where,
            expected=f"at most {limits.seconds:g} s for a run and {limits.memory_bytes >> 20:,} MiB",
            got=f"exit status {done.returncode}",
            advice=_ADVICE,
        )
    said = read_json(done.stdout.decode(errors="replace"), "what the process says that tried it", where=where)
    if said.get("fault") is not None:
        raise ModelError(
            str(said["fault"])[:1000], where=where, expected=said.get("expected"), got=said.get("got"),
            advice=said.get("advice"),
        )  # fmt: skip
    difference = said.get("difference")
    return None if difference is None else float(difference)
