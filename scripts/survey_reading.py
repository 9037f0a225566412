"""A survey's labels from a model's classes: a log-linear mapping fitted on the training split.

    python scripts/survey_reading.py workspace/student --config configs/student.toml --models new.onnx old.onnx

Galaxy Zoo 1 and Galaxy Zoo 2 mean different things by "elliptical" (decisions 5 and 16), so a model of the one's votes
has to be mapped before it is compared with the other's labels. Every model gets a mapping of the same kind
(`galclass.train.surveys`), fitted on its predictions for the training split, and is measured on the test split; the
second and later ones with the paired difference from the first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from measure_votes import KINDS, Measured, kinds_of, split_rows
from numpy.typing import NDArray

from galclass.config import load_config
from galclass.morphology import CLASSES, leaves_of
from galclass.prepare.store import Store
from galclass.train.surveys import SurveyReading

RESAMPLES = 2000
STEPS = 400


def fitted(log_classes: torch.Tensor, kind: NDArray[np.int64], source: str) -> SurveyReading:
    """Fit a mapping to three kinds by its likelihood, without reweighting the kinds."""
    leaves = np.array([[leaf in leaves_of(name) for leaf in CLASSES] for name in KINDS])
    reading = SurveyReading(tuple((source, name) for name in KINDS), leaves)
    optimizer = torch.optim.Adam(reading.parameters(), lr=0.05)
    true = torch.from_numpy(kind)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.nll_loss(reading(log_classes), true)
        loss.backward()
        optimizer.step()
    return reading


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="holds prepared/")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--source", default="gz1")
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    options = parser.parse_args()
    torch.manual_seed(0)
    config, store = load_config(options.config), Store.open(options.workspace / "prepared")
    table = store.index.select(["label", "source"]).to_pydict()
    first: NDArray[np.bool_] | None = None
    for model in options.models:
        parts = {}
        for split in ("train", "test"):
            rows = split_rows(store, split, None, [options.source])
            sources = np.array([table["source"][i] for i in rows])
            found = Measured(store, config, model, rows)
            chosen, kind, plain = kinds_of(found, [table["label"][i] for i in rows], sources)
            parts[split] = torch.log(torch.from_numpy(found.probabilities[chosen]).float() + 1e-12), kind, plain
        reading = fitted(parts["train"][0], parts["train"][1], options.source)
        log_classes, kind, plain = parts["test"]
        with torch.no_grad():
            right = reading(log_classes).argmax(1).numpy() == kind
        draws = np.random.default_rng(0).integers(0, len(kind), (RESAMPLES, len(kind)))

        def balanced(values: NDArray[np.bool_], drawn: NDArray[np.int64], kind: NDArray[np.int64] = kind) -> float:
            return float(np.mean([values[drawn][kind[drawn] == one].mean() for one in range(len(KINDS))]))

        text = f"{model}: n = {len(kind)}, read {right.mean():.4f} {shown(right[draws].mean(axis=1))}"
        text += f", balanced {balanced(right, np.arange(len(kind))):.4f} {shown([balanced(right, d) for d in draws])}"
        text += f"; unread {(plain == kind).mean():.4f}"
        if first is not None:
            gap = first.astype(float) - right.astype(float)
            text += f"; the first is better by {gap.mean():.4f} {shown(gap[draws].mean(axis=1))}"
            text += f", balanced by {shown([balanced(first, d) - balanced(right, d) for d in draws])}"
        first = right if first is None else first
        print(text)


def shown(drawn: NDArray[np.float64] | list[float]) -> str:
    """Write a 95 % interval."""
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"[{low:.4f}, {high:.4f}]"


if __name__ == "__main__":
    main()
