"""Cost of a shadow for visible requests: p99 of one server, alternating with and without it.

The server is a separate process on this machine, and so is the load. The claim: p99 with a shadow is within 10 % of
p99 without.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import sys
import tempfile
import threading
import zipfile
from time import perf_counter, sleep

from http_server import ROOT, workspace_server

from galclass.database import Registry, Services, open_database
from galclass.database.shadows import Shadows
from galclass.scoring.shipped import shipped_model

NAME = "galaxy-class"
PATH = f"/v1/services/{NAME}/latest/predict"
SEEN_S = 1.5
"""Time in which a server sees that an alias was moved."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second of each client; 0: at once")
    parser.add_argument("--pairs", type=int, default=4, help="turns with and turns without a shadow")
    parser.add_argument("--turn-s", type=float, default=4.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"{folder}/galclass.db"
        with open_database(url, migrate=True) as database:
            services = Services(database)
            registry = Registry(database)
            for version in ("1.1", "1.0"):  # `latest` is what was published last
                info = registry.register(shipped_model(), aliases=())
                services.publish(NAME, version, info.name, info.version)
            with workspace_server(folder, "--database", url) as (port, _):
                _turn(port, given, 1.0)
                services.alias(NAME, "shadow", "1.1")
                sleep(SEEN_S)
                _turn(port, given, 4.0)  # the process of the shadow is there
                return _compare(port, given, services, Shadows(database))


def _compare(port: int, given: argparse.Namespace, services: Services, shadows: Shadows) -> int:
    seconds: dict[bool, list[float]] = {True: [], False: []}
    ratios = []
    for number in range(given.pairs):
        p99 = {}
        for on in (True, False) if number % 2 == 0 else (False, True):
            if on and services.shadow(NAME) is None:
                services.alias(NAME, "shadow", "1.1")
            elif not on and services.shadow(NAME) is not None:
                services.unalias(NAME, "shadow")
            sleep(SEEN_S)
            found = _turn(port, given, given.turn_s)
            seconds[on] += found
            p99[on] = _p99(found)
        ratios.append(p99[True] / p99[False])
    for on, found in seconds.items():
        name = "with a shadow" if on else "without"
        median = statistics.median(found) * 1e3
        print(f"{name}: {len(found)} requests, median {median:.2f} ms, p99 {_p99(found) * 1e3:.2f} ms")
    for report in shadows.reports(NAME, most=0):
        print(f"since the last alias: {report.counts}")
    ratio = _p99(seconds[True]) / _p99(seconds[False])
    print(f"ratio of p99 {ratio:.3f}; by pair {', '.join(f'{one:.2f}' for one in ratios)}")
    return int(ratio > 1.1)


def _turn(port: int, given: argparse.Namespace, turn_s: float) -> list[float]:
    """Seconds of each request of a turn."""
    found: list[float] = []
    until = perf_counter() + turn_s
    threads = [threading.Thread(target=_client, args=(port, given.rate, until, found)) for _ in range(given.clients)]
    for place, thread in enumerate(threads):
        thread.start()
        sleep(1 / given.rate / given.clients if given.rate and place + 1 < given.clients else 0)
    for thread in threads:
        thread.join()
    return found


def _client(port: int, rate: float, until: float, found: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    images, number, due = _images(), 0, perf_counter()
    while (now := perf_counter()) < until:
        if rate:
            sleep(max(0.0, due - now))
            due += 1 / rate
        number += 1
        started = perf_counter()
        connection.request("POST", PATH, images[number % len(images)], {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        response.read()
        found.append(perf_counter() - started)
        if response.status != 200:
            raise SystemExit(f"HTTP {response.status}")


def _images() -> list[bytes]:
    with zipfile.ZipFile(ROOT / "data" / "sample" / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:20]
        return [archive.read(name) for name in names]


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


if __name__ == "__main__":
    sys.exit(main())
