"""Honest clients during an attack: their error rate and latency, and the responses to the attack.

Fuzzed bodies, cut uploads, wrong types, decompression bombs, dawdling headers and bodies, huge headers, idle
connections, slow images, clients that do not read and batches of zeros run beside honest clients,
which send `--rate` requests a second together (0: as fast as they can) and ask for /healthz ten times a second.
The attack ends after `--seconds` or `--fuzzed` bodies; `--first` continues where an earlier run ended.

The attack has a separate process, so that honest clients do not wait for an attacker's interpreter.

Usage: PYTHONPATH=tests python benchmarks/http_hostility.py [--first 0] [--seconds 45] [--idle 1000] [--honest 4]
  [--rate 20]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import socket
import threading
import time
import zipfile
from base64 import b64encode
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from http_server import example_image, galclass_server, memory_mib
from service.hostile import jpeg_of_size, mutated, png_bomb, run_length_bmp  # the tests' own attacks

from galclass.scoring import shipped_model

HEADERS = {"Content-Type": "image/jpeg"}


class Honest:
    """Clients that send one galaxy after another and record the responses."""

    def __init__(self, url: str, image: bytes | None, count: int, rate: float = 0.0) -> None:
        self.seconds: list[float] = []
        self.answers: Counter[str] = Counter()
        self._url, self._image = url, image
        self._pause_s = count / rate if rate else 0.0
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
            due = time.perf_counter()
            while not self._stop.wait(max(0.0, due - time.perf_counter())):
                due += self._pause_s  # late requests are caught up: waiting counts, not only the response time
                started = due - self._pause_s if self._pause_s else time.perf_counter()
                try:
                    if self._image is None:
                        status = str(client.get(self._url).status_code)
                    else:
                        status = str(client.post(self._url, content=self._image, headers=HEADERS).status_code)
                except httpx2.TransportError as error:
                    status = type(error).__name__
                self.seconds.append(time.perf_counter() - started)
                self.answers[status] += 1

    def line(self, title: str) -> str:
        """Return the result in one line."""
        ordered = sorted(self.seconds)
        p50, p99, p999 = (
            ordered[int(share * (len(ordered) - 1))] * 1000 if ordered else float("nan") for share in (0.5, 0.99, 0.999)
        )
        wrong = sum(count for status, count in self.answers.items() if status != "200")
        said = (
            f"{len(ordered)} honest requests, {wrong} not answered, p50 {p50:.1f}, p99 {p99:.1f}, p99.9 {p999:.1f} ms"
        )
        said += f", {dict(self.answers)}"
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


@cache
def _png_bomb() -> bytes:
    return png_bomb()


@cache
def _archive_of_zeros() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(100):
            archive.writestr(f"{number}.jpg", bytes(1_000_000))
    return data.getvalue()


def make_bombs() -> None:
    """Make what takes long in advance: during the measurement that second would count as the server's."""
    _png_bomb(), _archive_of_zeros()


