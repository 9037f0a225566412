"""What a Ray cluster costs and gains: one and two one-core nodes against one process, and memory as the rows grow.

python benchmarks/cluster_scaling.py [--quick] [--images 100000] [--rows 10000 1000000] [--output cluster_scaling.json]

Every node is a process group of its own on this machine (`ray start`), with one core; the head has none and schedules.
Images are the bundled sample's under new names. Memory rows are 8 px PNGs in Parquet and a model of a few kilobytes:
their images would not fit otherwise. The figures go to the JSON file that `cluster_model.py` reads.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "cluster")]
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
os.environ |= {"OMP_NUM_THREADS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}

import numpy as np  # noqa: E402  # after the path and Ray's environment are set
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import ray  # noqa: E402
from nodes import Cluster, Node, wait_for  # noqa: E402
from tiny_model import tiny_model  # noqa: E402

from galclass.cluster import connect  # noqa: E402
from galclass.cluster import score as stage  # noqa: E402
from galclass.config import ClusterConfig  # noqa: E402
from galclass.image_files import find_images  # noqa: E402
from galclass.scoring import Scorer  # noqa: E402
from galclass.scoring.predict import predict_to  # noqa: E402

SAMPLE_S = 0.25
"""Seconds between two samples of the memory."""


@contextmanager
def cluster(workers: int) -> Iterator[tuple[Cluster, list[Node]]]:
    """Start a head without cores and so many one-core nodes, and connect."""
    own = Cluster(Path(tempfile.mkdtemp()), head_cpus=0)
    try:
        nodes = [own.add() for _ in range(workers)]
        ray.init(address=own.address, log_to_driver=False, logging_level="ERROR")
        wait_for(lambda: connect.nodes() == workers + 1, "the nodes")
        list(_mapped(_busy, 2 * workers, together=1))  # warm: long enough that every node gets some
        yield own, nodes
    finally:
        ray.shutdown()
        own.close()


def _nothing(work: dict[str, Any], job: Any) -> dict[str, Any]:
    return {"n": work["n"]}


class MemoryWatch(threading.Thread):
    """Samples the memory of nodes (proportional set size: shared pages counted once) and of this process."""

    def __init__(self, nodes: list[Node]) -> None:
        super().__init__(daemon=True)
        self._nodes, self._ended = nodes, threading.Event()
        self.node_mb, self.driver_mb = [0.0] * len(nodes), 0.0

    def run(self) -> None:
        """Sample until stopped."""
        while not self._ended.wait(SAMPLE_S):
            for number, node in enumerate(self._nodes):
                self.node_mb[number] = max(self.node_mb[number], sum(_pss_mb(pid) for pid in node.pids()))
            self.driver_mb = max(self.driver_mb, _pss_mb(os.getpid()))

    def __enter__(self) -> MemoryWatch:
        self.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._ended.set()
        self.join()


def _pss_mb(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def survey(folder: Path, count: int) -> Path:
    """Write so many images, links to the files of the bundled sample."""
    with zipfile.ZipFile(ROOT / "data" / "sample" / "images_gz2.zip") as archive:
        archive.extractall(folder / "source")
    files = sorted((folder / "source").rglob("*.jpg"))
    target = folder / "survey"
    for number in range(count):
        path = target / f"{number // 10_000:04d}" / f"g{number:08d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(files[number % len(files)], path)
    return target


def rows_file(path: Path, rows: int) -> Path:
    """Write a table of small images scattered over a part of the sky."""
    import cv2

    rng = np.random.default_rng(0)
    pictures = [cv2.imencode(".png", rng.integers(0, 255, (40, 40, 3), np.uint8))[1].tobytes() for _ in range(64)]
    schema = pa.schema(
        [("object_id", pa.string()), ("image", pa.binary()), ("ra", pa.float64()), ("dec", pa.float64())]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, 4096):
            count = min(4096, rows - first)
            columns = {
                "object_id": [f"o{first + k:010d}" for k in range(count)],
                "image": [pictures[k % 64] for k in range(count)],
                "ra": rng.uniform(0, 60, count),
                "dec": rng.uniform(-20, 20, count),
            }
            writer.write_table(pa.table(columns, schema=schema))
    return path


def timed_run(images: Path, scorer: Scorer, settings: ClusterConfig) -> dict[str, float]:
    """Score on the cluster that is connected; seconds of both steps, of everything, and of the driver's processor."""
    output = Path(tempfile.mkdtemp(dir=images.parent))
    began, cpu, gathered = time.perf_counter(), time.process_time(), [0.0]
    gather = stage._gather

    def timed_gather(*arguments: Any) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            return gather(*arguments)
        finally:
            gathered[0] = time.perf_counter() - started

    stage._gather = timed_gather
    try:
        summary = stage.score_on_cluster(str(images), str(output), scorer, settings, progress=False)
    finally:
        stage._gather = gather
    seconds = time.perf_counter() - began
    bytes_out = sum(path.stat().st_size for path in output.glob("**/Npix=*.parquet"))
    shutil.rmtree(output)
    return {
        "rows": summary.scored,
        "seconds": seconds,
        "gather_s": gathered[0],
        "driver_cpu_s": time.process_time() - cpu,
        "bytes_out": bytes_out,
    }


