"""Honest clients during an attack: their error rate and latency, and what the attack gets.

Fuzzed bodies, decompression bombs, dawdling headers and bodies and idle connections run beside honest clients.

Usage: python benchmarks/http_hostility.py [--fuzzed 50000] [--idle 1000] [--honest 4] [--model FILE.onnx]
"""

from __future__ import annotations

import argparse
import itertools
import socket
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from http_server import ROOT, example_image, galclass_server, memory_mib

from galclass.scoring import shipped_model

sys.path.insert(0, str(ROOT / "tests" / "service"))

from hostile import jpeg_of_size, mutated, png_bomb  # noqa: E402  # the tests' own attacks

HEADERS = {"Content-Type": "image/jpeg"}


class Honest:
    """Clients that send one galaxy after another and note what they get."""

    def __init__(self, url: str, image: bytes, count: int) -> None:
        self.seconds: list[float] = []
        self.answers: Counter[str] = Counter()
        self._url, self._image = url, image
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def __enter__(self) -> Honest:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with httpx2.Client(timeout=30) as client:
            while not self._stop.is_set():
                started = time.perf_counter()
                try:
                    status = str(client.post(self._url, content=self._image, headers=HEADERS).status_code)
                except httpx2.TransportError as error:
                    status = type(error).__name__
                self.seconds.append(time.perf_counter() - started)
                self.answers[status] += 1

    def line(self, title: str) -> str:
        """Say it in one line."""
        ordered = sorted(self.seconds)
        p99 = ordered[int(0.99 * (len(ordered) - 1))] * 1000 if ordered else float("nan")
        wrong = sum(count for status, count in self.answers.items() if status != "200")
        said = f"{len(ordered)} honest requests, {wrong} not answered, p99 {p99:.1f} ms, {dict(self.answers)}"
        return f"{title:10s} {said}"


def attack(url: str, image: bytes, fuzzed: int, idle: int) -> Counter[str]:
    """Send everything hostile at once; gives the statuses of the fuzzed bodies."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    open_ones = [socket.create_connection(address) for _ in range(idle)]
    for number, connection in enumerate(open_ones):
        if number % 2:
            connection.sendall(f"POST {parts.path} HTTP/1.1\r\nHost: x\r\nContent-Le".encode())
    bombs = [png_bomb(), jpeg_of_size(image, 65_500, 65_500)]
    answers: Counter[str] = Counter()

    def send(numbers: range) -> Counter[str]:
        found: Counter[str] = Counter()
        with httpx2.Client(timeout=60) as client:
            for number in numbers:
                body = bombs[number % 2] if number % 500 == 0 else mutated(image, number)
                try:
                    found[str(client.post(url, content=body, headers=HEADERS).status_code)] += 1
                except httpx2.TransportError as error:
                    found[type(error).__name__] += 1
        return found

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(send, [range(start, fuzzed, 4) for start in range(4)]):
            answers += found
    for connection in open_ones:
        connection.close()
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--fuzzed", type=int, default=50_000)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--honest", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--calm-s", type=float, default=10)
    options = parser.parse_args()
    model = options.model.read_bytes() if options.model else shipped_model()
    image = example_image()
    with galclass_server(model, options.workers) as (url, pid):
        with Honest(url, image, options.honest) as calm:
            time.sleep(options.calm_s)
        before = memory_mib(pid)
        print(calm.line("calm"))
        started = time.perf_counter()
        with Honest(url, image, options.honest) as honest:
            answers = attack(url, image, options.fuzzed, options.idle)
        print(honest.line("attacked"))
        print(f"attack     {sum(answers.values())} bodies in {time.perf_counter() - started:.0f} s: {dict(answers)}")
        print(f"memory     {before:.0f} MiB before, {memory_mib(pid):.0f} MiB after")
        if any(status.startswith("5") and status != "503" for status in itertools.chain(answers, honest.answers)):
            raise SystemExit("there was a 5xx")


if __name__ == "__main__":
    main()
