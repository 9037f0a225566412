"""Try a model in a process with limited time and memory before it is registered, and check that it returns predictions.

The process gets the bytes on its standard input, no database and no password; it cannot write files. It prints one line
of JSON. This takes about a second, so the machine remembers which bytes passed (`verdicts`), and a process remembers
for some minutes which did not.
"""

from __future__ import annotations

import hashlib
import subprocess
import threading
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import NamedTuple

import onnxruntime
from cachetools import TLRUCache

from galclass import __version__
from galclass.child_process import start_isolated
from galclass.errors import ModelError
from galclass.scoring.checks import read_json
from galclass.scoring.graph import check_graph
from galclass.scoring.limits import MEMORY_VARIABLE, SECONDS_VARIABLE, RunLimits, run_limits
from galclass.scoring.session import signature_of
from galclass.scoring.signature import Signature
from galclass.scoring.verdicts import Verdict, keep, recall

START_S = 30.0
"""Added to the process's time limit, for its start on a busy machine."""
_REMEMBERED = 64
_REFUSED_S = 600.0
_CHECKS = 1  # raised when models that passed have to be tried again by new checks
_ADVICE = "use a model that returns probabilities for every image in time"
_Key = tuple[str, RunLimits]


class _Outcome(NamedTuple):
    """The outcome of a trial: a verdict or an error."""

    verdict: Verdict | None
    error: ModelError | None


def _forgotten_at(_: _Key, outcome: _Outcome, now: float) -> float:
    return inf if outcome.error is None else now + _REFUSED_S  # perhaps the machine was busy


_one_at_a_time = threading.Lock()
_lock = threading.Lock()
_tried: TLRUCache[_Key, _Outcome] = TLRUCache(_REMEMBERED, _forgotten_at, timer=monotonic)


@dataclass(frozen=True)
class TriedModel:
    """A model that passed the trial.

    Attributes
    ----------
    sha256 : str
    signature : Signature
    difference : float or None
        Largest difference from the recorded prediction for the probe image; None if the model has no probe.
    """

    sha256: str
    signature: Signature
    difference: float | None


def try_model(model: bytes, *, where: str = "model") -> TriedModel:
    """Check a file, and its output for images in a limited process.

    Parameters
    ----------
    model : bytes
    where : str
        Its name in errors.

    Raises
    ------
    ModelError
        If `check_graph` or the signature refuses it; if it exceeds its time or memory; if it does not reproduce the
        probe image's recorded prediction; or if for any of several batch sizes it does not return finite probabilities
        in [0, 1], as many as in its signature, summing to 1 over alternatives, and the same for the same image.
    """
    signature = signature_of(check_graph(model, where=where), where=where)
    sha256, limits = hashlib.sha256(model).hexdigest(), run_limits()
    key = (sha256, limits)
    outcome = _known(key)
    if outcome is None:
        with _one_at_a_time:
            outcome = _known(key) or _remember(key, _outcome(model, key, where))
    if outcome.verdict is None:
        assert outcome.error is not None
        error = outcome.error
        raise ModelError(error.what, where=where, expected=error.expected, got=error.got, advice=error.advice)
    return TriedModel(sha256, signature, outcome.verdict.difference)


def _known(key: _Key) -> _Outcome | None:
    with _lock:
        return _tried.get(key)


def _remember(key: _Key, outcome: _Outcome) -> _Outcome:
    with _lock:
        _tried[key] = outcome
    return outcome


def _outcome(model: bytes, key: _Key, where: str) -> _Outcome:
    sha256, limits = key
    facts = {"sha256": sha256, "seconds": limits.seconds, "memory_bytes": limits.memory_bytes, "checks": _CHECKS}
    facts |= {"galclass": __version__, "onnxruntime": onnxruntime.__version__}
    verdict = recall(facts)
    if verdict is None:
        try:
            verdict = Verdict(_run(model, limits, where))
        except ModelError as error:
            return _Outcome(None, error)
        keep(facts, verdict)
    return _Outcome(verdict, None)


def _run(model: bytes, limits: RunLimits, where: str) -> float | None:
    environment = {
        SECONDS_VARIABLE: repr(limits.seconds),
        MEMORY_VARIABLE: repr(limits.memory_bytes / (1 << 20)),
        "OPENBLAS_NUM_THREADS": "1",
    }
    pipe = subprocess.PIPE
    try:
        with start_isolated("galclass.scoring.trial", environment=environment, stdin=pipe, stdout=pipe) as child:
            try:
                reply, _ = child.communicate(model, timeout=START_S + 2 * limits.seconds)
            except BaseException:
                child.kill()
                raise
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            "the trial took too long and was stopped", where=where,
            expected=f"at most {limits.seconds:g} s for a run", advice=_ADVICE,
        ) from error  # fmt: skip
    if child.returncode:
        raise ModelError(
            "the trial process died: the model takes too much time or memory, or crashes onnxruntime",
            where=where,
            expected=f"at most {limits.seconds:g} s for a run and {limits.memory_bytes >> 20:,} MiB",
            got=f"exit status {child.returncode}",
            advice=_ADVICE,
        )
    said = read_json(reply.decode(errors="replace"), "what the process says that tried it", where=where)
    if said.get("fault") is not None:
        raise ModelError(
            str(said["fault"])[:1000], where=where, expected=said.get("expected"), got=said.get("got"),
            advice=said.get("advice"),
        )  # fmt: skip
    difference = said.get("difference")
    return None if difference is None else float(difference)
