"""What more labels would bring: accuracy against the number of labels, on a model that saw none of the source.

    python scripts/learning_curve.py cross/fold_0/model.onnx workspace/shipped/prepared --source gz2

The model comes from `cross_validate.py --sources SOURCE --share 0 --folds 1`. Its embeddings are kept; a multinomial
logistic regression for the classes and a ridge regression for the debiased smooth fraction learn from more and more
galaxies, five folds, several draws each, the penalty chosen inside the training galaxies. Last, error = a + b n^-c is
fitted and extrapolated.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from galclass.evaluate.labellings import FOUR
from galclass.morphology import CLASSES
from galclass.scoring import Scorer
from galclass.train.dataset import TrainingData, open_training_data

FOLDS = 5
PENALTIES = [1e-4, 1e-3, 1e-2, 1e-1]
GROUP_OF_LEAF = FOUR.matrix.argmax(axis=1)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def embeddings(data: TrainingData, rows: IntArray, model: Path) -> FloatArray:
    """Embed central cutouts, (n, d)."""
    scorer = Scorer(model)
    parts = [scorer.score_cutouts(data.store.central(rows[at : at + 256])).embedding for at in range(0, len(rows), 256)]
    return np.concatenate(parts).astype(np.float64)


def fitted(known: FloatArray, labels: IntArray) -> GridSearchCV:
    """Fit the classes, with the penalty that is best within these galaxies."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    return GridSearchCV(model, {"logisticregression__C": PENALTIES}, cv=3, scoring="accuracy").fit(known, labels)


def errors(vectors: FloatArray, true: IntArray, smooth: FloatArray, train: IntArray, held_out: IntArray) -> FloatArray:
    """Return three errors on the held-out galaxies: of classes, of groups, and the RMSE of the smooth fraction."""
    model = fitted(vectors[train], true[train])
    probabilities = np.zeros((len(held_out), len(CLASSES)))
    probabilities[:, model.classes_] = model.predict_proba(vectors[held_out])
    leaf, group = probabilities.argmax(axis=1), FOUR.sum_probabilities(probabilities).argmax(axis=1)
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 9))).fit(vectors[train], smooth[train])
    residual = ridge.predict(vectors[held_out]).clip(0, 1) - smooth[held_out]
    wrong = (leaf != true[held_out]).mean(), (group != GROUP_OF_LEAF[true[held_out]]).mean()
    return np.array([*wrong, np.sqrt((residual**2).mean())])


def curve(
    vectors: FloatArray, true: IntArray, smooth: FloatArray, sizes: list[int], draws: int, seed: int
) -> dict[int, FloatArray]:
    """Return the errors for each number of labels: (draws, 3), each the mean over the folds."""
    rng, found = np.random.default_rng(seed), {}
    for size in sizes:
        of_draws = []
        for draw in range(draws):
            folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed + draw).split(vectors, true)
            chosen = [(rng.permutation(train)[:size], held_out) for train, held_out in folds]
            of_draws.append(np.mean([errors(vectors, true, smooth, *each) for each in chosen], axis=0))
        found[size] = np.array(of_draws)
    return found


def carried_on(sizes: list[int], values: FloatArray, to: list[int]) -> str:
    """Fit a + b n^-c and return it at larger numbers; a fit over one decade is only a hint."""

    def law(n: FloatArray, floor: float, factor: float, power: float) -> FloatArray:
        return floor + factor * n**-power

    bounds = ([0.0, 0.0, 0.1], [1.0, 10.0, 2.0])
    (floor, factor, power), _ = curve_fit(law, np.array(sizes, float), values, p0=(0.2, 1.0, 0.5), bounds=bounds)
    ahead = ", ".join(f"{law(np.array(float(n)), floor, factor, power):.3f} at {n:,}" for n in to)
    return f"{ahead}; never below {floor:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--source", required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[35, 70, 140, 280, 560])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", OptimizeWarning)
    warnings.filterwarnings("ignore", "The least populated class", UserWarning)
    data = open_training_data(options.prepared)
    single = (data.leaves.sum(1) == 1) & data.has_votes & ~data.leaves[:, CLASSES.index("A")]
    rows = np.flatnonzero(single & np.array([source == options.source for source in data.source]))
    if not len(rows):
        parser.error(f"no object of {options.source} has one class and debiased votes")
    most = len(rows) * (FOLDS - 1) // FOLDS
    if max(options.sizes) > most:
        parser.error(f"--sizes: a fold leaves {most} of {len(rows)} galaxies to learn from, not {max(options.sizes)}")
    true, smooth = data.leaves[rows].argmax(1), data.votes[rows, 0].astype(np.float64)
    found = curve(embeddings(data, rows, options.model), true, smooth, options.sizes, options.draws, options.seed)
    print(f"{len(rows)} galaxies of {options.source}; mean and deviation over {options.draws} draws of {FOLDS} folds")
    for size, values in found.items():
        mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
        classes, groups = (f"{1 - mean[k]:.3f} ± {spread[k]:.3f}" for k in (0, 1))
        print(
            f"{size:5d} labels: 13 classes {classes}, groups {groups}, smooth fraction {mean[2]:.3f} ± {spread[2]:.3f}"
        )
    for column, name in enumerate(("error of 13 classes", "error of groups", "error of the smooth fraction")):
        means = np.array([values[:, column].mean() for values in found.values()])
        print(f"{name}, carried on: {carried_on(options.sizes, means, [2_000, 10_000, 100_000])}")


if __name__ == "__main__":
    main()
