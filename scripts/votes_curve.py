"""What more votes bring: a linear head on a model's frozen embeddings, trained on more and more galaxies with votes.

    python scripts/votes_curve.py workspace/student --config configs/student.toml --model galaxy.onnx

Ridge regression of the 17 shares on the embedding, its strength chosen on the validation split; measured on the test
split, weighted to a random draw. It shows how votes help a head on fixed features: a network that learns from
them gains more. Only a model that was never trained on these votes yields an unbiased curve.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from measure_votes import Measured, split_rows, unselected_rows
from numpy.typing import NDArray

from galclass.config import load_config
from galclass.evaluate.unselected import COLUMNS, EIGHT
from galclass.prepare.store import Store

SIZES = (250, 500, 1000, 2000)
SEEDS = 5
STRENGTHS = tuple(10.0**power for power in range(-1, 5))
SOURCES = ["votes", "votes_clean5"]
FloatArray = NDArray[np.float64]


def ridge(x: FloatArray, y: FloatArray, weights: FloatArray, strength: float) -> FloatArray:
    """Return coefficients, the last row the intercept, which is not shrunk."""
    wide = np.column_stack([x, np.ones(len(x))])
    penalty = np.diag([strength] * x.shape[1] + [0.0])
    found: FloatArray = np.linalg.solve((wide * weights[:, None]).T @ wide + penalty, (wide * weights[:, None]).T @ y)
    return found


def predicted(x: FloatArray, coefficients: FloatArray) -> FloatArray:
    """Return shares, kept in [0, 1]."""
    return np.clip(np.column_stack([x, np.ones(len(x))]) @ coefficients, 0, 1)


def error(given: FloatArray, found: FloatArray, weights: FloatArray) -> float:
    """Root mean square error over the eight fractions."""
    eight = [COLUMNS.index(stem) for stem in EIGHT]
    return float(np.sqrt(np.average(((given - found) ** 2)[:, eight].mean(axis=1), weights=weights)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="holds prepared/")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    config, store = load_config(options.config), Store.open(options.workspace / "prepared")
    parts = {}
    for split in ("train", "validation", "test"):
        rows = split_rows(store, split, None, SOURCES)
        sources = np.array(store.index.column("source").take(rows).to_pylist())
        chosen, given, weights = unselected_rows(store, sources, rows, config)
        embedding = Measured(store, config, options.model, rows).outputs["embedding"][chosen].astype(np.float64)
        parts[split] = embedding, given, weights
    mean, spread = parts["train"][0].mean(axis=0), parts["train"][0].std(axis=0) + 1e-9
    x, y, w = {}, {}, {}
    for split, (embedding, given, weights) in parts.items():
        x[split], y[split], w[split] = (embedding - mean) / spread, given, weights
    count = len(x["train"])
    for size in (*(size for size in SIZES if size < count), count):
        errors, right = [], []
        for seed in range(SEEDS if size < count else 1):
            own = np.random.default_rng(seed).choice(count, size, replace=False)
            fits = [ridge(x["train"][own], y["train"][own], w["train"][own], strength) for strength in STRENGTHS]
            scores = [error(y["validation"], predicted(x["validation"], fit), w["validation"]) for fit in fits]
            found = predicted(x["test"], fits[int(np.argmin(scores))])
            errors.append(error(y["test"], found, w["test"]))
            same = found[:, :3].argmax(axis=1) == y["test"][:, :3].argmax(axis=1)
            right.append(float(np.average(same, weights=w["test"])))
        print(
            f"{size:5} galaxies: RMSE of 8 fractions {np.mean(errors):.4f} +- {np.std(errors):.4f},"
            f" first answer {np.mean(right):.3f} +- {np.std(right):.3f}, {len(errors)} draws"
        )


if __name__ == "__main__":
    main()
