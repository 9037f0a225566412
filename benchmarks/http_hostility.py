"""Honest clients during an attack: their error rate and latency, and what the attack gets.

Fuzzed bodies, cut uploads, wrong types, decompression bombs, dawdling headers and bodies, huge headers and idle
connections run beside honest clients. `--first` and `--fuzzed` split a long run into parts.

Usage: python benchmarks/http_hostility.py [--first 0] [--fuzzed 50000] [--idle 1000] [--honest 4] [--model FILE.onnx]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import socket
import sys
import threading
import time
from base64 import b64encode
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


def disguised(image: bytes, number: int) -> tuple[bytes, str]:
    """A hostile body and its content type: mostly mutated images; also cut uploads, wrong types and broken JSON."""
    body = mutated(image, number)
    part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="../../g.jpg"\r\n\r\n' + body
    kinds = {
        0: (part, "multipart/form-data; boundary=x"),
        1: (part + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        2: (b'{"id": "../../etc/passwd", "img": "' + b64encode(body)[: number % 4000] + b'"}', "application/json"),
        3: (b"[" * (number % 50_000), "application/json"),
        4: (body, "text/html"),
        5: (body, "image/png"),
    }
    return kinds.get(number % 20, (body, "image/jpeg"))


def attack(url: str, image: bytes, numbers: range, idle: int) -> Counter[str]:
    """Send everything hostile at once; gives the statuses of the hostile bodies."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    open_ones = [socket.create_connection(address) for _ in range(idle)]
    for number, connection in enumerate(open_ones):
        if number % 2:
            connection.sendall(f"POST {parts.path} HTTP/1.1\r\nHost: localhost\r\nContent-Le".encode())
    bombs = [png_bomb(), jpeg_of_size(image, 65_500, 65_500)]
    answers: Counter[str] = Counter()

    def send(some: range) -> Counter[str]:
        found: Counter[str] = Counter()
        with httpx2.Client(timeout=60) as client:
            for number in some:
                body, kind = disguised(image, number)
                if number % 500 == 0:
                    body, kind = bombs[number // 500 % 2], "image/png"
                try:
                    found[str(client.post(url, content=body, headers={"Content-Type": kind}).status_code)] += 1
                except httpx2.TransportError as error:
                    found[type(error).__name__] += 1
        return found

    stop = threading.Event()
    others = [threading.Thread(target=one, args=(address, parts.path, stop)) for one in (dawdle, shout)]
    for thread in others:
        thread.start()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(send, [numbers[start::4] for start in range(4)]):
            answers += found
    stop.set()
    for thread in others:
        thread.join()
    for connection in open_ones:
        connection.close()
    return answers


def dawdle(address: tuple[str, int], path: str, stop: threading.Event) -> None:
    """Fifty clients that send a byte of body a second."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 60000\r\n\r\n".encode()
    )
    slow: list[socket.socket] = []
    while not stop.wait(1):
        while len(slow) < 50:
            slow.append(socket.create_connection(address))
            slow[-1].sendall(head)
        for connection in list(slow):
            try:
                connection.sendall(b"a")
            except OSError:
                slow.remove(connection)
    for connection in slow:
        connection.close()


def shout(address: tuple[str, int], path: str, stop: threading.Event) -> None:
    """A client that sends huge headers again and again."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Long: ".encode() + b"a" * 1_000_000
    while not stop.wait(0.1):
        with socket.create_connection(address) as connection, contextlib.suppress(OSError):
            connection.sendall(head)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--fuzzed", type=int, default=50_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first hostile body; for a run in parts")
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--honest", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--calm-s", type=float, default=10)
    options = parser.parse_args()
    model = options.model.read_bytes() if options.model else shipped_model()
    image = example_image()
    numbers = range(options.first, options.first + options.fuzzed)
    with galclass_server(model, options.workers) as (url, pid):
        with Honest(url, image, 16):  # every process has its model loaded
            time.sleep(2)
        with Honest(url, image, options.honest) as calm:
            time.sleep(options.calm_s)
        before = memory_mib(pid)
        print(calm.line("calm"))
        started = time.perf_counter()
        with Honest(url, image, options.honest) as honest:
            answers = attack(url, image, numbers, options.idle)
        print(honest.line("attacked"))
        took = time.perf_counter() - started
        print(f"attack     bodies {numbers.start} to {numbers.stop - 1} in {took:.0f} s: {dict(answers)}")
        print(f"memory     {before:.0f} MiB before, {memory_mib(pid):.0f} MiB after")
        if any(status.startswith("5") and status != "503" for status in itertools.chain(answers, honest.answers)):
            raise SystemExit("there was a 5xx")


if __name__ == "__main__":
    main()
