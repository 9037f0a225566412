"""Training on few labels stops early with a sentence; too few are refused; a busy machine is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from train.drawn_galaxies import write_prepared

from galclass.config import config_from_dict
from galclass.errors import TrainingError
from galclass.train import few, train
from galclass.train.device import advice_on_threads
from galclass.train.trainer import Trainer


def config(folder: Path, **options: object) -> object:
    return config_from_dict({"workspace": str(folder), "train": {"threads": 1, **options}})


def test_few_labels_end_before_all_epochs_and_say_what_is_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few, "PATIENCE", 1)
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 12)
    summary = train(config(tmp_path, learning_rate=1e-9, ema=0.0), progress=False)  # type: ignore[arg-type]
    assert summary.iterations < 40
    assert "16 labelled training objects are few" in str(summary)
    assert f"training ended after {summary.iterations} of 40 epochs" in str(summary)
    assert "`galclass finetune CATALOG" in str(summary)


def test_own_patience_and_many_labels_are_left_alone() -> None:
    assert few.patience(0, few.FEW_LABELS) == 0
    assert few.patience(0, few.FEW_LABELS - 1) == few.PATIENCE
    assert few.patience(25, 10) == 25
    assert few.remark(few.FEW_LABELS, 40, 40) == ""


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["Er"] * 14 + ["Sen"], "one only of 'Sen'"),
        (["Er", "Sen"] * 4, "got [0-9] labelled"),
    ],
)
def test_labels_that_teach_nothing_are_refused(tmp_path: Path, labels: list[str], said: str) -> None:
    write_prepared(tmp_path / "prepared", labels)
    with pytest.raises(TrainingError, match=rf"too few labels to train on.*{said}.*finetune"):
        train(config(tmp_path), progress=False)  # type: ignore[arg-type]
    assert not (tmp_path / "training").exists()


def test_a_busy_machine_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("galclass.train.device.default_threads", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (3.5, 0.0, 0.0))
    assert "load 3.5 on 4 cores" in advice_on_threads(0)
    assert "train.threads=1" in advice_on_threads(2)
    assert advice_on_threads(1) == ""
    monkeypatch.setattr(os, "getloadavg", lambda: (0.3, 0.0, 0.0))
    assert advice_on_threads(0) == ""


def test_the_trainer_counts_objects_once(tmp_path: Path) -> None:
    from galclass.train.dataset import open_training_data

    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 12)
    trainer = Trainer(open_training_data(tmp_path / "prepared"), config(tmp_path, repeats=["Er=3"]).train, seed=0)  # type: ignore[attr-defined]
    assert trainer.objects == 16