def measure_speed(folder: Path, count: int) -> dict[str, Any]:
    images, scorer = survey(folder, count), Scorer()
    began = time.perf_counter()
    predict_to(find_images([images]), scorer, folder / "plain.parquet", processes=1)  # with its listing, as a cluster
    found: dict[str, Any] = {"images": count, "plain_s": time.perf_counter() - began, "nodes": {}}
    some = list(islice(find_images([images]), 1000))
    found["bytes_per_image"] = sum(os.stat(image.path).st_size for image in some) / len(some)
    settings = ClusterConfig("auto", chunk=1024 if count >= 20_000 else 128)
    for workers in (1, 2):
        with cluster(workers):
            found["nodes"][workers] = timed_run(images, scorer, settings)
    one, two = (found["nodes"][workers]["seconds"] for workers in (1, 2))
    found |= {"scaling": one / two, "overhead": one / found["plain_s"] - 1, "chunk": settings.chunk}
    print(f"plain, one process      {count / found['plain_s']:8.0f} images/s")
    print(f"one one-core node       {count / one:8.0f} images/s   overhead {found['overhead']:+.1%}")
    print(f"two one-core nodes      {count / two:8.0f} images/s   {found['scaling']:.2f} times one")
    return found


def measure_chunks(count: int) -> dict[str, float]:
    """Chunks that do nothing, and what a core waits between two takes: what Ray itself costs driver and nodes."""
    with cluster(1):
        began, cpu = time.perf_counter(), time.process_time()
        done = list(_mapped(_nothing, count, together=stage.TOGETHER))
        found: dict[str, float] = {"chunk_s": (time.perf_counter() - began) / len(done), "together": stage.TOGETHER}
        found["driver_cpu_per_chunk_s"] = (time.process_time() - cpu) / len(done)
    with cluster(2):
        done = sorted(_mapped(_busy, 20, together=1), key=lambda result: result["began"])
        cores = [[one for one in done if one["pid"] == pid] for pid in {one["pid"] for one in done}]
        waits = [later["began"] - one["ended"] for own in cores for one, later in pairwise(own)]
        found["take_wait_s"] = statistics.median(waits)
    driver_ms = 1000 * found["driver_cpu_per_chunk_s"]
    print(f"an empty chunk          {1000 * found['chunk_s']:8.1f} ms, {driver_ms:.1f} ms of the driver's processor")
    print(f"a core between takes    {1000 * found['take_wait_s']:8.1f} ms")
    return found


def _mapped(function: Callable[..., dict[str, Any]], count: int, *, together: int) -> Iterator[dict[str, Any]]:
    return connect.map_work(({"n": n} for n in range(count)), function, job=connect.shared(None), together=together)


def _busy(work: dict[str, Any], job: Any) -> dict[str, Any]:
    """Keep a core busy for a while, as scoring a chunk does."""
    import os
    import time

    began = time.time()
    while time.time() - began < 1.0:
        pass
    return {"pid": os.getpid(), "began": began, "ended": time.time()}


def measure_memory(folder: Path, counts: list[int]) -> list[dict[str, float]]:
    found = []
    scorer = Scorer(tiny_model())
    settings = ClusterConfig("auto", partition_rows=100_000)
    for rows in counts:
        table = rows_file(folder / f"{rows}.parquet", rows)
        with cluster(1) as (own, nodes), MemoryWatch([own.nodes[0], *nodes]) as watch:
            run = timed_run(table, scorer, settings)
        found.append({**run, "node_mb": watch.node_mb[1], "head_mb": watch.node_mb[0], "driver_mb": watch.driver_mb})
        print(
            f"{rows:10,} rows {run['seconds']:8.1f} s (gather {run['gather_s']:.1f} s)"
            f"   node {watch.node_mb[1]:6.0f} MB, head {watch.node_mb[0]:.0f} MB, driver {watch.driver_mb:.0f} MB"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quick", action="store_true", help="a minute or two: the script works; the figures mean little"
    )
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument(
        "--parts", nargs="+", default=["chunks", "speed", "memory"], choices=["chunks", "speed", "memory"]
    )
    parser.add_argument("--output", type=Path, default=Path("cluster_scaling.json"))
    arguments = parser.parse_args()
    images, rows = (1_000, [1_000, 5_000]) if arguments.quick else (arguments.images, arguments.rows)
    found = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        if "chunks" in arguments.parts:
            found["chunks"] = measure_chunks(50 if arguments.quick else 1000)
        if "speed" in arguments.parts:
            found["speed"] = measure_speed(Path(folder), images)
        if "memory" in arguments.parts:
            found["memory"] = measure_memory(Path(folder), rows)
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