def attack(url: str, image: bytes, numbers: range, idle: int, seconds: float) -> Counter[str]:
    """Send everything hostile at once; returns the statuses of the hostile bodies."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    open_ones = [socket.create_connection(address) for _ in range(idle)]
    for number, connection in enumerate(open_ones):
        if number % 2:
            connection.sendall(f"POST {parts.path} HTTP/1.1\r\nHost: localhost\r\nContent-Le".encode())
    bombs = [_png_bomb(), jpeg_of_size(image, 65_500, 65_500)]
    answers: Counter[str] = Counter()
    until = time.perf_counter() + seconds

    def send(some: range) -> Counter[str]:
        found: Counter[str] = Counter()
        with httpx2.Client(timeout=60) as client:
            for number in some:
                if time.perf_counter() > until:
                    break
                body, kind = disguised(image, number)
                if number % 500 == 0:
                    body, kind = bombs[number // 500 % 2], "image/png"
                try:
                    found[str(client.post(url, content=body, headers={"Content-Type": kind}).status_code)] += 1
                except httpx2.TransportError as error:
                    found[type(error).__name__] += 1
        return found

    stop = threading.Event()
    others = [
        threading.Thread(target=one, args=(address, parts.path, stop)) for one in (dawdle, shout, be_silent, fill)
    ]
    others += [threading.Thread(target=send_slow, args=(url, image, stop, answers)) for _ in range(4)]
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
    """Fifty clients that send a byte of body per second."""
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


def be_silent(address: tuple[str, int], path: str, stop: threading.Event) -> None:
    """Forty clients that ask for large files again and again and read nothing."""
    ask = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20
    silent: list[socket.socket] = []
    while not stop.wait(1):
        for connection in list(silent):
            try:
                connection.send(b"")
                connection.sendall(b"\r\n")
            except OSError:
                silent.remove(connection)
        while len(silent) < 40:
            silent.append(socket.create_connection(address))
            silent[-1].settimeout(1)
            silent[-1].sendall(ask)
    for connection in silent:
        connection.close()


def fill(address: tuple[str, int], path: str, stop: threading.Event) -> None:
    """A client that submits zip archives of zeros as batches."""
    url = f"http://{address[0]}:{address[1]}{path.replace('predict', 'batches')}"
    with httpx2.Client(timeout=60) as client:
        while not stop.wait(1):
            with contextlib.suppress(httpx2.TransportError):
                client.post(url, content=_archive_of_zeros(), headers={"Content-Type": "application/zip"})


def send_slow(url: str, image: bytes, stop: threading.Event, answers: Counter[str]) -> None:
    """A client that sends images which take long to decode, one after another."""
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    kinds = [image[:-2] + scan * count + image[-2:] for count in (30, 100, 190, 4000)]
    kinds += [one.replace(b"\xff\xc0", frame, 1) for one in kinds for frame in (b"\xff\xc1", b"\xff\xc9")]
    kinds += [run_length_bmp(1000), run_length_bmp(5000)]
    with httpx2.Client(timeout=60) as client:
        for body in itertools.cycle(kinds):
            if stop.is_set():
                return
            try:
                answers[f"slow {client.post(url, content=body, headers=HEADERS).status_code}"] += 1
            except httpx2.TransportError as error:
                answers[f"slow {type(error).__name__}"] += 1


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
    parser.add_argument("--seconds", type=float, default=45, help="longest time of the attack")
    parser.add_argument("--first", type=int, default=0, help="number of the first hostile body; for a run in parts")
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--honest", type=int, default=4)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second of the honest clients together")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], help="a setting of the server, KEY=VALUE")
    parser.add_argument("--calm-s", type=float, default=10)
    options = parser.parse_args()
    model = options.model.read_bytes() if options.model else shipped_model()
    image = example_image()
    numbers = range(options.first, options.first + options.fuzzed)
    several = ("serve.max_connections_per_address=1900", *options.set)  # all attackers have one address here
    attackers = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    attackers.submit(make_bombs).result()
    with attackers, galclass_server(model, options.workers, *several) as (url, pid):
        health = url.split("/v1/")[0] + "/healthz"
        with Honest(url, image, 16):  # every process has its model loaded
            time.sleep(2)
        with Honest(url, image, options.honest, options.rate) as calm, Honest(health, None, 1, 10) as calm_health:
            time.sleep(options.calm_s)
        before = memory_mib(pid)
        print(calm.line("calm"))
        print(calm_health.line("/healthz"))
        started = time.perf_counter()
        with Honest(url, image, options.honest, options.rate) as honest, Honest(health, None, 1, 10) as healthy:
            answers = attackers.submit(attack, url, image, numbers, options.idle, options.seconds).result()
        print(honest.line("attacked"))
        print(healthy.line("/healthz"))
        took = time.perf_counter() - started
        print(f"attack     bodies from {numbers.start} on in {took:.0f} s: {dict(answers)}")
        print(f"memory     {before:.0f} MiB before, {memory_mib(pid):.0f} MiB after")
        if any(
            status.removeprefix("slow ").startswith("5") and not status.endswith("503")
            for status in itertools.chain(answers, honest.answers)
        ):
            raise SystemExit("there was a 5xx")


if __name__ == "__main__":
    main()
