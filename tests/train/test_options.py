"""Options that must not change the answer, or that need other software."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from train.drawn_galaxies import quick, write_prepared

from galclass.config import config_to_toml
from galclass.errors import ConfigError, ExtraError, TrainingError
from galclass.prepare.store import Store
from galclass.scoring import Scorer
from galclass.train import train
from galclass.train.checkpoint import save_checkpoint

SMALL_NET = """
input pixels [3, 24, 24];
hidden pool [3, 12, 12] from pixels mean pool { InputShape = [3, 24, 24]; KernelShape = [1, 2, 2]; Stride = [1, 2, 2]; }
hidden hid [16] tanh from pool all;
output Class [13] softmax from hid all;
"""
PLAIN = {"topology": SMALL_NET, "vote_weight": 0.0, "dropout": 0.0, "num_epochs": 2}


def weights(workspace: Path) -> dict[str, torch.Tensor]:
    state = torch.load(workspace / "training" / "checkpoint.pt", weights_only=True)
    return dict(state["network"])


def trained(workspace: Path, **options: object) -> dict[str, torch.Tensor]:
    write_prepared(workspace / "prepared", ["Er", "Sen"] * 24)
    train(quick(workspace, **(PLAIN | options)), progress=False)
    return weights(workspace)


def assert_close(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.allclose(value, second[key], atol=1e-6), key


def test_gathered_gradients_train_like_whole_batches(tmp_path: Path) -> None:
    assert_close(trained(tmp_path / "whole"), trained(tmp_path / "parts", accumulate=3))


def test_cached_cutouts_train_like_fresh_ones(tmp_path: Path) -> None:
    fresh = trained(tmp_path / "fresh", augment="fixed")
    assert_close(fresh, trained(tmp_path / "cached", augment="fixed", cache=True))


def test_the_cache_on_disk_gives_the_weights_of_the_one_in_memory_to_the_bit(tmp_path: Path) -> None:
    memory = trained(tmp_path / "memory", augment="fixed", cache=True)
    disk = trained(tmp_path / "disk", augment="fixed", cache="disk")
    assert [key for key, value in memory.items() if not torch.equal(value, disk[key])] == []
    names = {path.name for path in (tmp_path / "disk" / "prepared").iterdir()}
    assert names == {path.name for path in (tmp_path / "memory" / "prepared").iterdir()}  # no file is left


def test_a_cache_that_finds_no_room_is_an_error_and_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, count: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(TrainingError, match="the cache of cutouts cannot be written .*No space left"):
        trained(tmp_path, augment="fixed", cache="disk")


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path: Path) -> None:
    alone = trained(tmp_path / "one")
    write_prepared(tmp_path / "two" / "prepared", ["Er", "Sen"] * 24)
    folder = tmp_path / "two" / "training"
    folder.mkdir()
    save_checkpoint(folder / "checkpoint.pt", {"inputs_sha256": "0123456789abcdef"})
    config = quick(tmp_path / "two", **PLAIN)
    (tmp_path / "config.toml").write_text(config_to_toml(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from galclass.config import load_config; from galclass.train import train;"
    code += "train(load_config(sys.argv[1]), progress=False)"
    common = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "config.toml")],
            env=common | {"RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in both:
        _, said = process.communicate(timeout=200)
        assert process.returncode == 0, said
    assert_close(alone, weights(tmp_path / "two"))
    assert (folder / "checkpoint-0123456789ab.pt").is_file()  # of another run, unfinished


def test_deterministic_and_mixed_precision_runs_train(tmp_path: Path) -> None:
    trained(tmp_path / "a", deterministic=True)
    found = trained(tmp_path / "b", mixed_precision=True)
    assert all(value.dtype != torch.bfloat16 for value in found.values())
    assert not torch.are_deterministic_algorithms_enabled()


def test_regression_fits_votes_and_answers_with_classes(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 24, votes=True)
    train(quick(tmp_path, type="regression", num_epochs=4), progress=False)
    scorer = Scorer(tmp_path / "training" / "model.onnx")
    outputs = scorer.score_cutouts(Store.open(tmp_path / "prepared").central(slice(0, 8)))
    assert outputs.vote_fractions is not None
    assert np.allclose(outputs.probabilities.sum(1), 1, atol=1e-5)
    assert (outputs.vote_fractions[0::2, 0, 0] > outputs.vote_fractions[1::2, 0, 0]).all()  # round ones are smooth


def test_regression_without_votes_is_an_error(workspace: Path) -> None:
    with pytest.raises(TrainingError, match="no debiased vote fractions to fit"):
        train(quick(workspace, type="regression"), progress=False)


def test_binary_training_tells_smooth_from_the_rest(workspace: Path) -> None:
    summary = train(quick(workspace, type="binary", num_epochs=4), progress=False)
    assert summary.metrics["validation_accuracy"] >= 0.9


def test_training_goes_on_from_other_weights(tmp_path: Path) -> None:
    first = trained(tmp_path / "first")
    start = str(tmp_path / "first" / "training" / "checkpoint.pt")
    still = {"optimizer": "sgd", "learning_rate": 1e-12, "clip_norm": 0.0, "ema": 0.0}
    best = torch.load(start, weights_only=True)["best"]
    assert first.keys() == best.keys()
    assert_close(best, trained(tmp_path / "second", initial_weights=start, num_epochs=1, **still))


def test_weights_of_another_topology_are_refused(workspace: Path) -> None:
    train(quick(workspace, num_epochs=1), progress=False)
    start = str(workspace / "training" / "checkpoint.pt")
    with pytest.raises(TrainingError, match="the checkpoint is of another topology"):
        train(quick(workspace, **(PLAIN | {"initial_weights": start})), progress=False)
    with pytest.raises(TrainingError, match="no such checkpoint"):
        train(quick(workspace, initial_weights=start + "x"), progress=False)


def test_gpu_that_is_not_there_is_an_error(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match=r"no CUDA GPU .got gpu.*Use \"auto\" or \"cpu\""):
        train(quick(workspace, acceleration="gpu"), progress=False)


def test_tensorboard_without_the_package_says_what_to_install(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ExtraError, match=r"galclass\[tensorboard\]"):
        train(quick(workspace, tensorboard=True, num_epochs=1), progress=False)


@pytest.mark.parametrize("text", ["drawn", "drawn=two", "=2"])
def test_repeats_that_say_nothing_are_refused(workspace: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"train.repeats"):
        train(quick(workspace, repeats=(text,)), progress=False)


def test_repeats_of_an_unknown_name_list_the_known_ones(workspace: Path) -> None:
    with pytest.raises(ConfigError, match="no source or label 'gz9' .expected Er, Sen, drawn"):
        train(quick(workspace, repeats=("gz9=2",)), progress=False)


def test_reduced_side_that_cannot_be_halved_is_refused(workspace: Path) -> None:
    with pytest.raises(TrainingError, match=r"train.reduced_px: .*multiple of 8 from 24 up, got 20"):
        train(quick(workspace, reduced_px=20), progress=False)


def test_repeated_rows_and_a_reduced_start_train(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 24, size_px=32)
    summary = train(quick(tmp_path, repeats=("Er=2",), reduced_px=24, num_epochs=2), progress=False)
    assert summary.iterations == 2


def test_tensorboard_shows_every_iteration(workspace: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(quick(workspace, tensorboard=True, num_epochs=2), progress=False)
    events = EventAccumulator(str(workspace / "training" / "tensorboard")).Reload()
    assert "train_loss" in events.Tags()["scalars"]
    losses = events.Scalars("train_loss")
    assert [event.step for event in losses] == [1, 2]
    assert all(event.value > 0 for event in losses)


def test_blended_batches_train_and_are_drawn_alike_in_every_run(tmp_path: Path) -> None:
    first = trained(tmp_path / "first", mixup=0.4)
    again = trained(tmp_path / "again", mixup=0.4)
    plain = trained(tmp_path / "plain")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], plain[name]) for name in first)
