"""A cost model of scoring a survey on a cluster, from measured figures, checked by a simulation of it.

python benchmarks/cluster_model.py cluster_scaling.json [--cores 16] [--price 0.70] [--chunk 1024]

Prints galaxies per hour, cost, bytes moved and what limits each case, for 10^7, 10^8, 10^9 and 2 x 10^10 galaxies on
10, 100 and 1,000 nodes. Measured: seconds an image, bytes an image and a row, the driver's time a chunk, a core's wait
between takes, seconds a gathered row. Assumed, and printed: cores and price of a node, its network, what the store
serves, seconds a request.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

GALAXIES, NODES = (10**7, 10**8, 10**9, 2 * 10**10), (10, 100, 1000)
SIMULATED_CHUNKS = 200_000
"""More chunks than this are simulated in part, and the steady rate is extrapolated."""
LONGEST_CHUNK_S = 600.0
"""What a lost node may cost, at most: the chunks in its cores are done again."""


@dataclass(frozen=True)
class Facts:
    """Inputs of the model; seconds and bytes."""

    image_s: float
    image_bytes: float
    row_bytes: float
    driver_chunk_s: float
    take_wait_s: float
    chunks_a_take: int
    gather_row_s: float
    cores: int
    price_h: float
    node_bytes_s: float
    store_bytes_s: float
    request_s: float
    partition_rows: int
    partitions_of_a_chunk: int
    start_s: float = 120.0

    @classmethod
    def measured(cls, found: dict[str, Any], arguments: argparse.Namespace) -> Facts:
        """Take the measured figures from `cluster_scaling.py`, the others from the command line."""
        speed, rows = found["speed"], found["memory"][-1]
        return cls(
            image_s=(speed["nodes"]["1"]["seconds"] - speed["nodes"]["1"]["gather_s"]) / speed["images"],
            image_bytes=speed["bytes_per_image"],
            row_bytes=rows["bytes_out"] / rows["rows"],
            driver_chunk_s=found["chunks"]["driver_cpu_per_chunk_s"],
            take_wait_s=found["chunks"]["take_wait_s"],
            chunks_a_take=int(found["chunks"]["together"]),
            gather_row_s=rows["gather_s"] / rows["rows"],
            cores=arguments.cores,
            price_h=arguments.price,
            node_bytes_s=arguments.node_gbit * 1e9 / 8,
            store_bytes_s=arguments.store_gbit * 1e9 / 8,
            request_s=arguments.request_ms / 1000,
            partition_rows=arguments.partition_rows,
            partitions_of_a_chunk=arguments.touched,
        )

    def chunk_s(self, chunk: int) -> float:
        """Return the seconds of a core for a chunk, with its part of the wait for the driver."""
        return chunk * self.image_s + self.take_wait_s / self.chunks_a_take


@dataclass(frozen=True)
class Answer:
    """One case: seconds of each bound, and of the whole run."""

    chunk: int
    bounds: dict[str, float]
    gather_s: float
    seconds: float

    @property
    def limit(self) -> str:
        """The bound that takes longest."""
        everything = {**self.bounds, "gather": self.gather_s}
        return max(everything, key=lambda name: everything[name])


def best_chunk(facts: Facts, galaxies: int, nodes: int, least: int) -> int:
    """Return the chunk at which the driver keeps all cores busy, if no chunk takes longer than a loss may cost."""
    cores = nodes * facts.cores
    fair = galaxies / (4 * cores)  # fewer than four chunks a core leave cores idle at the end
    wanted = 2 * facts.driver_chunk_s * cores / facts.image_s
    most = min(LONGEST_CHUNK_S / facts.image_s, max(fair, 64))
    return 64 * max(1, math.ceil(min(max(least, wanted), most) / 64))


def predict(facts: Facts, galaxies: int, nodes: int, chunk: int) -> Answer:
    """Return the time of a run as the largest of what each part of it needs, plus what cannot overlap."""
    cores, chunks = nodes * facts.cores, math.ceil(galaxies / chunk)
    served = min(facts.store_bytes_s, nodes * facts.node_bytes_s)
    waves = math.ceil(chunks / cores)
    bounds = {
        "cores": waves * facts.chunk_s(chunk),
        "store or network": galaxies * facts.image_bytes / served,
        "driver": chunks * facts.driver_chunk_s,
    }
    score_s = max(bounds.values()) + (chunk * facts.image_s if bounds["cores"] < max(bounds.values()) else 0.0)
    partitions = math.ceil(galaxies / facts.partition_rows)
    reads = chunks * min(facts.partitions_of_a_chunk, partitions)
    work_s = galaxies * facts.gather_row_s + reads * facts.request_s
    footers_s = 2 * chunks * facts.request_s / cores + (2 * chunks / 64 + partitions) * facts.driver_chunk_s
    gather_s = max(work_s / min(cores, partitions), 3 * galaxies * facts.row_bytes / served) + footers_s
    return Answer(chunk, bounds, gather_s, facts.start_s + score_s + gather_s)


def simulate(facts: Facts, galaxies: int, nodes: int, chunk: int) -> float:
    """Simulate the scoring step: one driver hands out chunks one by one, cores fetch over shared links, then compute.

    Returns
    -------
    float
        Seconds of the scoring step, to compare with the model's.
    """
    cores, chunks = nodes * facts.cores, math.ceil(galaxies / chunk)
    played = min(chunks, max(SIMULATED_CHUNKS, 8 * cores))
    free = [(0.0, core) for core in range(min(cores, played))]
    link = [0.0] * nodes  # when each node's link is free again
    store = driver = end = half = 0.0
    bytes_ = chunk * facts.image_bytes
    for number in range(played):
        ready, core = heapq.heappop(free)
        driver = max(driver, ready) + facts.driver_chunk_s
        node = core % nodes
        store = max(store, driver) + bytes_ / facts.store_bytes_s
        link[node] = max(link[node], driver) + bytes_ / facts.node_bytes_s
        # images stream in while earlier ones are scored: the slower of the two decides
        done = max(driver + facts.chunk_s(chunk), store, link[node])
        heapq.heappush(free, (done, core))
        end = max(end, done)
        if number == played // 2:
            half = end
    if played == chunks:
        return end
    return end + (chunks - played) * (end - half) / (played - played // 2 - 1)


def show(facts: Facts, least_chunk: int) -> None:
    print("galaxies   nodes    chunk      hours   galaxies/h      money   TB in  TB rows  simulated/model  limit")
    for galaxies in GALAXIES:
        for nodes in NODES:
            chunk = best_chunk(facts, galaxies, nodes, least_chunk)
            answer = predict(facts, galaxies, nodes, chunk)
            score_s = answer.seconds - answer.gather_s - facts.start_s
            ratio = simulate(facts, galaxies, nodes, chunk) / score_s
            hours = answer.seconds / 3600
            print(
                f"{galaxies:8.0e} {nodes:7,} {chunk:8,} {hours:10.2f} {galaxies / hours:12.3g}"
                f" {hours * nodes * facts.price_h:10,.0f} {galaxies * facts.image_bytes / 1e12:7.2f}"
                f" {3 * galaxies * facts.row_bytes / 1e12:8.3f} {ratio:16.2f}  {answer.limit}"
            )


def stops(facts: Facts, galaxies: int, least_chunk: int) -> int:
    """Return the number of nodes at which twice as many no longer give 1.5 times the speed."""
    nodes = 1
    while nodes < 2**20:
        now, more = (
            predict(facts, galaxies, n, best_chunk(facts, galaxies, n, least_chunk)).seconds for n in (nodes, 2 * nodes)
        )
        if now / more < 1.5:
            return nodes
        nodes *= 2
    return nodes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("measured", type=Path, help="what cluster_scaling.py wrote")
    parser.add_argument("--cores", type=int, default=16, help="of a node")
    parser.add_argument("--price", type=float, default=0.70, help="of a node an hour, in your money")
    parser.add_argument("--node-gbit", type=float, default=10.0, help="a node's network")
    parser.add_argument("--store-gbit", type=float, default=400.0, help="what the store serves to all")
    parser.add_argument("--request-ms", type=float, default=30.0, help="of a small read from the store")
    parser.add_argument("--partition-rows", type=int, default=250_000)
    parser.add_argument("--touched", type=int, default=4, help="partitions of one chunk: few in the order of the sky")
    parser.add_argument("--chunk", type=int, default=1024)
    arguments = parser.parse_args()
    facts = Facts.measured(json.loads(arguments.measured.read_text()), arguments)
    print(
        f"measured: {1000 * facts.image_s:.2f} ms and {facts.image_bytes:,.0f} bytes an image,"
        f" {facts.row_bytes:.0f} bytes a row, {1000 * facts.driver_chunk_s:.1f} ms of the driver a chunk,"
        f" {1000 * facts.take_wait_s:.0f} ms between takes of {facts.chunks_a_take},"
        f" {1e6 * facts.gather_row_s:.0f} us a gathered row"
    )
    print(
        f"assumed: {facts.cores} cores, {facts.price_h} an hour and {arguments.node_gbit:g} Gbit/s a node,"
        f" {arguments.store_gbit:g} Gbit/s from the store, {arguments.request_ms:g} ms a request,"
        f" {facts.partitions_of_a_chunk} partitions of a chunk"
    )
    show(facts, arguments.chunk)
    for galaxies in GALAXIES:
        most = stops(facts, galaxies, arguments.chunk)
        print(f"{galaxies:.0e} galaxies: doubling gives less than 1.5 times from {most} nodes")
    random = predict(replace(facts, partitions_of_a_chunk=10**9), 2 * 10**10, 1000, arguments.chunk)
    print(
        f"2e10 galaxies in random order, 1,000 nodes: gathering alone {random.gather_s / 3600:,.0f} h; sort the input"
    )


if __name__ == "__main__":
    main()
