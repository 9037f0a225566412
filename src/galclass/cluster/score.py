"""Scoring a survey: images anywhere -> predictions in HATS layout, every image exactly once, whatever fails.

The order of a run: chunks are scored and leave parts; the parts are gathered into partitions of the sky; last the
manifest is written, which makes the folder a finished one. Started again, a run skips the parts that are there.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from galclass import __version__
from galclass.cluster.connect import Work, connected, map_work, nodes, shared
from galclass.cluster.crash_isolation import ATTEMPTS
from galclass.cluster.folder import Folder
from galclass.cluster.hats import write_hats
from galclass.cluster.inputs import SkyObject, chunk_name, work_chunks
from galclass.cluster.partitions import (
    GatherJob,
    count_parts,
    parts_of_partitions,
    plan_partitions,
    plan_unplaced,
    write_partitions,
)
from galclass.cluster.parts import PARTS, part_path, row_schema
from galclass.cluster.progress import bar
from galclass.cluster.scoring_work import ScoreJob, score_chunk
from galclass.config import ClusterConfig
from galclass.errors import ClusterError
from galclass.image_files import Skipped
from galclass.scoring import CHUNK, ModelId, Scorer
from galclass.scoring.predict import foreign_sentence, mostly_unlike

MANIFEST, PLAN = "manifest.json", "plan.json"
FORMAT = 1
TOGETHER = 8
"""Chunks that a core takes at a time."""


@dataclass(frozen=True)
class ClusterScoreSummary:
    """What a run did.

    Attributes
    ----------
    output : str
    model : ModelId
    scored, rejected : int
        Rows of the whole folder; rejected ones have an `error`.
    rejects : mapping of str to int
        By code.
    partitions : int
        Files.
    new : int
        Rows that this run scored.
    nodes : int
        Machines at the end of the run.
    seconds : float
    skipped : Skipped
        Files of folders and zips that are not images.
    unlike : int
        Images with the flag unlike_training_data.
    """

    output: str
    model: ModelId
    scored: int
    rejected: int
    partitions: int
    rejects: Mapping[str, int] = field(default_factory=dict)
    new: int = 0
    nodes: int = 0
    seconds: float = 0.0
    skipped: Skipped = field(default_factory=Skipped)
    unlike: int = 0

    @property
    def foreign(self) -> bool:
        """Whether most of the images are unlike what the model was trained on."""
        return mostly_unlike(self.unlike, self.scored - self.rejected)

    def __str__(self) -> str:
        foreign = [foreign_sentence(self.unlike, self.scored - self.rejected, str(self.model))] if self.foreign else []
        return "\n".join([self._files(), *foreign])

    def _files(self) -> str:
        if not self.skipped.total:
            return self._counts()
        parts = f"{self.scored - self.rejected:,} scored + {self.rejected:,} rejected + {self.skipped.total:,} skipped"
        return f"{self._counts()}\nfiles: {self.scored + self.skipped.total:,} seen = {parts}\nskipped: {self.skipped}"

    def _counts(self) -> str:
        codes = ", ".join(f"{count:,} {code}" for code, count in self.rejects.items())
        text = f"score: {self.scored:,} images with {self.model} in {self.partitions:,} partitions"
        text += f", {self.rejected:,} rejected" + (f" ({codes})" if codes else "")
        if not self.new:
            return f"{text}, nothing to do, {self.output}"
        rate = self.new / max(self.seconds, 1e-9)
        text += f", {self.new:,} of them new" if self.new < self.scored else ""
        return f"{text}, {self.nodes} nodes, {self.seconds:.1f} s, {rate:,.0f} images/s, {self.output}"


def score_on_cluster(
    images: str,
    output: str,
    scorer: Scorer,
    settings: ClusterConfig,
    *,
    objects: Mapping[str, SkyObject] | None = None,
    frame_px: int | None = None,
    progress: bool = True,
) -> ClusterScoreSummary:
    """Score images on a cluster into a folder in HATS layout.

    Parameters
    ----------
    images : str
        As in `work_chunks`.
    output : str
        A folder that all nodes see, or a URL; of one run, which may be started as often as needed.
    scorer : Scorer
        The model.
    settings : ClusterConfig
        Address and sizes.
    objects : mapping, optional
        From a catalog: file key -> object id, ra, dec (deg).
    frame_px : int, optional
        Side of the survey's frame; None: each file is a full frame.
    progress : bool
        Show a bar.

    Raises
    ------
    ClusterError
        If the cluster, the images or the output cannot be used, or the output belongs to another run.
    """
    began = time.monotonic()
    if settings.chunk % CHUNK:
        raise ClusterError(
            "a chunk is whole batches", where="cluster.chunk", expected=f"k * {CHUNK}", got=settings.chunk
        )
    folder = Folder(output, settings.patience_s)
    plan = _plan(images, scorer, settings, objects, frame_px)
    done = _read_json(folder, MANIFEST)
    started = _agree(folder, plan, done)
    if done is not None:
        _check_images(folder, images, settings.chunk, objects, done)
        return _summary(output, scorer.model, done)
    job = ScoreJob(scorer.value, scorer.model, folder.absolute, started, frame_px, settings.patience_s, scorer.limits)
    with connected(settings.address or "local"):
        chunks = _Chunks(folder, images, settings.chunk, objects)
        new = _score(chunks, job, progress)
        manifest = _gather(folder, chunks.names, scorer, started, settings, plan, progress)
        manifest["skipped"] = chunks.skipped.as_facts()
        count = nodes()
    folder.write(MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    folder.delete(list(folder.names(PARTS)) + list(folder.names(ATTEMPTS)))
    return _summary(output, scorer.model, manifest, new=new, nodes=count, seconds=time.monotonic() - began)


class _Chunks:
    """The chunks without a part, listed as they are asked for; `names` has those of all chunks listed so far."""

    def __init__(self, folder: Folder, images: str, size: int, objects: Mapping[str, SkyObject] | None) -> None:
        self._there = set(folder.names(PARTS))
        self.skipped = Skipped()
        self._chunks = work_chunks(images, size, objects, self.skipped)
        self.names: list[str] = []

    def __iter__(self) -> Iterator[Work]:
        for number, chunk in enumerate(self._chunks):
            name = chunk_name(number, chunk)
            self.names.append(name)
            if part_path(name) not in self._there:
                yield {"name": name, "chunk": chunk.to_json()}


def _score(chunks: _Chunks, job: ScoreJob, progress: bool) -> int:
    new = 0
    with bar("score", progress) as advance:
        for result in map_work(chunks, score_chunk, job=shared(job), together=TOGETHER):
            new += result["rows"]
            advance(result["rows"])
    return new


def _gather(
    folder: Folder,
    names: list[str],
    scorer: Scorer,
    started: datetime,
    settings: ClusterConfig,
    plan: dict[str, Any],
    progress: bool,
) -> dict[str, Any]:
    """Put the parts' rows into partitions and describe them."""
    job = GatherJob(folder.absolute, settings.patience_s)
    totals, unplaced = count_parts(names, job)
    placed = plan_partitions(totals.pixels, totals.counts, settings.partition_rows)
    holders = parts_of_partitions(names, placed, job) if placed else []
    rest, rest_holders = plan_unplaced(unplaced, settings.partition_rows)
    facts: dict[int, Any] = {}
    footers: dict[int, bytes] = {}
    with bar("gather", progress, total=len(placed) + len(rest)) as advance:
        for result in write_partitions(names, [*placed, *rest], [*holders, *rest_holders], job):
            facts[result["number"]], footers[result["number"]] = json.loads(result["facts"]), result["footer"]
            advance(1)
    rows = sum(one["rows"] for one in facts.values())
    if rows != int(totals.counts.sum()) + totals.unplaced:
        raise ClusterError("rows were lost between parts and partitions", where=folder.location, got=rows)
    if placed:
        ordered = [footers[number] for number in range(len(placed))]
        write_hats(folder, placed, ordered, schema=row_schema(scorer.signature), made=started)
    return {
        **plan,
        "scored_at": started.isoformat(timespec="seconds"),
        "galclass": __version__,
        "chunks": len(names),
        "chunks_sha256": _names_sha256(names),
        "rows": rows,
        "rejected": sum(totals.rejects.values()),
        "rejects": dict(sorted(totals.rejects.items())),
        "unlike": totals.unlike,
        "partitions": [facts[number] for number in sorted(facts)],
    }


