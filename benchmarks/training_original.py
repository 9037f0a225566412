"""Training speed of the original topology on the CPU against a plain translation, one run, ratios.

    OMP_NUM_THREADS=1 python benchmarks/training_original.py --threads 1

The plain translation is what one writes from the Net# text: eager, float32, NCHW,
`x * (offset + alpha * x**2) ** -beta`, `F.grid_sample` with the same angles. Both sides get the same stored squares,
batch, threads and optimizer; a step is the whole step, augmentation included. Wall time and CPU time are both given:
the first is what a user waits, the second hardly depends on what else the machine does. "plain, memory kept" is the
plain translation with the allocator setting that `galclass.train.device` makes. `--curves` trains both from the same
kind of start (He) and prints the losses.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from galclass.config import Config, load_config
from galclass.pipeline import run
from galclass.train.dataset import TrainingData, open_training_data
from galclass.train.device import prepared_machine
from galclass.train.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
BATCH = 256
ALPHA, BETA, OFFSET = 0.0001, 0.75, 1.0


class PlainNorm(nn.Module):
    """The response norm of single nodes."""

    def forward(self, x: Tensor) -> Tensor:
        """Norm every node by itself."""
        return x * (OFFSET + ALPHA * x**2) ** -BETA


def plain_network() -> nn.Module:
    """The original topology as one writes it down, with He's start."""
    network = nn.Sequential(
        nn.Conv2d(3, 64, 6, 2),
        nn.ReLU(),
        PlainNorm(),
        nn.MaxPool2d(2, 2, ceil_mode=True),
        nn.ZeroPad2d((1, 0, 1, 0)),
        nn.Conv2d(64, 128, 5, 2, groups=64),
        nn.ReLU(),
        PlainNorm(),
        nn.MaxPool2d(2, 2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(1152, 128),
        nn.ReLU(),
        nn.Linear(128, 128),
        nn.ReLU(),
        nn.Linear(128, 13),
    )
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return network


def turned(squares: Tensor, angle_rad: Tensor, size_px: int) -> Tensor:
    """Rotate and crop with affine_grid and grid_sample, (n, side, side, 3) uint8 -> (n, 3, size, size) float."""
    share = size_px / squares.shape[1]
    cosine, sine = torch.cos(angle_rad) * share, torch.sin(angle_rad) * share
    zero = torch.zeros_like(cosine)
    theta = torch.stack([torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)], 1)
    grid = functional.affine_grid(theta, [len(squares), 3, size_px, size_px], align_corners=False)
    return functional.grid_sample(squares.permute(0, 3, 1, 2).float().contiguous(), grid, align_corners=False)


class Plain:
    """The plain translation's training step."""

    def __init__(self, data: TrainingData, config: Config, augment: bool) -> None:
        torch.manual_seed(config.seed)
        self.data, self.augment, self.network = data, augment, plain_network()
        options = config.train
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), lr=options.learning_rate, momentum=options.momentum, foreach=False
        )
        self.angles = torch.tensor(np.deg2rad(options.angles_deg), dtype=torch.float32)
        self.target = torch.from_numpy(data.leaves.argmax(1))

    def step(self, rows: np.ndarray, angle: np.ndarray) -> float:
        """Train on index rows, each at one of the angles, and return the loss."""
        if self.augment:
            squares = torch.from_numpy(self.data.store.cutouts(rows))
            pixels = turned(squares, self.angles[torch.from_numpy(angle)], self.data.size_px)
        else:
            pixels = torch.from_numpy(self.data.store.central(rows)).permute(0, 3, 1, 2).float().contiguous()
        pixels = pixels * (4 / 255) - 0.2
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(self.network(pixels), self.target[torch.from_numpy(rows)])
        loss.backward()
        self.optimizer.step()
        return loss.item()


def timed(step: Callable[[int], object], repeats: int) -> tuple[float, float]:
    """Median wall and CPU seconds of a step, after two to warm up."""
    walls, cpus = [], []
    for number in range(repeats + 2):
        wall, cpu = time.perf_counter(), time.process_time()
        step(number)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls[2:]), statistics.median(cpus[2:])


def plain_step(data: TrainingData, config: Config, augment: bool) -> Callable[[int], object]:
    plain, train = Plain(data, config, augment), data.indices("train")
    rng = np.random.default_rng(0)
    return lambda number: plain.step(rng.choice(train, BATCH), rng.integers(0, 3, BATCH))


def our_step(data: TrainingData, config: Config, augment: bool) -> tuple[Callable[[int], object], Trainer]:
    options = replace(config.train, augment="fixed" if augment else "none", cache=False)
    trainer = Trainer(data, options, seed=config.seed)
    trainer.network.train()
    rng = np.random.default_rng(0)
    entries = len(trainer.batches)
    return lambda number: trainer.step(rng.integers(0, entries, BATCH)), trainer


def plain_times(data: TrainingData, config: Config, repeats: int) -> dict[bool, tuple[float, float]]:
    return {augment: timed(plain_step(data, config, augment), repeats) for augment in (False, True)}


def compare(data: TrainingData, config: Config, repeats: int, plain: dict[bool, tuple[float, float]]) -> None:
    kept = plain_times(data, config, repeats)
    print(f"batch {BATCH}, {torch.get_num_threads()} thread(s), float32, median of {repeats} steps, images/s")
    print(f"{'':28}{'plain':>8}{'plain, memory kept':>20}{'galclass':>10}{'ratios':>12}{'waits for data':>16}")
    for augment in (False, True):
        step, trainer = our_step(data, config, augment)
        ours = timed(step, repeats)
        share = trainer.at.batch_seconds / trainer.at.seconds
        for clock, name in enumerate(("wall", "CPU")):
            a, b, c = plain[augment][clock], kept[augment][clock], ours[clock]
            label = f"{'with' if augment else 'without'} augmentation, {name}"
            print(f"{label:28}{BATCH / a:8.0f}{BATCH / b:20.0f}{BATCH / c:10.0f}{a / c:6.2f}{b / c:6.2f}{share:16.1%}")


def curves(data: TrainingData, config: Config, iterations: int) -> None:
    print("\niteration  train loss plain  galclass")
    plain = Plain(data, config, augment=True)
    trainer = Trainer(data, replace(config.train, num_epochs=iterations), seed=config.seed)
    for iteration in range(iterations):
        losses = []
        for entries in trainer.batches.order(iteration):
            rows, angle = trainer.batches.rows[entries], trainer.batches.angles_deg[entries]
            losses.append(plain.step(rows, np.searchsorted(config.train.angles_deg, angle)))
        ours = trainer.run_iteration(lambda step, steps: None)
        print(f"{iteration + 1:9d}{np.mean(losses):18.4f}{ours['train_loss']:10.4f}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--repeats", type=int, default=9)
    arguments.add_argument("--curves", type=int, default=0, metavar="ITERATIONS")
    arguments.add_argument("--workspace", default="workspace/benchmark")
    given = arguments.parse_args()
    config = load_config(ROOT / "configs" / "original_repaired.toml", {"workspace": given.workspace})
    for result in run(config, last="prepare", progress=False):
        print(result.summary)
    data = open_training_data(config.workspace_path / "prepared")
    torch.set_num_threads(given.threads)
    plain = plain_times(data, config, given.repeats)  # before the allocator is told to keep memory
    with prepared_machine(replace(config.train, threads=given.threads)):
        compare(data, config, given.repeats, plain)
        if given.curves:
            curves(data, config, given.curves)


if __name__ == "__main__":
    main()
