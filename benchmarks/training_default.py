"""Training speed of the default topology against a timm ResNet-18 at equal input size, one run, ratios.

    pip install timm
    OMP_NUM_THREADS=1 python benchmarks/training_default.py --threads 1 --minutes 2

Both go through the same trainer on the same cutouts, augmentation included, one view a cutout and a step; the default
sees all eight turns and mirror images inside. `--minutes` then trains each for so many minutes of CPU time with the
same recipe and compares the validation figures.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from galclass.config import Config, TrainConfig, load_config
from galclass.pipeline import run
from galclass.train.dataset import TrainingData, open_training_data
from galclass.train.device import prepared_machine
from galclass.train.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
TOPOLOGIES = ("residual", "timm:resnet18")


def step_seconds(data: TrainingData, options: TrainConfig, seed: int, repeats: int) -> tuple[float, float]:
    """Median wall and CPU seconds of a step, after two to warm up."""
    trainer = Trainer(data, options, seed=seed)
    trainer.network.train()
    rng, walls, cpus = np.random.default_rng(0), [], []
    for _ in range(repeats + 2):
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.step(rng.integers(0, len(trainer.batches), options.mini_batch_size))
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls[2:]), statistics.median(cpus[2:])


def trained(data: TrainingData, options: TrainConfig, seed: int, minutes: float, step_s: float) -> dict[str, float]:
    """Train for as many epochs as fit into the minutes, with the schedule fitted to them."""
    steps = Trainer(data, options, seed=seed).batches.steps
    iterations = max(1, int(minutes * 60 / (steps * step_s)))
    trainer = Trainer(data, replace(options, num_epochs=iterations), seed=seed)
    started = time.process_time()
    while not trainer.finished:
        trainer.run_iteration(lambda step, steps: None)
    best = min(trainer.at.history, key=lambda row: row["validation_loss"])
    return best | {"iterations": iterations, "cpu_minutes": (time.process_time() - started) / 60}


def compare(data: TrainingData, config: Config, repeats: int, minutes: float) -> None:
    size = config.train.mini_batch_size
    print(f"batch {size}, {data.size_px} px, images/s, median of {repeats} steps: wall, CPU")
    seconds = {}
    for name in TOPOLOGIES:
        options = replace(config.train, topology=name, views=1)
        seconds[name] = step_seconds(data, options, config.seed, repeats)
        print(f"{name:16}{size / seconds[name][0]:10.0f}{size / seconds[name][1]:10.0f}")
    wall, cpu = (seconds[TOPOLOGIES[1]][clock] / seconds[TOPOLOGIES[0]][clock] for clock in (0, 1))
    print(f"{'ratio':16}{wall:10.2f}{cpu:10.2f}")
    if not minutes:
        return
    print(f"\nafter {minutes:g} CPU minutes: iterations, CPU minutes, validation loss, accuracy, balanced accuracy")
    for name in TOPOLOGIES:
        row = trained(data, replace(config.train, topology=name, views=1), config.seed, minutes, seconds[name][1])
        figures = [row[f"validation_{key}"] for key in ("loss", "accuracy", "balanced_accuracy")]
        text = "".join(f"{figure:10.4f}" for figure in figures)
        print(f"{name:16}{row['iterations']:6d}{row['cpu_minutes']:8.2f}{text}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--repeats", type=int, default=9)
    arguments.add_argument("--minutes", type=float, default=0.0)
    arguments.add_argument("--workspace", default="workspace/benchmark_default")
    given = arguments.parse_args()
    config = load_config(ROOT / "configs" / "demo.toml", {"workspace": given.workspace})
    for result in run(config, last="prepare", progress=False):
        print(result.summary)
    data = open_training_data(config.workspace_path / "prepared")
    with prepared_machine(replace(config.train, threads=given.threads)):
        compare(data, config, given.repeats, given.minutes)


if __name__ == "__main__":
    main()