def _plan(
    images: str,
    scorer: Scorer,
    settings: ClusterConfig,
    objects: Mapping[str, SkyObject] | None,
    frame_px: int | None,
) -> dict[str, Any]:
    """Return everything that determines the rows."""
    catalog = json.dumps(sorted((objects or {}).items())).encode()
    return {
        "format": FORMAT,
        "images": images,
        "model": {"name": scorer.model.name, "version": scorer.model.version, "sha256": scorer.sha256},
        "catalog_sha256": hashlib.sha256(catalog).hexdigest() if objects else None,
        "frame_px": frame_px,
        "hdu": scorer.limits.hdu,
        "chunk": settings.chunk,
        "partition_rows": settings.partition_rows,
    }


def _agree(folder: Folder, plan: dict[str, Any], done: dict[str, Any] | None) -> datetime:
    """Record the plan, or check that the folder has the same one; return when the run first began."""
    there = done or _read_json(folder, PLAN)
    if there is None:
        now = datetime.now(UTC).replace(microsecond=0)
        folder.write(PLAN, (json.dumps({**plan, "scored_at": now.isoformat()}, indent=1) + "\n").encode())
        return now
    other = [key for key, value in plan.items() if there.get(key) != value]
    if other:
        raise ClusterError(
            "the folder belongs to another run",
            where=folder.location,
            expected="; ".join(f"{key} {plan[key]}" for key in other),
            got="; ".join(f"{key} {there.get(key)}" for key in other),
            advice="name a new --output, or delete the folder",
        )
    return datetime.fromisoformat(there["scored_at"])


def _names_sha256(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _check_images(
    folder: Folder, images: str, size: int, objects: Mapping[str, SkyObject] | None, done: dict[str, Any]
) -> None:
    """Check that a complete folder is of the images that there are now; older manifests do not tell."""
    recorded = done.get("chunks_sha256")
    names = (chunk_name(number, chunk) for number, chunk in enumerate(work_chunks(images, size, objects)))
    if recorded is not None and _names_sha256(names) != recorded:
        raise ClusterError(
            "the folder is complete, but images were added, removed or changed since", where=folder.location,
            advice="name a new --output, or delete the folder",
        )  # fmt: skip


def _read_json(folder: Folder, name: str) -> dict[str, Any] | None:
    data = folder.read(name)
    if data is None:
        return None
    try:
        values: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise ClusterError("the file is damaged", where=f"{folder.location}/{name}", advice="delete it") from error
    return values


def _summary(output: str, model: ModelId, manifest: dict[str, Any], **run: Any) -> ClusterScoreSummary:
    return ClusterScoreSummary(
        output, model, manifest["rows"], manifest["rejected"], len(manifest["partitions"]), manifest["rejects"],
        skipped=Skipped.from_facts(manifest.get("skipped", {})), unlike=manifest.get("unlike", 0), **run,
    )  # fmt: skip
