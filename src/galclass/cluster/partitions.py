"""From parts in the order of the input to partitions in the order of the sky, one file each.

Takes the footers of all parts, returns the partitions and for each the parts to read; then writes each partition from
its parts. Both steps run on the nodes; the driver holds pixel counts and names only.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galclass.cluster.connect import Work, map_work, shared
from galclass.cluster.folder import Folder, sha256_of
from galclass.cluster.parts import DENSEST_ORDER, HEALPIX, part_path, read_counts, read_rows, read_unplaced
from galclass.database.sky import HEALPIX_ORDER

UNPLACED = "unplaced"
_FOOTERS = 64
"""Footers that one call reads."""
_ROW_GROUP = 10_000


@dataclass(frozen=True)
class Partition:
    """One file of the result: a HEALPix pixel, or (order -1) a number of the files without positions."""

    order: int
    pixel: int
    rows: int

    @property
    def path(self) -> str:
        """Where it is inside the output folder: HATS's directories of 10,000 pixels."""
        if self.order < 0:
            return f"{UNPLACED}/part-{self.pixel:06d}.parquet"
        return f"dataset/Norder={self.order}/Dir={self.pixel // 10_000 * 10_000}/Npix={self.pixel}.parquet"

    def span(self, order: int) -> tuple[int, int]:
        """Return the pixels at a finer order that it covers: from, to (excluded)."""
        shift = 2 * (order - self.order)
        return self.pixel << shift, (self.pixel + 1) << shift


@dataclass(frozen=True)
class GatherJob:
    """What the nodes need to read footers and write partitions."""

    output: str
    patience_s: float
    starts: NDArray[np.int64] | None = None


def plan_partitions(pixels: NDArray[np.int64], counts: NDArray[np.int64], most_rows: int) -> list[Partition]:
    """Divide the sky into the largest pixels that have at most a given number of rows.

    Parameters
    ----------
    pixels, counts : int64, (n,)
        Rows by pixel at `DENSEST_ORDER`; a pixel comes once.
    most_rows : int
        Only a pixel at `DENSEST_ORDER` may hold more.

    Returns
    -------
    list of Partition
        In the order of the sky; together they hold every row once.
    """
    partitions: list[Partition] = []
    waiting = [Partition(0, pixel, 0) for pixel in range(11, -1, -1)]
    order = np.argsort(pixels)
    pixels, sums = pixels[order], np.concatenate([[0], np.cumsum(counts[order])])
    while waiting:
        one = waiting.pop()
        low, high = np.searchsorted(pixels, one.span(DENSEST_ORDER))
        rows = int(sums[high] - sums[low])
        if rows == 0:
            continue
        if rows <= most_rows or one.order == DENSEST_ORDER:
            partitions.append(Partition(one.order, one.pixel, rows))
        else:
            waiting += [Partition(one.order + 1, 4 * one.pixel + k, 0) for k in (3, 2, 1, 0)]
    return partitions


@dataclass
class Totals:
    """What all parts hold together."""

    pixels: NDArray[np.int64]
    counts: NDArray[np.int64]
    unplaced: int
    rejects: Counter[str]
    unlike: int = 0


def count_parts(parts: Sequence[str], job: GatherJob) -> tuple[Totals, list[int]]:
    """Read all footers on the nodes; return the totals and each part's rows without a position."""
    unplaced, rejects, unlike = [0] * len(parts), Counter[str](), 0
    pixels, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for result in _over_footers(parts, _count, job):
        facts = json.loads(result["facts"])
        pixels, counts = _summed(
            np.concatenate([pixels, np.array(facts["pixels"], np.int64)]),
            np.concatenate([counts, np.array(facts["counts"], np.int64)]),
        )
        for number, rows in facts["unplaced"]:
            unplaced[number] = rows
        rejects.update(facts["rejects"])
        unlike += facts["unlike"]
    return Totals(pixels, counts, sum(unplaced), rejects, unlike), unplaced


def parts_of_partitions(parts: Sequence[str], partitions: Sequence[Partition], job: GatherJob) -> list[list[int]]:
    """Find which parts hold rows of each partition."""
    starts = np.array([one.span(DENSEST_ORDER)[0] for one in partitions], dtype=np.int64)
    holders: list[list[int]] = [[] for _ in partitions]
    for result in _over_footers(parts, _touch, GatherJob(job.output, job.patience_s, starts)):
        for number, touched in json.loads(result["touched"]):
            for partition in touched:
                holders[partition].append(number)
    return [sorted(each) for each in holders]


