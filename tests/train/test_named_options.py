"""Settings of training that no other test names: each changes what is drawn, weighted, stepped or saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adadelta
from train.drawn_galaxies import quick, write_prepared

from galclass.config import TrainConfig
from galclass.train import stage, train
from galclass.train.augment import draw
from galclass.train.batches import Batches
from galclass.train.build import PixelScale
from galclass.train.dataset import TrainingData, open_training_data
from galclass.train.goals import LabelGoal, TaughtGoal
from galclass.train.networks import Outputs
from galclass.train.optimizers import make_optimizer, take_step
from galclass.train.teacher import TeacherPredictions

CPU = torch.device("cpu")


@pytest.fixture
def uneven(tmp_path: Path) -> TrainingData:
    """Three round galaxies for each thin one, 24 of them in training."""
    write_prepared(tmp_path / "prepared", ["Er", "Er", "Er", "Sen", "Er", "Sen"] * 6)
    return open_training_data(tmp_path / "prepared")


def outputs(count: int) -> Outputs:
    logits = torch.randn(count, 13, generator=torch.Generator().manual_seed(1))
    return Outputs(logits, None, None, torch.zeros(count, 4))


def test_colour_gain_changes_the_channels_by_different_factors() -> None:
    plain = draw(np.random.default_rng(0), 50, TrainConfig(gain=0.1, colour_gain=0.0)).gain
    coloured = draw(np.random.default_rng(0), 50, TrainConfig(gain=0.0, colour_gain=0.1)).gain
    assert np.ptp(plain, axis=1).max() < 1e-6
    assert np.ptp(coloured, axis=1).min() > 1e-4


def test_class_balance_weights_rare_labels_more(uneven: TrainingData) -> None:
    rows = uneven.indices("train")
    rare = [uneven.label[row] == "Sen" for row in rows]
    weights = {
        balance: LabelGoal(uneven, TrainConfig(class_balance=balance), CPU).targets.weight.numpy()[rows]
        for balance in (0.0, 1.0)
    }
    assert np.ptp(weights[0.0]) == 0
    assert weights[1.0][rare].sum() == pytest.approx(weights[1.0][~np.array(rare)].sum())


def test_label_smoothing_bounds_the_loss_of_a_certain_error(uneven: TrainingData) -> None:
    rows = torch.from_numpy(uneven.indices("train")[:1])
    wrong = Outputs(torch.full((1, 13), -1e3).index_fill(1, torch.tensor([12]), 0.0), None, None, torch.zeros(1, 4))
    loss = {e: LabelGoal(uneven, TrainConfig(label_smoothing=e), CPU).loss(wrong, rows).item() for e in (0.0, 0.13)}
    assert loss[0.0] > 100
    assert loss[0.13] == pytest.approx(-np.log(0.01) * loss_weight(uneven), rel=1e-4)


def loss_weight(data: TrainingData) -> float:
    weight: Tensor = LabelGoal(data, TrainConfig(), CPU).targets.weight[data.indices("train")[0]]
    return float(weight)


def test_teacher_weight_divides_the_loss_between_labels_and_teacher(uneven: TrainingData) -> None:
    rows = torch.from_numpy(uneven.indices("train")[:4])
    teacher = TeacherPredictions(torch.full((len(uneven.label), 1, 13), 1 / 13))

    def loss(weight: float) -> float:
        config = TrainConfig(teacher_weight=weight)
        return float(TaughtGoal(LabelGoal(uneven, config, CPU), uneven, config, teacher).loss(outputs(4), rows))

    assert loss(0.0) == pytest.approx(float(LabelGoal(uneven, TrainConfig(), CPU).loss(outputs(4), rows)))
    assert loss(0.25) == pytest.approx(0.75 * loss(0.0) + 0.25 * loss(1.0))


@pytest.mark.parametrize(("share", "sides"), [(0.0, [24, 24]), (0.5, [16, 24]), (1.0, [16, 16])])
def test_reduced_share_of_the_steps_is_at_the_reduced_size(
    uneven: TrainingData, share: float, sides: list[int]
) -> None:
    config = TrainConfig(num_epochs=2, mini_batch_size=24, reduced_px=16, reduced_share=share)
    rows = uneven.indices("train")
    batches = Batches(uneven, rows, config, PixelScale(1 / 255, 0.0), seed=1, device=CPU)
    found = [batches.pixels(batches.order(epoch)[0], epoch, 0, slice(0, 2)).shape[-1] for epoch in (0, 1)]
    assert found == sides


def test_fixed_angles_use_each_cutout_once_at_each(uneven: TrainingData) -> None:
    rows = uneven.indices("train")
    config = TrainConfig(augment="fixed", angles_deg=(0.0, 30.0))
    batches = Batches(uneven, rows, config, PixelScale(1 / 255, 0.0), seed=1, device=CPU)
    assert sorted(zip(batches.rows.tolist(), batches.angles_deg.tolist(), strict=True)) == [
        (row, angle) for row in sorted(rows.tolist()) for angle in (0.0, 30.0)
    ]


def test_options_of_the_original_optimizers_reach_them() -> None:
    layer = nn.Linear(2, 2)
    sgd = make_optimizer([layer], TrainConfig(optimizer="sgd", nag=True, momentum=0.8, l2_regularization=0.1))
    assert isinstance(sgd, SGD)
    assert {(g["nesterov"], g["momentum"], g["weight_decay"]) for g in sgd.param_groups} == {(True, 0.8, 0.1)}
    ada = make_optimizer([layer], TrainConfig(optimizer="ada_delta_sgd", decay=0.8, conditioning_const=1e-3))
    assert isinstance(ada, Adadelta)
    assert {(g["rho"], g["eps"]) for g in ada.param_groups} == {(0.8, 1e-3)}


def test_l2_regularization_pulls_weights_without_a_gradient_to_zero() -> None:
    layer = nn.Linear(2, 2)
    config = TrainConfig(optimizer="adamw", l2_regularization=0.5, weight_decay=0.0, clip_norm=0.0)
    before = layer.weight.detach().abs().clone()
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    take_step(make_optimizer([layer], config), 0.01, config)
    assert (layer.weight.abs() < before).all()


@pytest.mark.parametrize(("seconds", "saves"), [(0.0, 4), (1e6, 2)])
def test_checkpoints_are_saved_within_an_epoch_after_checkpoint_s(
    uneven: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, saves: int
) -> None:
    ticks = iter(range(10**6))
    monkeypatch.setattr(stage.time, "monotonic", lambda: float(next(ticks)))
    saved = []
    save = stage.save_checkpoint
    monkeypatch.setattr(stage, "save_checkpoint", lambda *given: (saved.append(given[0]), save(*given)))
    options = {"num_epochs": 2, "mini_batch_size": 12, "topology": "residual"}
    train(quick(tmp_path, checkpoint_s=seconds, **options), progress=False)
    assert len(saved) == saves  # two steps an epoch: within it, and after its validation
