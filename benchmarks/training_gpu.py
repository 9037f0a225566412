"""The original's whole job on one GPU: 300,000 rows x 100 epochs = 30 million image steps, augmentation included.

    python benchmarks/training_gpu.py --objects 100000 --batch 256 4096

Random squares stand for the galaxies: the time does not depend on what they show. Each line is the trainer's own step
(data resident on the GPU, turned there by one warp), float32 and bfloat16; minutes for the whole job are extrapolated
from the measured steps, and the share of the memory-bandwidth floor from the bytes that the activations need at least.
Without a CUDA GPU the script says so and measures nothing.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from galclass.config import TrainConfig, load_config
from galclass.cutouts import CutoutParameters
from galclass.morphology import CLASSES
from galclass.train.dataset import training_data
from galclass.train.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
JOB_IMAGES = 30_000_000
ACTIVATIONS = 64 * 23 * 23 + 2 * 64 * 12 * 12 + 128 * 5 * 5 + 2 * 128 * 3 * 3
"""Values a cutout's layers hold at least; each is written once and read twice, forward and back."""


@dataclass(frozen=True)
class RandomStore:
    """Squares of noise with the interface of `galclass.prepare.store.Store`."""

    index: pa.Table
    parameters: CutoutParameters
    squares: np.ndarray

    @property
    def side_px(self) -> int:
        """Side of the stored squares."""
        return self.parameters.store_side_px

    def cutouts(self, rows: np.ndarray) -> np.ndarray:
        """Stored squares."""
        return self.squares[rows]

    def central(self, rows: np.ndarray) -> np.ndarray:
        """The middle of each square."""
        margin = (self.side_px - self.parameters.size_px) // 2
        return self.squares[rows, margin:-margin, margin:-margin]


def random_store(objects: int, size_px: int) -> RandomStore:
    rng = np.random.default_rng(0)
    parameters = CutoutParameters(size_px)
    side = parameters.store_side_px
    columns = {
        "object_id": [str(number) for number in range(objects)],
        "label": [CLASSES[number % 13] for number in range(objects)],
        "split": ["validation" if number % 100 == 0 else "train" for number in range(objects)],
    }
    return RandomStore(pa.table(columns), parameters, rng.integers(0, 256, (objects, side, side, 3), dtype=np.uint8))


def images_per_s(trainer: Trainer, batch: int, steps: int) -> float:
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, len(trainer.batches), batch) for _ in range(steps + 10)]
    trainer.network.train()
    for number, entries in enumerate(batches):
        if number == 10:  # after the kernels are chosen
            torch.cuda.synchronize()
            started = time.perf_counter()
        trainer.step(entries)
    torch.cuda.synchronize()
    return batch * steps / (time.perf_counter() - started)


def measure(store: RandomStore, options: TrainConfig, batches: list[int], steps: int, bandwidth: float) -> None:
    data = training_data(store)
    print(f"{'batch':>6}{'precision':>11}{'images/s':>12}{'whole job, s':>14}{'share of bandwidth floor':>26}")
    for batch in batches:
        for precision in ("float32", "bfloat16"):
            chosen = replace(options, mini_batch_size=batch, mixed_precision=precision == "bfloat16")
            rate = images_per_s(Trainer(data, chosen, seed=0), batch, steps)
            floor = bandwidth / (ACTIVATIONS * 6 * (2 if precision == "bfloat16" else 4))
            print(f"{batch:6d}{precision:>11}{rate:12,.0f}{JOB_IMAGES / rate:14.1f}{rate / floor:26.1%}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--objects", type=int, default=100_000)
    arguments.add_argument("--batch", type=int, nargs="+", default=[256, 4096])
    arguments.add_argument("--steps", type=int, default=200)
    arguments.add_argument(
        "--bandwidth", type=float, default=3.35e12, help="bytes/s of the GPU's memory (H100: 3.35e12)"
    )
    given = arguments.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA GPU here: nothing measured")
        return
    print(torch.cuda.get_device_name())
    config = load_config(ROOT / "configs" / "original_repaired.toml")
    options = replace(config.train, acceleration="gpu", cache=False)
    measure(random_store(given.objects, config.prepare.size_px), options, given.batch, given.steps, given.bandwidth)


if __name__ == "__main__":
    main()
