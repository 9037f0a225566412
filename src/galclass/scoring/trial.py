"""The process of `galclass.scoring.cage`: limits itself, scores synthetic images, reports the result."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galclass.errors import ModelError
from galclass.morphology import QUESTIONS
from galclass.scoring.limits import run_limits
from galclass.scoring.outputs import ModelOutputs
from galclass.scoring.probe import check_probe
from galclass.scoring.scorer import CHUNK, Scorer

BATCHES = (1, 2, 7, CHUNK)
"""Batch sizes of the trial."""

_SUM_TOLERANCE = 1e-3
_SAME_TOLERANCE = 1e-3
_BESIDE_THE_MODEL = 512 << 20


def main() -> None:
    """Read a model from standard input, try it, and write one line of JSON."""
    model = sys.stdin.buffer.read()
    _limit_process(len(model))
    try:
        scorer = Scorer(model)
        try_outputs(scorer)
        said: dict[str, object] = {"difference": check_probe(scorer)}
    except ModelError as error:
        facts = {"expected": error.expected, "got": error.got}
        said = {"fault": error.what, "advice": error.advice}
        said |= {name: None if fact is None else str(fact)[:400] for name, fact in facts.items()}
    except MemoryError:
        said = {"fault": "it takes more memory than models are allowed"}
    sys.stdout.write(json.dumps(said))
    sys.stdout.flush()


def _limit_process(model_bytes: int) -> None:
    if sys.platform == "win32":  # has no such limits; the deadline and the arena apply there too
        return
    import resource

    def limit(kind: int, most: int) -> None:
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))

    limits = run_limits()
    status = Path("/proc/self/status")
    taken = re.search(r"VmData:\s+(\d+) kB", status.read_text()) if status.exists() else None
    memory = limits.memory_bytes + 4 * model_bytes + _BESIDE_THE_MODEL
    if taken is not None:  # elsewhere the kernel does not count what is mapped
        memory += int(taken[1]) * 1024
        limit(resource.RLIMIT_DATA, memory)
    limit(resource.RLIMIT_CPU, int(2 * limits.seconds) + 10)
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_CORE, 0)


def try_outputs(scorer: Scorer) -> None:
    """Score synthetic images in several batch sizes.

    Raises
    ------
    ModelError
        If a batch size fails or yields other shapes, values that are not probabilities, sums over alternatives other
        than 1, or different outputs for the same image.
    """
    cutouts = _cutouts(scorer.signature.size_px)
    rows: list[ModelOutputs] = []
    for count in BATCHES:
        outputs = scorer.score_cutouts(cutouts[:count])
        _check_sums(scorer, outputs)
        rows.append(outputs)
    for outputs in [*rows[:-1], scorer.score_cutouts(cutouts[:1])]:  # the last: nothing is random
        _check_same(scorer, outputs, rows[-1])


def _cutouts(size_px: int) -> NDArray[np.uint8]:
    """Draw cutouts, (64, size_px, size_px, 3): black, white, noise of every brightness, and discs."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size_px, :size_px] / size_px - 0.5
    drawn = np.empty((CHUNK, size_px, size_px, 3), np.uint8)
    for number in range(CHUNK):
        disc = 255 * np.exp(-(x**2 + (1 + number % 5) * y**2) * random.uniform(5, 200))
        noise = random.uniform(0, 2 + 4 * number, (size_px, size_px, 3))
        drawn[number] = np.clip(disc[:, :, np.newaxis] * random.uniform(0.3, 1, 3) + noise, 0, 255)
    drawn[0], drawn[1] = 0, 255
    return drawn


def _check_sums(scorer: Scorer, outputs: ModelOutputs) -> None:
    sums = {"the classes": outputs.probabilities.sum(axis=1)}
    questions = scorer.signature.questions or tuple(QUESTIONS.values())
    debiased = None if outputs.vote_fractions is None else outputs.vote_fractions[:, :, 0]
    for kind, votes, stems in (
        ("", debiased, scorer.signature.vote_columns),
        ("raw ", outputs.raw_votes, scorer.signature.raw_columns),
    ):
        for question in questions:
            if votes is not None and set(question.columns) <= set(stems):
                columns = [stems.index(column) for column in question.columns]
                sums[f"the {kind}answers to {question.name}"] = votes[:, columns].sum(axis=1)
    for name, values in sums.items():
        worst = float(values[np.abs(values - 1).argmax()])
        if abs(worst - 1) > _SUM_TOLERANCE:
            raise ModelError(
                "its probabilities do not sum to 1", where=str(scorer.model), got=f"{worst:.4g} for {name}"
            )


def _check_same(scorer: Scorer, some: ModelOutputs, more: ModelOutputs) -> None:
    count = len(some.probabilities)
    difference = float(np.abs(some.probabilities - more.probabilities[:count]).max())
    if some.raw_votes is not None and more.raw_votes is not None:
        difference = max(difference, float(np.abs(some.raw_votes - more.raw_votes[:count]).max()))
    if difference > _SAME_TOLERANCE:
        raise ModelError(
            "its output for an image depends on the rest of the batch",
            where=str(scorer.model),
            expected=f"a difference up to {_SAME_TOLERANCE}",
            got=f"{difference:.2g} in a batch of {count}",
        )
