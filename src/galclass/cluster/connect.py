"""The connection to Ray: start it here for one run, or join a cluster that runs; and mapping work over it.

Takes an address, returns results as they come. Ray Data does the rest: which node, how many at a time, again after a
node is lost.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any

from galclass import __version__
from galclass.errors import ClusterError, GalclassError
from galclass.extras import missing_extra

LOCAL = "local"
WAVE = 2048
"""Chunks described to Ray at a time, at least: what bounds the driver's memory however long the list is."""

_CHUNKS_PER_CORE = 16
"""Chunks of a wave for each core, so that the cores which wait for the last of a wave wait for little."""

Work = dict[str, Any]

_failed: dict[str, str] = {}
"""The job of this process that failed last, and why; a run that goes on has another."""


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Join a cluster for the length of the block.

    Parameters
    ----------
    address : str
        "local" starts Ray on this machine's cores for this run; "auto" finds the cluster this machine is a node of;
        HOST:PORT names its head.

    Raises
    ------
    ExtraError
        If Ray is not installed.
    ClusterError
        If no cluster responds.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise missing_extra(error, "a cluster") or error from error
    if ray.is_initialized():
        yield
        return
    _start(ray, address)
    try:
        yield
    finally:
        ray.shutdown()


def _start(ray: Any, address: str) -> None:
    options: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
    if address == LOCAL:
        options |= {"include_dashboard": False, "num_cpus": len(os.sched_getaffinity(0))}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ClusterError(
            "no cluster responds",
            where=address,
            got=str(error).splitlines()[0][:200],
            advice='start one with `ray start --head --disable-usage-stats`, or use "local"',
        ) from error


def shared(value: object) -> Any:
    """Put a value into the object store, from where each node fetches it once."""
    import ray

    return ray.put(value)


def nodes() -> int:
    """Count the machines that are there now."""
    import ray

    return sum(bool(node["Alive"]) for node in ray.nodes())  # type: ignore[no-untyped-call]  # Ray's annotation


def cores() -> int:
    """Count the cores that the cluster has now."""
    import ray

    return int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]  # Ray's annotation


def map_work(
    work: Iterable[Work],
    function: Callable[..., Work],
    *,
    job: Any,
    wave: int | None = None,
    together: int = 1,
    cpus: float = 1,
) -> Iterator[Work]:
    """Map a function over work on all nodes and yield the results in any order.

    Parameters
    ----------
    work : iterable of dict
        Small descriptions, taken a wave at a time; a wave is done before the next is taken.
    function : callable
        `function(description, job) -> dict`; it may run more than once for a description, so it must leave the same
        behind each time.
    job : object reference
        From `shared`; the function gets the reference.
    wave : int or None
        Descriptions at a time; None: `WAVE`, or 16 a core if that is more.
    together : int
        Descriptions that a core takes at once, at most; fewer towards the end of a wave. Between two takes a core waits
        for the driver (0.2 s), and the driver's work is by takes; what a lost node had taken is done again.
    cpus : float
        Cores of one call.

    Raises
    ------
    ClusterError
        If a call fails on its own account, or the cluster is lost.
    """
    import pyarrow as pa
    import ray

    _be_quiet()
    rest = iter(work)
    while part := list(islice(rest, wave or max(WAVE, _CHUNKS_PER_CORE * cores()))):
        data = ray.data.from_arrow([pa.Table.from_pylist(few) for few in in_takes(part, together, cores())])
        call = partial(_answered, function=function, job=job, version=__version__)
        results = data.map(call, num_cpus=cpus)
        try:
            for result in results.iter_rows():
                if result["_error"]:
                    raise ClusterError(result["_error"], advice="fix it and run the same command again to resume")
                yield result
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise ClusterError(
                "the cluster failed",
                got=str(error).strip().splitlines()[-1][:300],
                advice="run the same command again: finished work is kept",
            ) from error


def in_takes(part: list[Work], most: int, count: int) -> Iterator[list[Work]]:
    """Deal a wave out to `count` cores: `most` at a time at first, one by one in the end, so that all end together."""
    done = 0
    while done < len(part):
        size = max(1, min(most, (len(part) - done) // (2 * count)))
        yield part[done : done + size]
        done += size


def _answered(description: Work, function: Callable[..., Work], job: Any, version: str) -> Work:
    """Call the function on a node; an error that a user can fix comes back as text instead of a remote traceback.

    After one the rest of a take is passed over: each of its chunks might wait as long for the same store.
    """
    if version != __version__:
        return {"_error": f"a node has galclass {__version__}, the driver {version}"}
    if _failed.get("job") == str(job):
        return {"_error": _failed["error"]}
    try:
        return {**function(description, job), "_error": ""}
    except GalclassError as error:
        _failed.update(job=str(job), error=str(error))
        return {"_error": str(error)}


def _be_quiet() -> None:
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
