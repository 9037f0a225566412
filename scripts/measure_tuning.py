"""Learning curves of fine-tuning (decision 32): 50, 250 and 1,000 labels, 5 folds split by object id.

    python scripts/measure_tuning.py RESULTS.csv NAME=LABELS.csv,IMAGES[,FRAME_PX] ... [--counts 50,250] [--folds 5]
        [--model models/galaxy-format1.onnx]
    python scripts/measure_tuning.py RESULTS.csv            # the table of what was measured so far

For each fold and number of labels, drawn from the other folds: the model in the package as is, the head on its
embeddings, its last layers and all layers fine-tuned from there (accuracy and log loss on the fold after every
requested epoch), and the same network from scratch. Each row is written as soon as it is known; existing rows are not
measured again. One thread.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from galclass.config import PrepareConfig
from galclass.cutouts import stored_cutout
from galclass.cutouts.headers import MAX_BYTES
from galclass.errors import CutoutError
from galclass.image_files import read_image
from galclass.scoring import Scorer
from galclass.scoring.logistic import log_loss, softmax, stratified_folds
from galclass.train.fine_tuning import epochs_for
from galclass.train.from_onnx import FrozenBody, frozen_body
from galclass.train.tune import TunedNetwork, started, tune
from galclass.tuning.labelled import read_labelled
from galclass.tuning.measure import classes_meant

FIELDS = ("task", "fold", "labels", "method", "epochs", "accuracy", "log_loss", "objects")
SCRATCH_EPOCHS, SCRATCH_RATE = 20, 4e-3
MOST_TESTED = 300


class Task:
    """Cutouts, codes and folds of one catalog."""

    def __init__(self, name: str, catalog: Path, images: Path, frame_px: int | None, model: Path | None) -> None:
        self.name, self.scorer = name, Scorer(model) if model else Scorer()
        squares, labels = [], []
        for one in read_labelled(catalog, [images], PrepareConfig()).images:
            try:
                data = read_image(one.image, MAX_BYTES)
                squares.append(stored_cutout(data, self.scorer.parameters, frame_px=frame_px))
            except CutoutError:
                continue
            labels.append(one.label)
        self.squares, self.labels = np.stack(squares), np.array(labels)
        self.names, self.codes = np.unique(self.labels, return_inverse=True)
        self.folds = stratified_folds(self.codes, 5, 0)
        self.start = frozen_body(self.scorer.value)

    def drawn(self, fold: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows to fit and rows to measure."""
        order = np.random.default_rng([count, fold]).permutation(np.flatnonzero(self.folds != fold))
        own = np.random.default_rng(fold).permutation(np.flatnonzero(self.folds == fold))
        return order[:count], own[:MOST_TESTED]

    def measured(self, logits: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
        """Accuracy and log loss."""
        right = logits.argmax(axis=1) == self.codes[rows]
        return float(right.mean()), log_loss(softmax(logits), self.codes[rows])

    def as_it_is(self, rows: np.ndarray) -> float:
        """Accuracy of the package; NaN where it has no such classes."""
        meant = [classes_meant(name, self.scorer.signature.classes) for name in self.names]
        if not all(meant):
            return float("nan")
        edge = (self.squares.shape[1] - self.start.size_px) // 2
        cutouts = self.squares[rows, edge:-edge, edge:-edge]
        found = self.scorer.predict_cutouts(cutouts, object_ids=[str(row) for row in rows])
        return float(
            np.mean([one.predicted_class in meant[self.codes[row]] for one, row in zip(found, rows, strict=True)])
        )


def runs(task: Task, fold: int, count: int, methods: list[str], done: set[tuple[str, ...]]) -> Iterator[tuple]:
    """Measure what is not done yet."""
    fitted, rows = task.drawn(fold, count)
    lacking = [one for one in methods if (task.name, str(fold), str(count), one) not in done]
    if len(fitted) < count or not lacking:
        return
    key = (task.name, fold, count)
    if "package" in lacking:
        yield (*key, "package", 0, task.as_it_is(rows), float("nan"), len(rows))
    for method in [one for one in lacking if one != "package"]:
        for epoch, (accuracy, loss) in measured(task, method, fitted, rows).items():
            yield (*key, method, epoch, round(accuracy, 5), round(loss, 5), len(rows))


def measured(task: Task, method: str, fitted: np.ndarray, rows: np.ndarray) -> dict[int, tuple[float, float]]:
    """Fit by one method; accuracy and log loss by epoch."""
    blank = np.zeros((task.start.embedding_size, len(task.names)))
    squares, codes, found = task.squares[fitted], task.codes[fitted], {}
    if method == "scratch":
        torch.manual_seed(0)
        start = FrozenBody(task.start.new_body(), task.start.scale, task.start.size_px)
        network: TunedNetwork = _Learning(start, blank, blank[0])
        planned, rate = SCRATCH_EPOCHS, SCRATCH_RATE
    else:
        embeddings = TunedNetwork(task.start, blank, blank[0]).embed(squares)
        network = started(task.start, embeddings, codes, len(task.names), seed=0)
        planned, rate = (0 if method == "head" else epochs_for(len(fitted))), None

    def look(epoch: int) -> bool:
        if epoch in (0, 1, 3, 6, 12, planned):
            network.eval()
            found[epoch] = task.measured(network.logits(network.embed(task.squares[rows])), rows)
        return False

    look(0)
    layers = "last" if method == "last" else "all"
    tune(network, squares, codes, layers=layers, epochs=planned, learning_rate=rate, after_epoch=look)
    return found


class _Learning(TunedNetwork):
    """A new network, whose normalisations follow its batches."""

    def train(self, mode: bool = True) -> TunedNetwork:
        return nn.Module.train(self, mode)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.train()
        return super().forward(pixels)


def table(results: Path) -> None:
    """Print mean and standard deviation over the folds."""
    found: dict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)
    for row in csv.DictReader(results.open()):
        key = (row["task"], row["labels"], row["method"], row["epochs"])
        found[key].append((float(row["accuracy"]), float(row["log_loss"])))
    print("| task | labels | method | epochs | accuracy | log loss | folds |\n|---|---|---|---|---|---|---|")
    for (task, labels, method, epochs), values in found.items():
        (accuracy, loss), spread = np.mean(values, axis=0), np.std([one for one, _ in values])
        print(
            f"| {task} | {labels} | {method} | {epochs} | {accuracy:.3f} ± {spread:.3f} | {loss:.3f} | {len(values)} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("tasks", nargs="*", metavar="NAME=LABELS.csv,IMAGES[,FRAME_PX]")
    parser.add_argument("--counts", default="50,250,1000")
    parser.add_argument("--methods", default="package,head,all,last")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--model", type=Path, help="the one to start from; the package's if absent")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tasks = []
    for text in options.tasks:
        name, _, rest = text.partition("=")
        catalog, images, *frame = rest.split(",")
        tasks.append(Task(name, Path(catalog), Path(images), int(frame[0]) if frame else None, options.model))
    new = not options.results.is_file()
    with options.results.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(FIELDS)
        done = {
            (row["task"], row["fold"], row["labels"], row["method"]) for row in csv.DictReader(options.results.open())
        }
        for count in map(int, options.counts.split(",")):
            for fold in range(options.folds):
                for task in tasks:
                    for row in runs(task, fold, count, options.methods.split(","), done):
                        writer.writerow(row)
                        file.flush()
    table(options.results)


if __name__ == "__main__":
    main()
