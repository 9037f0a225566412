"""Overhead of a call of a service over code: a no-op function, one client, over HTTP.

The server is a separate process on this machine. The claim: a median of at most 1 ms.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from http_server import workspace_server

from galclass.database import open_database
from galclass.service.functions.publish import publish_function

NO_OP = "def no_op(value: int) -> int:\n    return value\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3000)
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nothing.py").write_text(NO_OP)
        with open_database(f"{folder}/galclass.db", migrate=True) as database:
            publish_function(database, folder, "no-op", "nothing:no_op", "1.0", code=[name])
        with workspace_server(folder, "--database", f"{folder}/galclass.db") as (port, _):
            seconds = measured(port, calls)
    median = statistics.median(seconds)
    p99 = statistics.quantiles(seconds, n=100)[98]
    print(f"{calls} calls of a no-op: median {median * 1e3:.3f} ms, p99 {p99 * 1e3:.3f} ms")
    return int(median > 1e-3)


def measured(port: int, calls: int) -> list[float]:
    """Seconds of each call over one connection, after a hundred that are not counted."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    seconds = []
    for number in range(calls + 100):
        started = perf_counter()
        connection.request(
            "POST", "/v1/services/no-op/1.0/call", f'{{"value": {number}}}', {"Content-Type": "application/json"}
        )
        answer = connection.getresponse().read()
        seconds.append(perf_counter() - started)
        if answer != str(number).encode():
            raise SystemExit(f"wrong answer: {answer!r}")
    return seconds[100:]


if __name__ == "__main__":
    sys.exit(main())
