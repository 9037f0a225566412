"""Where the model runs: rows/s and added time per row of every host, next to the plain scorer and the prototype.

    PYTHONPATH=tests python benchmarks/scoring_hosts.py --images 10000 --rounds 3

One process on one core unless the row says two. The plain scorer runs before and after each host, so that drifts of the
machine's speed favour neither; what a host adds is the difference from the mean of the two. `--rounds` repeats
everything and prints medians. PostgreSQL rows need postgresql and plpython3u (and the tests' cluster) and are left out
without them. Prints a table in Markdown; all ratios are of one run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from scoring_parts import Prototype, images, network, weight_count

from galclass.database import Database, Images, NewImage, Registry, open_database, run_sql, score_pending
from galclass.morphology import CLASSES
from galclass.scoring import Scorer

NEIGHBOUR = 3_000  # images of each run of the plain scorer beside a host
CALLS = 300  # single-row calls
ONE = "SELECT predict_galaxy_class(img) FROM galaxy_images WHERE object_id = '0000000'"

_server: Any = None  # the cluster whose processor time counts too
_plain: Callable[[], object]  # the plain scorer on the first `_beside` images
_beside = NEIGHBOUR


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and of processor time in this process, its children and the server.

    `plain` is the processor time an image that the plain scorer took just before and after; NaN where not measured.
    """

    wall: float
    cpu: float
    plain: float = float("nan")


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def cost(work: Callable[[], object]) -> Cost:
    before = cpu_s()
    wall = timed(work)
    return Cost(wall, cpu_s() - before)


def beside_plain(work: Callable[[], object]) -> Cost:
    first = cost(_plain).cpu
    found = cost(work)
    return Cost(found.wall, found.cpu, (first + cost(_plain).cpu) / 2 / _beside)


def added_ms(call: Callable[[], object], alone: Callable[[], object]) -> float:
    """Median time of a call beyond the same answer without it, the two in turn."""
    pairs = [(timed(call), timed(alone)) for _ in range(CALLS)]
    return 1e3 * (median(pair[0] for pair in pairs) - median(pair[1] for pair in pairs))


def cpu_s() -> float:
    """Processor seconds so far of this process, its ended children, and the server with all its back ends."""
    own = sum(os.times()[:4])
    if _server is None:
        return own
    postmaster = int((_server.data / "postmaster.pid").read_text().splitlines()[0])
    living = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True).stdout.split()
    ticks = sum(_ticks(postmaster, 4)) + sum(sum(_ticks(int(pid), 2)) for pid in living)
    return own + ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int, fields: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:  # a back end that has ended meanwhile; the postmaster has taken its time over
        return []
    return [int(value) for value in text.rpartition(")")[2].split()[11 : 11 + fields]]


def fill(url: str, data: list[bytes], model: bytes) -> Database:
    database = open_database(url, migrate=True)
    Registry(database).register(model)
    Images(database).add(NewImage(f"{number:07}", img) for number, img in enumerate(data))
    return database


