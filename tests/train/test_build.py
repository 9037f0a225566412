"""Networks by name, and what the optimizers and schedules do with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from train.drawn_galaxies import quick, write_prepared

from galclass.config import TrainConfig
from galclass.errors import ExtraError, TopologyError, TrainingError
from galclass.prepare.store import Store
from galclass.scoring import Scorer
from galclass.train import train
from galclass.train.build import build_network, pixel_scale
from galclass.train.networks import Network
from galclass.train.optimizers import RunningMean, Schedule, make_optimizer, take_step

SMALL_NET = """
input pixels [3, 24, 24];
hidden conv [8, 11, 11] rlinear from pixels convolve { InputShape = [3, 24, 24]; KernelShape = [3, 4, 4];
  Stride = [1, 2, 2]; Sharing = [false, true, true]; MapCount = 8; }
hidden pool [8, 5, 5] from conv max pool { InputShape = [8, 11, 11]; KernelShape = [1, 2, 2]; Stride = [1, 2, 2]; }
hidden hid [16] rlinear from pool all;
output Class [13] softmax from hid all;
"""


def build(size_px: int = 24, **options: object) -> Network:
    config = TrainConfig(**options)  # type: ignore[arg-type]
    return build_network(config, size_px, seed=0, vote_head=False)


def test_unknown_topology_is_an_error_that_names_it() -> None:
    with pytest.raises(TopologyError, match="no topology 'orginal'.*original"):
        build(topology="orginal")


def test_topology_of_another_size_is_an_error_with_both_sizes() -> None:
    with pytest.raises(
        TrainingError, match=r"expected 64 x 64 px, .* got 50 x 50 px.*[Ss]et prepare\.size_px = 50 and"
    ):
        build(64, topology="original")


def test_topology_with_another_layout_is_an_error() -> None:
    flat = "input a [24, 24, 3]; hidden h [4] from a all; output o [13] softmax from h all;"
    with pytest.raises(TrainingError, match=r"not laid out as a cutout .expected one input \[3, 24, 24\]"):
        build(topology=flat)


def test_topology_with_another_number_of_outputs_is_an_error() -> None:
    with pytest.raises(TopologyError, match="expected 13 nodes, got 5 nodes"):
        build(topology=SMALL_NET.replace("Class [13]", "Class [5]"))


def test_auto_sizes_come_from_the_cutout_the_options_and_the_classes() -> None:
    network = build(topology="input a auto; hidden h auto from a all; output o auto from h all;", num_hidden_nodes=7)
    assert network.embedding_size == 7
    assert network(torch.zeros(2, 3, 24, 24)).logits.shape == (2, 13)


def test_normalize_warn_says_so_and_leaves_the_range() -> None:
    with pytest.warns(UserWarning, match=r"pixels enter as 0..255"):
        assert pixel_scale(TrainConfig(normalize="warn")).factor == 1.0


def test_timm_without_the_extra_says_what_to_install() -> None:
    pytest.importorskip("torch")
    try:
        import timm  # noqa: F401  # only whether it is there
    except ImportError:
        with pytest.raises(ExtraError, match=r"galclass\[timm\]"):
            build(64, topology="timm:resnet18")
    else:
        with pytest.raises(TrainingError, match="timm has no such model"):
            build(64, topology="timm:no_such_model")


def test_original_has_the_original_number_of_weights_in_the_original_range() -> None:
    network = build(50, topology="original", init_wts_diameter=0.1, views=1)
    weights = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    assert len(weights) == 176_077
    assert 0.0499 < weights.abs().max() <= 0.05
    assert network.embedding_size == 128


def test_normalize_no_leaves_the_original_range() -> None:
    assert str(pixel_scale(TrainConfig(normalize="no"))) == "1 * (0..255) +0"
    assert pixel_scale(TrainConfig()).factor == pytest.approx(4 / 255)


def test_netsharp_text_trains_and_scores_alike_for_all_views(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["Er", "Sen"] * 24)
    topology = tmp_path / "small.net"
    topology.write_text(SMALL_NET)
    config = quick(tmp_path, topology=str(topology), vote_weight=0.0, num_epochs=12, ema=0.0)
    summary = train(config, progress=False)
    assert summary.metrics["validation_accuracy"] > 0.8
    scorer = Scorer(tmp_path / "training" / "model.onnx")
    assert scorer.signature.views == 8
    cutouts = Store.open(tmp_path / "prepared").central(slice(0, 3))
    straight = scorer.score_cutouts(cutouts)
    turned = scorer.score_cutouts(np.ascontiguousarray(np.rot90(cutouts, axes=(1, 2))))
    assert np.allclose(straight.probabilities, turned.probabilities, atol=1e-5)


def test_fixed_angles_without_views_follow_the_original_recipe(workspace: Path) -> None:
    options = {"augment": "fixed", "cache": True, "topology": SMALL_NET, "views": 1, "normalize": "no"}
    summary = train(quick(workspace, vote_weight=0.0, num_epochs=1, **options), progress=False)
    assert summary.objects == 48
    signature = Scorer(workspace / "training" / "model.onnx").signature
    assert (signature.views, signature.scale) == (1, "1 * (0..255) +0")


def test_step_schedule_reduces_by_the_ratio_every_freq_iterations() -> None:
    config = TrainConfig(schedule="step", learning_rate=0.05, l_rate_red_ratio=0.95, l_rate_red_freq=5)
    schedule = Schedule(config, steps=10)
    assert [schedule.rate(iteration, 3) for iteration in (0, 4, 5, 10)] == pytest.approx([0.05, 0.05, 0.0475, 0.045125])


def test_stalled_error_reduces_the_rate_only_when_asked() -> None:
    config = TrainConfig(
        schedule="step", learning_rate=1.0, l_rate_red_ratio=0.5, l_rate_red_freq=1000, l_rate_red_error_ratio=0.1
    )
    schedule = Schedule(config, steps=1)
    for error in (1.0, 0.5, 0.49):
        schedule.end_iteration(error)
    assert schedule.rate(3, 0) == 0.5


def test_cosine_rises_then_falls_to_almost_nothing() -> None:
    schedule = Schedule(TrainConfig(num_epochs=10, warm_up=0.2, learning_rate=1.0), steps=10)
    rates = [schedule.rate(step // 10, step % 10) for step in range(100)]
    assert rates[0] < 0.1
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates.index(max(rates)) == pytest.approx(20, abs=1)
    assert rates[-1] < 0.01


@pytest.mark.parametrize("name", ["adamw", "sgd", "ada_delta_sgd"])
def test_every_optimizer_goes_downhill(name: str) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 1)
    config = TrainConfig(optimizer=name, clip_norm=0.0, weight_decay=0.0)  # type: ignore[arg-type]
    optimizer = make_optimizer([layer], config)
    examples = torch.randn(32, 4)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (layer(examples) - 1).square().mean()
        loss.backward()
        losses.append(loss.item())
        take_step(optimizer, 1.0 if name == "ada_delta_sgd" else 0.05, config)
    assert losses[-1] < losses[0]


def test_sgd_step_is_the_plain_formula_with_momentum_and_decay() -> None:
    weight = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(weight.weight, 2.0)
    config = TrainConfig(optimizer="sgd", momentum=0.5, clip_norm=0.0, weight_decay=0.1)
    optimizer = make_optimizer([weight], config)
    expected, velocity = 2.0, 0.0
    for _ in range(3):
        optimizer.zero_grad()
        weight(torch.ones(1, 1)).backward()
        take_step(optimizer, 0.1, config)
        velocity = 0.5 * velocity + 1.0
        expected = expected * (1 - 0.1 * 0.1) - 0.1 * velocity
    assert weight.weight.item() == pytest.approx(expected)


def test_max_norm_limits_each_units_weights() -> None:
    layer = torch.nn.Linear(4, 3)
    torch.nn.init.constant_(layer.weight, 5.0)
    config = TrainConfig(optimizer="sgd", max_norm=1.0, clip_norm=0.0, weight_decay=0.0)
    optimizer = make_optimizer([layer], config)
    layer(torch.ones(1, 4)).sum().backward()
    take_step(optimizer, 0.01, config)
    assert torch.allclose(layer.weight.norm(dim=1), torch.ones(3), atol=1e-5)


def test_running_mean_follows_weights_and_forgets_the_start() -> None:
    source, target = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    running = RunningMean(source, target, 0.99)
    torch.nn.init.constant_(source.weight, 3.0)
    for step in range(1, 200):
        running.update(step)
    assert torch.allclose(target.weight, torch.full((2,), 3.0), atol=1e-2)
