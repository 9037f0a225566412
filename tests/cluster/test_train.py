"""Training through Ray Train: the weights of one process, from two on two nodes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cluster.nodes import wait_for
from cluster.runs import waiting
from train.drawn_galaxies import quick, write_prepared

from galclass.cluster.stages import train_stage
from galclass.errors import TrainingError
from galclass.train import train

pytestmark = [pytest.mark.slow(25), pytest.mark.filterwarnings("default")]
SMALL_NET = """
input pixels [3, 24, 24];
hidden pool [3, 12, 12] from pixels mean pool { InputShape = [3, 24, 24]; KernelShape = [1, 2, 2]; Stride = [1, 2, 2]; }
hidden hid [16] tanh from pool all;
output Class [13] softmax from hid all;
"""
HELD = 3
"""Epochs after which `faults/sitecustomize.py` holds the training."""
PLAIN = {"topology": SMALL_NET, "vote_weight": 0.0, "dropout": 0.0, "num_epochs": 1}


def weights(workspace: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(workspace / "training" / "checkpoint.pt", weights_only=True)["network"])


def test_two_nodes_train_like_one_process_and_a_second_run_does_nothing(tmp_path, cluster) -> None:
    for name in ("one", "two"):
        write_prepared(tmp_path / name / "prepared", ["Er", "Sen"] * 24)
    alone = train(quick(tmp_path / "one", **PLAIN), progress=False)
    config = quick(tmp_path / "two", **PLAIN)
    config = replace(config, cluster=replace(config.cluster, address=cluster.address, workers=2))
    together = train_stage(config, progress=False)
    assert (together.iterations, together.objects, together.skipped) == (1, alone.objects, False)
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert first.keys() == second.keys()
    assert all(torch.allclose(value, second[key], atol=1e-6) for key, value in first.items())
    assert train_stage(config, progress=False).skipped


def test_an_error_of_the_training_is_told_as_on_one_machine(tmp_path, cluster) -> None:
    config = quick(tmp_path, **PLAIN)
    config = replace(config, cluster=replace(config.cluster, address=cluster.address, workers=1))
    with pytest.raises(TrainingError, match="prepare"):
        train_stage(config, progress=False)


def test_a_node_lost_while_training_changes_no_weight(tmp_path, cluster, gate) -> None:
    options = {**PLAIN, "num_epochs": 5}
    for name in ("one", "three"):
        write_prepared(tmp_path / name / "prepared", ["Er", "Sen"] * 24)
    train(quick(tmp_path / "one", **options), progress=False)
    config = quick(tmp_path / "three", **options)
    config = replace(config, cluster=replace(config.cluster, address=cluster.address, workers=3))
    history = tmp_path / "three" / "training" / "history.csv"
    (gate / "hold").touch()
    node = cluster.add()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(train_stage, config, progress=False)
        wait_for(lambda: run.done() or len(waiting(gate)) == 3, "training", 120)
        assert any(node.runs(pid) for pid in waiting(gate))
        assert history.read_text().count("\n") == 1 + HELD
        node.kill()
        (gate / "open").touch()
        cluster.add()
        assert run.result(timeout=180).iterations == 5
    assert history.read_text().count("\n") == 1 + 5
    first, second = weights(tmp_path / "one"), weights(tmp_path / "three")
    assert all(torch.allclose(value, second[key], atol=1e-4) for key, value in first.items())
