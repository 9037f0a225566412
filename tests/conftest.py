"""Fixtures and rules that every test shares."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# xdist spreads the tests over the cores: threads of torch and OpenCV inside a test, and in the processes that it
# starts, would only wait for each other. Those processes keep the compiled modules, else each compiles all of them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import pytest  # noqa: E402

import galclass  # noqa: E402, F401  # before a test module imports onnxruntime: it switches the telemetry off

# A shell that starts the tests in the background ignores Ctrl-C for them and their children, which test it.
signal.signal(signal.SIGINT, signal.default_int_handler)

_CACHE = None
if "GALCLASS_CACHE" not in os.environ:  # what this user's own cache says decides no test
    _CACHE = tempfile.mkdtemp(prefix="galclass-tests-")
    os.environ["GALCLASS_CACHE"] = _CACHE

ROOT = Path(__file__).resolve().parent.parent
TOGETHER = "tests/cluster"


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """The bundled sample of real galaxies."""
    return ROOT / "data" / "sample"


def postgresql_server() -> Iterator[object]:
    """A PostgreSQL server of the tests' own; skips where PostgreSQL is not installed."""
    from database.cluster import Cluster, postgresql_programs

    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: make test-deps")
    server = Cluster(programs)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def cluster() -> Iterator[object]:
    """The server of a worker's whole run; each test makes its databases."""
    yield from postgresql_server()


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[object]:
    """A server that a test may kill."""
    yield from postgresql_server()


def unit_of(nodeid: str) -> str:
    """The tests that one worker runs in a row: a file, or all of tests/cluster, which share two nodes."""
    return TOGETHER if nodeid.startswith(f"{TOGETHER}/") else nodeid.partition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes longest: what is started last decides when the run ends."""
    seconds: Counter[str] = Counter()
    for item in items:
        if (slow := item.get_closest_marker("slow")) is not None:
            seconds[unit_of(item.nodeid)] += slow.args[0] if slow.args else 5
    items.sort(key=lambda item: -seconds[unit_of(item.nodeid)])  # stable: the order inside a file stays


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage among what the test modules import: it stays, and each search takes a quarter of a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out the units of `--dist loadfile`."""
    from xdist.scheduler import LoadFileScheduling

    class Units(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return Units(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a test was skipped although everything must run (`GALCLASS_REQUIRE_ALL=1`, as in CI)."""
    if _CACHE is not None:
        shutil.rmtree(_CACHE, ignore_errors=True)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("GALCLASS_REQUIRE_ALL") == "1" and skipped and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was skipped and why, at the end."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section("skipped: not tested on this machine")
    for report in skipped:
        terminalreporter.line(f"{report.nodeid}: {report.longrepr[2] if report.longrepr else ''}")
    if os.environ.get("GALCLASS_REQUIRE_ALL") == "1":
        terminalreporter.line("GALCLASS_REQUIRE_ALL=1: a skipped test fails the run", red=True)
