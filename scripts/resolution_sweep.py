"""Train the same network on cutouts of several sizes and compare them on the validation split.

    GALCLASS_DATA=... python scripts/resolution_sweep.py --config configs/format1.toml --output sweep/
        [--sizes 48 64 96 128] [--set train.num_epochs=8]

Every size gets the same objects, splits, seed and number of epochs, all at its full size; each source keeps the share
of `prepare.validation` for validation, and the test split is not used. Each size has a separate workspace that resumes
and is not repeated. Milliseconds are for a complete prediction of one 424 px JPEG (decoding included) on one core,
alternating the sizes.
"""

from __future__ import annotations

import argparse
import statistics
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from galclass.config import Config, load_config
from galclass.evaluate import THIRTEEN, coarse_labelling
from galclass.evaluate.metrics import Classification, classification, natural_accuracy
from galclass.prepare.stage import prepare
from galclass.scoring import Scorer
from galclass.train import train
from galclass.train.dataset import TrainingData, open_training_data

SAMPLE = Path(__file__).resolve().parent.parent / "data/sample/images_gz2.zip"
RESAMPLES = 2000


def config_for(config: Config, size_px: int, output: Path) -> Config:
    """Return the configuration of one size: full size throughout, one seed, one share for validation."""
    sources = tuple(replace(source, validation=None) for source in config.prepare.sources)
    return replace(
        config,
        workspace=str(output / f"{size_px}px"),
        prepare=replace(config.prepare, size_px=size_px, sources=sources),
        train=replace(config.train, reduced_px=0, seeds=1),
    )


def judged(data: TrainingData, scorer: Scorer, source: str) -> Classification:
    """Measure a model on the validation objects of one source, with plain sums of the 13 probabilities."""
    rows = np.array([row for row in data.indices("validation") if data.source[row] == source])
    labels = [data.label[row] for row in rows]
    labelling = coarse_labelling(source, labels) or THIRTEEN
    true = labelling.true_index(labels)
    parts = [data.store.central(rows[at : at + 256]) for at in range(0, len(rows), 256)]
    probabilities = np.concatenate([scorer.score_cutouts(part).probabilities for part in parts])
    predicted = labelling.sum_probabilities(probabilities).argmax(axis=1)
    return classification(true[true >= 0], predicted[true >= 0], labelling.names, resamples=RESAMPLES, seed=0)


def milliseconds(scorers: list[Scorer], rounds: int = 200) -> list[float]:
    """Return the median time of a complete prediction of each scorer, in ms."""
    with zipfile.ZipFile(SAMPLE) as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:50]
        files = [archive.read(name) for name in names]
    seconds: list[list[float]] = [[] for _ in scorers]
    for number in range(rounds):
        for scorer, times in zip(scorers, seconds, strict=True):
            begin = time.perf_counter()
            scorer.score([files[number % len(files)]])
            times.append(time.perf_counter() - begin)
    return [1e3 * statistics.median(times) for times in seconds]


def line(config: Config, size_px: int, took_ms: float) -> str:
    """Return the figures of one size."""
    workspace = config.workspace_path
    data, scorer = open_training_data(workspace / "prepared"), Scorer(workspace / "training" / "model.onnx")
    parts = [f"{size_px:4d} px  {took_ms:6.2f} ms"]
    for source in sorted(set(data.source)):
        found = judged(data, scorer, source)
        parts.append(f"{source} (n = {found.count}) {found.accuracy}, balanced {found.balanced_accuracy}")
        weights = config.evaluate.frequencies.get(source)
        if weights:
            shares = np.array([weights.get(name, 0.0) for name in found.names])
            natural = natural_accuracy(found.confusion, shares, resamples=RESAMPLES, seed=0)
            parts.append(f"at natural frequencies {natural}")
    return "; ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[48, 64, 96, 128], help="multiples of 8, in px")
    parser.add_argument("--train-only", action="store_true", help="leave the table to a later call with all sizes")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="as in galclass train")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    config = load_config(options.config, options.set)
    configs = [config_for(config, size_px, options.output) for size_px in options.sizes]
    for one in configs:
        prepare(one)
        train(one)
    if options.train_only:
        return
    took = milliseconds([Scorer(one.workspace_path / "training" / "model.onnx") for one in configs])
    figures = zip(configs, options.sizes, took, strict=True)
    text = "\n".join(line(one, size_px, took_ms) for one, size_px, took_ms in figures)
    (options.output / "figures.txt").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
