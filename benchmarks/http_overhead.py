"""CPU of the HTTP layer per request, rates and latencies under load.

For each number of clients: requests/s and latency as wrk sees them; CPU of the server's processes per request, how
much of it is spent in the scorer by the threads' own clocks, and what is left: the HTTP layer's. "Alone" is the
CPU of the scorer on the same bytes without a server, in as many processes, measured in the same run: code and data
that share the processor's caches with a server and a load generator take longer than that.

Usage: python benchmarks/http_overhead.py [--model FILE.onnx] [--workers 1] [--seconds 10] [--clients 1 16]
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

from http_server import cpu_seconds, example_image, galclass_server, memory_mib, wrk

from galclass.scoring import Scorer, shipped_model


def scorer_ms(model: bytes, image: bytes, processes: int) -> float:
    """CPU milliseconds of the scorer for one image, with as many processes scoring at one time as the server has."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return statistics.mean(pool.starmap(_scorer_ms, [(model, image)] * processes, chunksize=1))


def _scorer_ms(model: bytes, image: bytes, count: int = 400) -> float:
    scorer = Scorer(model)
    scorer.score([image])
    rounds = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(count // 5):
            scorer.score([image])
        rounds.append((time.process_time() - started) / (count // 5) * 1000)
    return statistics.median(rounds)


def scoring_seconds(url: str) -> float:
    """CPU seconds that the server's processes spent in the scorer so far."""
    with urllib.request.urlopen(url.split("/v1/")[0] + "/metrics") as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(r"^galclass_scoring_cpu_seconds_total (\S+)", text, re.MULTILINE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="an ONNX model (default: the one in the package)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16])
    options = parser.parse_args()
    model = options.model.read_bytes() if options.model else shipped_model()
    image = example_image()
    print(f"image {len(image)} bytes, {options.workers} workers; medians of {options.rounds} rounds")
    print("clients  requests/s  p50 ms  p99 ms  refused  server CPU ms  in the scorer  HTTP CPU ms  alone  memory MiB")
    with tempfile.TemporaryDirectory() as folder, galclass_server(model, options.workers) as (url, pid):
        path = Path(folder) / "image.jpg"
        path.write_bytes(image)
        wrk(url, path, 64, 3)  # every process has its model loaded
        for clients in options.clients:
            rows = []
            for _ in range(options.rounds):
                scored, before = scoring_seconds(url), cpu_seconds(pid)
                load = wrk(url, path, clients, options.seconds)
                server = (cpu_seconds(pid) - before) / max(load.requests, 1) * 1000
                scorer = (scoring_seconds(url) - scored) / max(load.requests, 1) * 1000
                alone = scorer_ms(model, image, options.workers)
                answered = (load.per_s, load.p50_ms, load.p99_ms, load.refused + load.broken)
                rows.append((*answered, server, scorer, server - scorer, alone))
            row = [statistics.median(column) for column in zip(*rows, strict=True)]
            print(
                f"{clients:7d} {row[0]:11.1f} {row[1]:7.2f} {row[2]:7.2f} {row[3]:8.0f} {row[4]:14.3f} {row[5]:14.3f} "
                f"{row[6]:12.3f} {row[7]:6.3f} {memory_mib(pid):11.1f}"
            )


if __name__ == "__main__":
    main()
