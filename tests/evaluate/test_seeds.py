"""The spread over the seeds of a run: the same measures for each model, in metrics.json and in the card."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from galclass.config import Config, load_config
from galclass.evaluate import evaluate
from galclass.evaluate.seeds import seed_models, spread_over_seeds
from galclass.pipeline import run
from galclass.scoring import Scorer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A run of two short seeds, evaluated."""
    small = {"prepare.limit": 300, "train.num_epochs": 2, "train.seeds": 2, "train.threads": 1}
    workspace = str(tmp_path_factory.mktemp("workspace"))
    config = load_config(ROOT / "configs" / "demo.toml", {"workspace": workspace, **small})
    list(run(config, last="evaluate", progress=False))
    return config


def shipped(config: Config) -> Scorer:
    return Scorer(config.workspace_path / "training" / "model.onnx", name=config.register.name)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_mean_and_deviation_are_those_of_the_two_models(two_seeds: Config) -> None:
    folder = two_seeds.workspace_path / "evaluation"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["seeds"]["count"] == 2
    for title, table in metrics["tables"].items():
        mean, deviation = metrics["seeds"]["accuracy"][title]
        one, other = table["accuracy"][0], 2 * mean - table["accuracy"][0]
        assert 0 <= other <= 1
        assert deviation == pytest.approx(abs(one - other) / 2**0.5, abs=1e-5)
    assert "over 2 seeds, mean and standard deviation" in (folder / "card.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_models_of_another_run_are_left_out(two_seeds: Config, tmp_path: Path) -> None:
    assert len(seed_models(two_seeds, shipped(two_seeds))) == 2
    assert seed_models(two_seeds, Scorer()) == []
    one = replace(two_seeds, train=replace(two_seeds.train, seeds=1))
    assert seed_models(one, shipped(two_seeds)) == []
    three = replace(two_seeds, train=replace(two_seeds.train, seeds=3))
    assert seed_models(three, shipped(two_seeds)) == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_second_evaluation_does_nothing_and_one_seed_has_no_spread(two_seeds: Config) -> None:
    assert evaluate(two_seeds, progress=False).skipped
    assert spread_over_seeds([shipped(two_seeds)], lambda scorer: pytest.fail("scored"), {}) is None
