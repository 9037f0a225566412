"""Faults in the middle of a run: the rows are those of an undisturbed run, each once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.nodes import Cluster, wait_for
from cluster.results import rows_of, rows_of_one_machine
from cluster.runs import Run, spoil, waiting

from galclass.cluster.score import score_on_cluster
from galclass.scoring import Scorer

pytestmark = [pytest.mark.slow(25), pytest.mark.filterwarnings("default")]


ROOM_BYTES = 2 << 30
"""What the nodes of a test may take before Ray's memory monitor ends a process."""


def test_a_node_that_is_killed_costs_nothing(tmp_path, folder, galaxies, cluster, scorer, settings, gate) -> None:
    node = cluster.add()
    spoil(folder, sorted(galaxies)[::64], b"GATE")
    run = Run(str(folder), str(tmp_path / "out"), scorer, settings)
    wait_for(lambda: any(node.runs(pid) for pid in waiting(gate)), "work on the new node")
    node.kill()
    (gate / "open").touch()
    assert run.result().scored == 301
    assert rows_of(tmp_path / "out") == rows_of_one_machine(folder, scorer)


def test_a_poisoned_chunk_ends_as_rejects_of_its_poison_only(tmp_path, folder, galaxies, scorer, settings) -> None:
    alone = {row["file"]: row for row in rows_of_one_machine(folder, scorer)}
    bad = [sorted(galaxies)[3], sorted(galaxies)[40]]
    spoil(folder, bad, b"POISON")
    summary = score_on_cluster(str(folder), str(tmp_path / "out"), scorer, settings, progress=False)
    assert dict(summary.rejects) == {"crashed": 2, "not_an_image": 1}
    for row in rows_of(tmp_path / "out"):
        if row["object_id"] in bad:
            assert row["error"] == "crashed: the process that decoded this file crashed"
            assert row["predicted_class"] is None
        else:
            expected = alone[row["file"]]
            assert row["predicted_class"] == expected["predicted_class"]
            assert row["predicted_Er"] == (
                expected["predicted_Er"] and pytest.approx(expected["predicted_Er"], abs=1e-6)
            )
    assert not list((tmp_path / "out").glob("attempts/**/*-*"))


def test_a_process_killed_for_its_memory_is_replaced(tmp_path, folder, galaxies, scorer, settings, gate) -> None:
    spoil(folder, sorted(galaxies)[100:101], b"ONCE")  # what the kernel does when memory runs out: SIGKILL
    summary = score_on_cluster(str(folder), str(tmp_path / "out"), scorer, settings, progress=False)
    assert (gate / "once").exists()
    assert summary.scored == 301
    assert rows_of(tmp_path / "out") == rows_of_one_machine(folder, scorer)


def test_a_node_out_of_memory_loses_its_process_and_no_row(tmp_path, folder, galaxies, scorer, own) -> None:
    spoil(folder, sorted(galaxies)[150:151], b"HOG")
    driver = start_driver(own, folder, tmp_path / "out", scorer)
    said, _ = driver.communicate(timeout=150)
    assert driver.returncode == 3, said
    assert (own.faults / "hog").exists()  # it takes memory until it is killed: the run ended, so it was
    assert rows_of(tmp_path / "out") == unregistered(rows_of_one_machine(folder, scorer))


def test_the_head_restarted_and_the_command_repeated_give_the_same(tmp_path, folder, galaxies, scorer, own) -> None:
    spoil(folder, sorted(galaxies)[200:201], b"GATE")
    output = tmp_path / "out"
    driver = start_driver(own, folder, output, scorer)
    wait_for(lambda: len(list(output.glob("parts/*.parquet"))) >= 2 and waiting(own.faults), "progress")
    own.nodes[0].kill()
    driver.kill()
    driver.communicate()
    kept = {path: path.stat().st_mtime_ns for path in output.glob("parts/*.parquet")}
    (own.faults / "open").touch()
    own.start_head()
    driver = start_driver(own, folder, output, scorer)
    said, _ = driver.communicate(timeout=150)
    assert driver.returncode == 3, said
    assert f"{301 - 64 * len(kept)} of them new" in said
    assert rows_of(output) == unregistered(rows_of_one_machine(folder, scorer))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one node, which kills processes when the machine has 2 GB less than now."""
    total, used = memory()
    threshold = f"{(used + ROOM_BYTES) / total:.4f}"
    own = Cluster(
        tmp_path_factory.mktemp("own"),
        RAY_memory_usage_threshold=threshold,
        RAY_memory_monitor_refresh_ms="100",
    )
    yield own
    own.close()


def unregistered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the same model from a file."""
    return [{**row, "model_version": 0} for row in rows]


def memory() -> tuple[int, int]:
    """Total and used memory of this machine in bytes."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return total, total - free


def start_driver(cluster: Cluster, images: Path, output: Path, scorer: Scorer) -> subprocess.Popen[str]:
    """Start `galclass score --cluster` in a process of its own."""
    model = output.with_suffix(".onnx")
    model.write_bytes(scorer.value)
    arguments = ["score", "--cluster", cluster.address, "--images", str(images), "--output", str(output)]
    arguments += ["--model", str(model), "--set", "cluster.chunk=64"]
    return subprocess.Popen(
        [sys.executable, "-c", "from galclass.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
