"""Learning curves of heads (decision 25): accuracy for 50, 250 and 1,000 labels, in 5 folds, next to the model as is.

    python scripts/measure_heads.py LABELS.csv IMAGES [LABELS.csv IMAGES ...] > table.md

Each catalog is split into 5 folds; as many labels as the column says are drawn from the other four; a head fitted to
them is measured on the fold. The column "as is" is for the model in the package on the same folds, if it has classes
for the labels.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from galclass.config import PrepareConfig
from galclass.errors import TrainingError
from galclass.scoring import Scorer
from galclass.scoring.heads import fit_head
from galclass.scoring.logistic import stratified_folds
from galclass.tuning.labelled import read_labelled, score_labelled
from galclass.tuning.measure import classes_meant

COUNTS = (50, 250, 1000)


def curve(catalog: Path, images: Path) -> list[str]:
    scorer = Scorer()
    labelled = read_labelled(catalog, [images], PrepareConfig())
    found = [(one, said) for one, said in score_labelled(scorer, labelled.images) if said.error is None]
    labels = np.array([one.label for one, _ in found])
    embeddings = np.stack([said.embedding for _, said in found])
    names, codes = np.unique(labels, return_inverse=True)
    meant = [classes_meant(name, scorer.signature.classes) for name in names]
    right = np.array([said.predicted_class in meant[code] for (_, said), code in zip(found, codes, strict=True)])
    folds = stratified_folds(codes, 5, 0)
    cells = [_cell([fit(embeddings, labels, folds, fold, count) for fold in range(5)]) for count in COUNTS]
    as_it_is = _cell([right[folds == fold].mean() for fold in range(5)]) if all(meant) else "no such classes"
    commonest = np.bincount(codes).max() / len(codes)
    return [f"{catalog.stem} ({len(names)} classes, {len(labels):,})", f"{commonest:.3f}", as_it_is, *cells]


def fit(embeddings: np.ndarray, labels: np.ndarray, folds: np.ndarray, fold: int, count: int) -> float:
    others, own = np.flatnonzero(folds != fold), folds == fold
    if len(others) < count:
        return float("nan")
    drawn = np.random.default_rng([count, fold]).permutation(others)[:count]
    try:
        head = fit_head(embeddings[drawn], labels[drawn].tolist(), confidence=False)
    except TrainingError:  # a class that is too rare for so few labels
        return float("nan")
    return float((np.array(head.predict(embeddings[own])) == labels[own]).mean())


def _cell(values: list[float]) -> str:
    return "too few" if np.isnan(values).any() else f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


if __name__ == "__main__":
    head = ["labels", "most common class", "package as is", *(f"head, {count:,} labels" for count in COUNTS)]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for catalog, images in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        print("| " + " | ".join(curve(Path(catalog), Path(images))) + " |", flush=True)
