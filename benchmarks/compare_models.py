"""Two models on the same held-out objects: accuracy, paired bootstrap, milliseconds. One run.

    python benchmarks/compare_models.py A.onnx B.onnx --prepared workspace/shipped/prepared [--source clean5]

Both score the test split of the prepared store; labels coarser than a class are scored by summed probabilities. The
p-value is the share of 10,000 paired resamples of the objects in which A is not better than B. Milliseconds are for a
complete prediction of one 424 px JPEG (decode included), one thread, median, alternating.
"""

from __future__ import annotations

import argparse
import statistics
import time
import zipfile
from pathlib import Path

import numpy as np

from galclass.evaluate import THIRTEEN, coarse_labelling
from galclass.prepare.store import Store
from galclass.scoring import Scorer

ROOT = Path(__file__).resolve().parent.parent
RESAMPLES = 10_000


def right_answers(scorer: Scorer, store: Store, source: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each object of the source is predicted correctly, and its true label: bool (n,), int (n,)."""
    index = store.index.select(["label", "split", "source"]).to_pydict()
    rows = [i for i, name in enumerate(index["split"]) if name == split and index["source"][i] == source]
    labels = [index["label"][i] for i in rows]
    labelling = coarse_labelling(source, labels) or THIRTEEN
    true = labelling.true_index(labels)
    answers = []
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        answers += scorer.predict_cutouts(store.central(part), object_ids=[str(row) for row in part])
    probabilities = np.array([answer.probabilities for answer in answers])
    right = labelling.sum_probabilities(probabilities).argmax(axis=1) == true
    return right[true >= 0], true[true >= 0]


def milliseconds(scorers: dict[str, Scorer], rounds: int = 200) -> dict[str, float]:
    with zipfile.ZipFile(ROOT / "data/sample/images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:50]
        files = [archive.read(name) for name in names]
    seconds: dict[str, list[float]] = {name: [] for name in scorers}
    for k in range(rounds):
        for name, scorer in scorers.items():
            begin = time.perf_counter()
            scorer.score([files[k % len(files)]])
            seconds[name].append(time.perf_counter() - begin)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def balanced(right: np.ndarray, true: np.ndarray) -> float:
    return float(np.mean([right[true == label].mean() for label in np.unique(true)]))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("models", type=Path, nargs=2, metavar="MODEL")
    options.add_argument("--prepared", type=Path, required=True)
    options.add_argument("--source", default="clean5")
    options.add_argument("--split", default="test")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    store = Store.open(chosen.prepared)
    scorers = {str(path): Scorer(path) for path in chosen.models}
    found = {name: right_answers(scorer, store, chosen.source, chosen.split) for name, scorer in scorers.items()}
    took = milliseconds(scorers)
    for name, (right, true) in found.items():
        print(
            f"{name}: accuracy {right.mean():.4f}, balanced {balanced(right, true):.4f}, {took[name]:.2f} ms an image"
        )
    (right_a, true), (right_b, _) = found.values()
    gain = right_a.astype(float) - right_b
    drawn = np.random.default_rng(chosen.seed).integers(0, len(gain), (RESAMPLES, len(gain)))
    gains = np.array([gain[rows].mean() for rows in drawn])
    low, high = np.quantile(gains, (0.025, 0.975))
    print(f"{chosen.source}, {chosen.split}, n = {len(true)}: A - B = {gain.mean():+.4f} [{low:+.4f}, {high:+.4f}]")
    print(f"only A right {int((gain > 0).sum())}, only B right {int((gain < 0).sum())}; p = {(gains <= 0).mean():.4f}")


if __name__ == "__main__":
    main()
