"""What a node does with one chunk: read, score, write the part. The function that Ray Data maps.

A pure function of chunk and job but for the part it writes; run twice it writes the same bytes under the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from galclass.child_process import CRASHED, CRASHED_BECAUSE
from galclass.cluster.crash_isolation import begin_attempt, crash_finder, end_attempts
from galclass.cluster.folder import Folder
from galclass.cluster.inputs import WorkChunk
from galclass.cluster.parts import part_bytes, part_path
from galclass.cluster.reading import Item, in_batches, read_items
from galclass.cutouts import DecodeLimits
from galclass.scoring import CHUNK, ImageFault, ModelId, Prediction, Scorer


@dataclass(frozen=True)
class ScoreJob:
    """What all chunks of a run share; each node fetches it once.

    Attributes
    ----------
    model : bytes
        The ONNX file.
    model_id : ModelId
        Its registered name and version.
    output : str
        Folder or URL.
    started : datetime
        The rows' `scored_at`: when the run began, so that a chunk done again gives the same bytes.
    frame_px : int or None
        Side of the survey's frame.
    patience_s : float
        How long a failing store is waited for.
    limits : DecodeLimits
        How long an image may take to decode.
    """

    model: bytes
    model_id: ModelId
    output: str
    started: datetime
    frame_px: int | None
    patience_s: float
    limits: DecodeLimits


@lru_cache(maxsize=1)
def load_job(reference: Any) -> tuple[ScoreJob, Scorer, Folder]:
    """Fetch the job and load its model, once a process."""
    import ray

    job: ScoreJob = ray.get(reference)
    scorer = Scorer(job.model, name=job.model_id.name, version=job.model_id.version, limits=job.limits)
    return job, scorer, Folder(job.output, job.patience_s)


def score_chunk(description: dict[str, Any], reference: Any) -> dict[str, Any]:
    """Score a chunk and write its part.

    Parameters
    ----------
    description : dict
        `name` and `chunk` (JSON).
    reference : object reference
        Of a `ScoreJob`.

    Returns
    -------
    dict
        `rows` and `rejects`: how many.
    """
    job, scorer, folder = load_job(reference)
    name = description["name"]
    careful = begin_attempt(folder, name)
    rows = score_items(WorkChunk.from_json(description["chunk"]), job, scorer, careful=careful)
    folder.write(part_path(name), part_bytes(rows, scorer.signature))
    end_attempts(folder, name)
    return {"rows": len(rows), "rejects": sum(row["error"] is not None for row in rows)}


def score_items(chunk: WorkChunk, job: ScoreJob, scorer: Scorer, *, careful: bool = False) -> list[dict[str, Any]]:
    """Score a chunk's images in the batches of one machine, so that the predictions are the same to the last digit.

    Parameters
    ----------
    careful : bool
        Try the images in a child process first.
    """
    finder = crash_finder(scorer.parameters, job.frame_px, job.limits) if careful else nullcontext()
    rows: list[dict[str, Any]] = []
    with finder as crashing:
        for items in in_batches(read_items(chunk, job.patience_s), CHUNK):
            rows += _rows(_without_crashing(items, crashing), job, scorer)
    return rows


def _without_crashing(items: list[Item], crashing: Callable[[Sequence[bytes]], set[int]] | None) -> list[Item]:
    if crashing is None:
        return items
    bad = crashing([item.data for item in items])
    fault = ImageFault(CRASHED, CRASHED_BECAUSE)
    return [replace(item, data=b"", fault=fault) if n in bad else item for n, item in enumerate(items)]


def _rows(items: list[Item], job: ScoreJob, scorer: Scorer) -> list[dict[str, Any]]:
    predictions = scorer.score(
        [item.data for item in items], object_ids=[item.object_id for item in items], frame_px=job.frame_px
    )
    rows = []
    for item, prediction in zip(items, predictions, strict=True):
        if item.fault is not None:
            prediction = Prediction(item.object_id, scorer.model, error=item.fault, classes=scorer.signature.classes)
        row = replace(prediction, scored_at=job.started).as_row()
        rows.append({"file": item.file, **row, "ra": item.ra, "dec": item.dec})
    return rows