def plan_unplaced(rows: Sequence[int], most_rows: int) -> tuple[list[Partition], list[list[int]]]:
    """Put the rows without a position from neighbouring parts into files of about equal size."""
    partitions: list[Partition] = []
    holders: list[list[int]] = []
    for number, count in enumerate(rows):
        if not count:
            continue
        if not partitions or partitions[-1].rows + count > most_rows:
            partitions.append(Partition(-1, len(partitions), 0))
            holders.append([])
        last = partitions[-1]
        partitions[-1] = Partition(-1, last.pixel, last.rows + count)
        holders[-1].append(number)
    return partitions, holders


def write_partitions(
    parts: Sequence[str], partitions: Sequence[Partition], holders: Sequence[Sequence[int]], job: GatherJob
) -> Iterator[Work]:
    """Write all partitions on the nodes; yield path, rows, bytes, sha256 and footer of each as it is finished."""
    work = (
        {
            "number": number,
            "partition": json.dumps([one.order, one.pixel, one.rows]),
            "parts": json.dumps([parts[holder] for holder in holders[number]]),
        }
        for number, one in enumerate(partitions)
    )
    return map_work(work, _write, job=shared(job))


def _over_footers(parts: Sequence[str], function: Callable[[Work, Any], Work], job: GatherJob) -> Iterator[Work]:
    """Map a function over footers, so many a call; few of them are read here, which is quicker than to ask a node."""
    reference = shared(job)
    work = (
        {"first": start, "parts": json.dumps(list(parts[start : start + _FOOTERS]))}
        for start in range(0, len(parts), _FOOTERS)
    )
    if len(parts) <= _FOOTERS:
        return (function(one, reference) for one in work)
    return map_work(work, function, job=reference)


def _footers(work: Work, job: GatherJob) -> Iterator[tuple[int, Any]]:
    folder = Folder(job.output, job.patience_s)
    for number, name in enumerate(json.loads(work["parts"]), start=int(work["first"])):
        with folder.open(part_path(name)) as file:
            yield number, read_counts(file)


def _count(work: Work, reference: Any) -> Work:
    import ray

    pixels, counts, unplaced, rejects = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [], Counter[str]()
    unlike = 0
    for number, part in _footers(work, ray.get(reference)):
        pixels.append(part.pixels)
        counts.append(part.counts)
        unplaced.append([number, part.unplaced])
        rejects.update(part.rejects)
        unlike += part.unlike
    each, rows = _summed(np.concatenate(pixels), np.concatenate(counts))
    facts = {"pixels": each.tolist(), "counts": rows.tolist(), "unplaced": unplaced, "rejects": rejects}
    facts["unlike"] = unlike
    return {"facts": json.dumps(facts)}


def _summed(pixels: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    each, where = np.unique(pixels, return_inverse=True)
    sums = np.zeros(len(each), np.int64)
    np.add.at(sums, where, counts)
    return each, sums


def _touch(work: Work, reference: Any) -> Work:
    import ray

    job = ray.get(reference)
    touched = [
        [number, np.unique(np.searchsorted(job.starts, part.pixels, side="right") - 1).tolist()]
        for number, part in _footers(work, job)
        if len(part.pixels)
    ]
    return {"touched": json.dumps(touched)}


def _write(work: Work, reference: Any) -> Work:
    import ray

    job: GatherJob = ray.get(reference)
    folder, one = Folder(job.output, job.patience_s), Partition(*json.loads(work["partition"]))
    table = _table(one, json.loads(work["parts"]), folder)
    target, footer = io.BytesIO(), io.BytesIO()
    collected: list[Any] = []
    with pq.ParquetWriter(target, table.schema, compression="zstd", metadata_collector=collected) as writer:
        writer.write_table(table, row_group_size=_ROW_GROUP)
    collected[0].set_file_path(one.path.removeprefix("dataset/"))
    collected[0].write_metadata_file(footer)
    data = target.getvalue()
    folder.write(one.path, data)
    facts = {"path": one.path, "rows": len(table), "bytes": len(data), "sha256": sha256_of(data)}
    return {"number": work["number"], "facts": json.dumps(facts), "footer": footer.getvalue()}


def _table(one: Partition, names: Sequence[str], folder: Folder) -> pa.Table:
    tables = []
    for name in names:
        with folder.open(part_path(name)) as file:
            tables.append(read_unplaced(file) if one.order < 0 else read_rows(file, *one.span(HEALPIX_ORDER)))
    table = pa.concat_tables(tables)
    return table if one.order < 0 else table.sort_by([(HEALPIX, "ascending"), ("file", "ascending")])
