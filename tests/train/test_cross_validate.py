"""scripts/cross_validate.py: every object is held out once, none is trained on in its own fold."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import cross_validate
import numpy as np
import pytest
from cross_validate import folds_of, split_for
from train.drawn_galaxies import write_prepared

from galclass.train.dataset import TrainingData, open_training_data

CONFIG = """
[train]
num_epochs = 2
mini_batch_size = 16
threads = 1
debiased_sources = []
"""


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 72, votes=True, sources=("fine", "other"))
    return open_training_data(tmp_path / "prepared")


def options(**given: object) -> SimpleNamespace:
    return SimpleNamespace(**{"share": 1.0, "alone": False} | given)


def named(data: TrainingData, split: str, source: str = "fine") -> set[int]:
    return {row for row, own in enumerate(data.split) if own == split and data.source[row] == source}


def test_every_object_is_held_out_once_and_every_fold_has_each_label(data: TrainingData) -> None:
    places = folds_of(data, ["fine"], 5, seed=3)
    held_out = [named(split_for(data, places, fold, options()), "test") for fold in range(5)]
    assert set.union(*held_out) == {row for row, source in enumerate(data.source) if source == "fine"}
    assert sum(map(len, held_out)) == 72
    for rows in held_out:
        assert {data.label[row] for row in rows} == {"Er", "Sen"}


def test_other_sources_keep_their_splits(data: TrainingData) -> None:
    cut = split_for(data, folds_of(data, ["fine"], 5, seed=3), 0, options())
    for split in ("train", "validation", "test"):
        assert named(cut, split, "other") == named(data, split, "other")
    assert named(cut, "validation")
    assert named(cut, "train")


def test_alone_and_share_leave_rows_out_of_training_and_none_of_the_test(data: TrainingData) -> None:
    places = folds_of(data, ["fine"], 5, seed=3)
    whole, half = (split_for(data, places, 1, options(share=share)) for share in (1.0, 0.5))
    assert named(half, "train") < named(whole, "train")
    assert 0.35 < len(named(half, "train")) / len(named(whole, "train")) < 0.65
    assert named(half, "test") == named(whole, "test")
    alone = split_for(data, places, 1, options(alone=True))
    assert not named(alone, "train", "other")
    assert named(alone, "test", "other") == named(data, "test", "other")
    assert not named(split_for(data, places, 1, options(share=0)), "train")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run the script in this process: another one would import torch again."""
    monkeypatch.setattr(sys, "argv", ["cross_validate.py", *map(str, arguments)])
    cross_validate.main()


@pytest.mark.slow
def test_folds_are_trained_once_and_summed_up(data: TrainingData, tmp_path: Path, monkeypatch, capsys) -> None:
    config, output = tmp_path / "config.toml", tmp_path / "cross"
    config.write_text(CONFIG)
    arguments = [tmp_path, "--config", config, "--sources", "fine", "--folds", 2, "--output", output]
    run(monkeypatch, *arguments, "--fold", 1)
    assert capsys.readouterr().out == ""
    model = output / "fold_1" / "model.onnx"
    kept = model.stat().st_mtime_ns
    run(monkeypatch, *arguments)
    said = capsys.readouterr().out
    assert model.stat().st_mtime_ns == kept
    assert said.startswith("72 galaxies held out once, 2 folds")
    assert "down the tree of votes" in said
    assert (output / "figures.txt").read_text() == said
    rows = np.concatenate([np.load(output / f"fold_{fold}" / "debiased.npz")["rows"] for fold in (0, 1)])
    assert sorted(row for row in rows if data.source[row] == "fine") == [
        row for row, source in enumerate(data.source) if source == "fine"
    ]


def test_an_unknown_source_is_named(data: TrainingData, tmp_path: Path, monkeypatch, capsys) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, tmp_path, "--config", config, "--sources", "gz9", "--output", tmp_path)
    said = capsys.readouterr().err
    assert "no source gz9" in said
    assert "fine, other" in said