def clear(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM galaxy_predictions")


def work_from(url: str, barrier: Any) -> None:
    with open_database(url) as database:
        barrier.wait()
        score_pending(database)


def call_from(url: str, low: int, high: int, barrier: Any) -> None:
    import psycopg

    query = "SELECT count(predict_galaxy_class(img)) FROM galaxy_images WHERE object_id >= %s AND object_id < %s"
    with psycopg.connect(url) as connection:
        connection.execute("SELECT predict_galaxy_class('\\x00')")
        barrier.wait()
        connection.execute(query, (f"{low:07}", f"{high:07}"))


def in_two(target: Callable[..., None], *arguments: tuple[object, ...]) -> Cost:
    """Two processes side by side, from the moment both are ready; only the clock is of use."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(arguments) + 1)
    processes = [context.Process(target=target, args=(*each, barrier)) for each in arguments]
    for process in processes:
        process.start()
    barrier.wait()
    started = time.perf_counter()
    for process in processes:
        process.join()
    return Cost(time.perf_counter() - started, float("nan"))


def prototype_pipeline(url: str, model: bytes) -> None:
    """The prototype: fetch, score, COPY back."""
    import psycopg

    prototype = Prototype(model)
    with psycopg.connect(url) as connection, connection.cursor("images") as cursor:
        connection.execute("CREATE TEMP TABLE prototype (object_id text, predicted_class text, probabilities jsonb)")
        cursor.itersize = 64
        cursor.execute("SELECT object_id, img FROM galaxy_images")
        while rows := cursor.fetchmany(64):
            probabilities = prototype.score([row[1] for row in rows])
            with connection.cursor().copy("COPY prototype FROM STDIN") as copy:
                for (object_id, _), values in zip(rows, probabilities, strict=True):
                    record = json.dumps(dict(zip(CLASSES, map(float, values), strict=True)))
                    copy.write_row((object_id, CLASSES[int(values.argmax())], record))


@contextmanager
def cluster() -> Iterator[object]:
    from database.cluster import Cluster, postgresql_programs

    programs = postgresql_programs()
    server = Cluster(programs) if programs else None
    try:
        yield server
    finally:
        if server is not None:
            server.remove()


def sqlite_rows(data: list[bytes], model: bytes, alone: Callable[[], object], folder: Path) -> dict[str, Any]:
    url = f"sqlite:///{folder / 'galclass.db'}"
    rows = {}
    with fill(url, data, model) as database:
        rows["SQLite, worker"] = beside_plain(lambda: score_pending(database))
        clear(database)
        rows["SQLite, two workers"] = in_two(work_from, (url,), (url,))
        query = "SELECT count(predict_galaxy_class(img)) FROM galaxy_images"
        rows["SQLite, predict_galaxy_class(img)"] = beside_plain(lambda: run_sql(database, query))
        rows["warm single-row call, SQLite (ms more)"] = added_ms(lambda: run_sql(database, ONE), alone)
    return rows


def postgresql_rows(data: list[bytes], model: bytes, alone: Callable[[], object], server: object) -> dict[str, Any]:
    import psycopg

    from galclass.database.procedure import install_procedure

    url, rows = server.create_database("benchmark"), {}
    with fill(url, data, model) as database:
        rows["PostgreSQL, worker"] = beside_plain(lambda: score_pending(database))
        clear(database)
        rows["PostgreSQL, two workers"] = in_two(work_from, (url,), (url,))
        clear(database)
        rows["prototype's pipeline, PostgreSQL"] = beside_plain(lambda: prototype_pipeline(url, model))
        install_procedure(database)
        cold = []
        for _ in range(5):
            with psycopg.connect(url, autocommit=True) as connection:
                cold.append(timed(lambda c=connection: c.execute("SELECT predict_galaxy_class('\\x00')")))
        rows["cold start, PostgreSQL (ms)"] = 1e3 * median(cold)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(ONE)
            rows["warm single-row call, PostgreSQL (ms more)"] = added_ms(lambda: connection.execute(ONE), alone)
            everything = "SELECT count(predicted_class) FROM predict_galaxies()"
            rows["PostgreSQL, predict_galaxies()"] = beside_plain(lambda: connection.execute(everything))
            scalar = "SELECT count(predict_galaxy_class(img)) FROM galaxy_images"
            rows["PostgreSQL, predict_galaxy_class(img)"] = beside_plain(lambda: connection.execute(scalar))
            call = "CALL predict_galaxy_class_batch()"
            rows["PostgreSQL, predict_galaxy_class_batch"] = beside_plain(lambda: connection.execute(call))
            rows["memory of a warm connection (MB)"] = private_mb(connection)
        half = len(data) // 2
        rows["PostgreSQL, two connections"] = in_two(call_from, (url, 0, half), (url, half, len(data)))
    return rows


def private_mb(connection: object) -> float:
    """Memory that only this back end holds, less that of a connection that has done nothing."""

    def private(pid: int) -> float:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024

    import psycopg

    pid = connection.info.backend_pid
    with psycopg.connect(connection.info.dsn) as idle:
        idle.execute("SELECT 1")
        return private(pid) - private(idle.info.backend_pid)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sqlite-only", action="store_true")
    count = (arguments := parser.parse_args()).images
    data, model = images(count), network()
    found = [one_round(data, model, arguments.sqlite_only) for _ in range(arguments.rounds)]
    report({name: middle([rows[name] for rows in found], count) for name in found[0]}, count)


def one_round(data: list[bytes], model: bytes, sqlite_only: bool) -> dict[str, Any]:
    scorer, prototype = Scorer(model), Prototype(model)
    alone, chunks = (lambda: scorer.score(data[:1])), [data[at : at + 64] for at in range(0, len(data), 64)]
    global _plain, _server, _beside
    _beside = min(NEIGHBOUR, len(data))
    _plain = lambda: scorer.score(data[:_beside])  # noqa: E731
    _server = None
    scorer.score(data[:64])
    rows: dict[str, Any] = {"plain Python": beside_plain(lambda: scorer.score(data))}
    rows["plain Python, one image a call"] = beside_plain(lambda: [scorer.score([one]) for one in data])
    rows["prototype's scoring alone"] = beside_plain(lambda: [prototype.score(chunk) for chunk in chunks])
    rows["warm single image, plain Python (ms)"] = 1e3 * median(timed(alone) for _ in range(CALLS))
    with tempfile.TemporaryDirectory() as folder:
        rows |= sqlite_rows(data, model, alone, Path(folder))
    if not sqlite_only:
        with cluster() as _server:
            rows |= postgresql_rows(data, model, alone, _server) if _server else {}
    return rows


def middle(values: list[Any], count: int) -> Any:
    """Median over the rounds; what a host adds is the median of what it added in each."""
    if not isinstance(values[0], Cost):
        return median(values)
    cpu, added = median(one.cpu for one in values), median(one.cpu / count - one.plain for one in values)
    return Cost(median(one.wall for one in values), cpu, cpu / count - added)


def report(rows: dict[str, Any], count: int) -> None:
    system = " ".join(os.uname()[index] for index in (2, 4))
    load = os.getloadavg()[0]
    print(f"{count:,} JPEGs of 424 x 424 px, network of {weight_count():,} weights at 50 px, {system}, load {load:.1f}")
    print("Added: processor time a row, this process and server together, beyond the plain scorer's beside it.\n")
    print("| host | rows/s by the clock | processor ms a row | added ms a row | times plain |\n|---|---|---|---|---|")
    for name, value in rows.items():
        if isinstance(value, Cost):
            each, plain = 1e3 * value.cpu / count, 1e3 * value.plain
            print(f"| {name} | {count / value.wall:,.0f} | {each:.3f} | {each - plain:+.3f} | {plain / each:.2f} |")
    print("\n| figure | value |\n|---|---|")
    for host, two in (
        ("SQLite, worker", "SQLite, two workers"),
        ("PostgreSQL, worker", "PostgreSQL, two workers"),
        ("PostgreSQL, predict_galaxy_class(img)", "PostgreSQL, two connections"),
    ):
        if two in rows:
            print(f"| {two}: times one, by the clock | {rows[host].wall / rows[two].wall:.2f} |")
    for name, value in rows.items():
        if not isinstance(value, Cost):
            print(f"| {name} | {value:.2f} |")


if __name__ == "__main__":
    main()
