"""Measure a model against the goals: every figure with a 95 % interval, also next to another model's.

    GALCLASS_DATA=... GALCLASS_TABLES=... python scripts/measure_aims.py workspace/student --config configs/student.toml
        --model model.onnx [--beside old.onnx] [--output figures.json] [--scales 300]

Measured on the test split. Unselected galaxies (sources votes and votes_clean5) are weighted to
a random draw. `--beside` adds that model's figures and the paired difference, from the same resamples of galaxies.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bar_marks import BARRED, UNBARRED, ngc_rows
from measure_scales import SCALES, frame, measured, pictures_of
from measure_votes import GROUP_OF_LEAF, Measured, kinds_of, split_rows, unselected_rows
from numpy.typing import NDArray

from galclass.clean_samples import CLEAN_LABELS
from galclass.config import Config, load_config
from galclass.evaluate.labellings import THIRTEEN
from galclass.evaluate.reliability_checks import artifacts_found
from galclass.evaluate.unselected import COLUMNS, EIGHT, calibration_error, coverage_of, shares_of
from galclass.morphology import CLASSES
from galclass.prepare.store import Store
from galclass.scoring import Scorer
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA

FloatArray = NDArray[np.float64]
Figure = Callable[[NDArray[np.int64]], float]
RESAMPLES = 1000
ARTIFACT = CLASSES.index("A")


class Aims:
    """Figures of one model as functions of the galaxies drawn, by name; `counts` has the number of galaxies."""

    def __init__(self, store: Store, config: Config, model: Path, rows: NDArray[np.int64]) -> None:
        table = store.index.select(["label", "source"]).to_pydict()
        self.sources = np.array([table["source"][i] for i in rows])
        self.labels = [table["label"][i] for i in rows]
        self.model = Measured(store, config, model, rows)
        self.figures: dict[str, tuple[int, Figure]] = {}
        self.store, self.config, self.rows = store, config, rows
        self._unselected()
        self._clean()
        self._galaxy_zoo()
        self._hubble(store, rows)

    def _add(self, name: str, right: NDArray[Any], weights: FloatArray | None = None) -> None:
        values = np.asarray(right, dtype=np.float64)
        heavy = np.ones(len(values)) if weights is None else weights
        self.figures[name] = len(values), lambda drawn: float(np.average(values[drawn], weights=heavy[drawn]))

    def _add_balanced(self, name: str, right: NDArray[Any], kind: NDArray[np.int64]) -> None:
        kinds = np.unique(kind)

        def figure(drawn: NDArray[np.int64]) -> float:
            return float(np.mean([right[drawn][kind[drawn] == one].mean() for one in kinds if one in kind[drawn]]))

        self.figures[name] = len(kind), figure

    def _unselected(self) -> None:
        chosen, given, weights = unselected_rows(self.store, self.sources, self.rows, self.config)
        means, spread = self.model.means(chosen), self.model.concentration(chosen)
        predicted = shares_of(means)
        squares = (predicted - given) ** 2
        eight = squares[:, [COLUMNS.index(stem) for stem in EIGHT]].mean(1)
        self._add("smooth or featured", predicted[:, :3].argmax(1) == given[:, :3].argmax(1), weights)
        for name, values in (("RMSE of 8 fractions", eight), ("RMSE of 17 fractions", squares.mean(1))):
            self._add_root(name, values, weights)
        self.figures["calibration error of smooth"] = (
            len(given),
            lambda drawn: calibration_error(predicted[drawn, 0], given[drawn, 0], weights[drawn]),
        )
        flagged = self.model.flagged(chosen)
        if flagged is not None:
            self._add("flagged, unselected", flagged, weights)
        if spread is not None:
            inside = np.concatenate(list(coverage_of(given, means, spread, 45, 0).values()), axis=1)
            known, hits = ~np.isnan(inside) * weights[:, None], np.nan_to_num(inside) * weights[:, None]
            self.figures["90 % intervals hold"] = (
                len(given),
                lambda drawn: float(hits[drawn].sum() / known[drawn].sum()),
            )
        held = self.model.sets_hold(chosen, self.store.index.take(self.rows[chosen]))
        if held is not None:
            self._add("prediction sets hold", held, weights)

    def _add_root(self, name: str, values: FloatArray, weights: FloatArray) -> None:
        self.figures[name] = len(values), lambda d: float(np.sqrt(np.average(values[d], weights=weights[d])))

    def _clean(self) -> None:
        chosen = np.flatnonzero(self.sources == "clean5")
        natural = np.array([self.config.train.natural["clean5"][name] for name in CLEAN_LABELS], dtype=np.float64)
        true = np.array([CLEAN_LABELS.index(str(self.labels[i])) for i in chosen])
        right = self.model.clean_kinds(chosen, natural) == true
        seen = np.bincount(true, minlength=len(natural)) / len(true)
        self._add("clean-5", right)
        self._add("clean-5 at natural frequencies", right, (natural / natural.sum() / seen)[true])
        self._add_balanced("clean-5 balanced", right, true)
        self._add("clean-5 cigar-shaped", right[true == CLEAN_LABELS.index("cigar_shaped_smooth")])

    def _galaxy_zoo(self) -> None:
        chosen, true, predicted = kinds_of(self.model, self.labels, self.sources)
        self._add("Galaxy Zoo 1, three kinds", predicted == true)
        self._add_balanced("Galaxy Zoo 1, balanced", predicted == true, true)
        leaf = THIRTEEN.true_index(self.labels)
        rows = np.flatnonzero((self.sources == "gz2") & (leaf >= 0) & (leaf != ARTIFACT))
        found = self.model.walk(rows, self.model.outputs["vote_fractions"][:, :, 0].astype(np.float64))
        group = GROUP_OF_LEAF[found] == GROUP_OF_LEAF[leaf[rows]]
        self._add("gz2 debiased tree, 13 classes", found == leaf[rows])
        self._add("gz2 debiased tree, groups", group)
        self._add_balanced("gz2 debiased tree, groups balanced", group, GROUP_OF_LEAF[leaf[rows]])
        galaxies = np.isin(self.sources, ("votes", "votes_clean5"))
        judged = np.flatnonzero(galaxies | (leaf == ARTIFACT))
        p, is_artifact = self.model.probabilities[judged], (leaf == ARTIFACT)[judged]

        def share(drawn: NDArray[np.int64]) -> float:
            found = artifacts_found(p[drawn], is_artifact[drawn])
            return found.found if found else float("nan")

        self.figures["artifacts found at 2 %"] = len(judged), share

    def _hubble(self, store: Store, rows: NDArray[np.int64]) -> None:
        chosen = np.flatnonzero(self.sources == "ngc")
        if not len(chosen):
            return
        told = store.index.column("survey_class").take(rows[chosen]).to_pylist()
        means = self.model.means(np.arange(len(rows)))
        smooth = means["t01_smooth_or_features_a01_smooth"] >= means["t01_smooth_or_features_a02_features_or_disk"]
        known = np.array([i for i in chosen if self.labels[i] in ("elliptical", "spiral")])
        elliptical = np.array([self.labels[i] == "elliptical" for i in known])
        self._add("Hubble: spiral or elliptical", smooth[known] == elliptical)
        self._add_balanced("Hubble: spiral or elliptical, balanced", smooth[known] == elliptical, elliptical * 1)
        bars = self.model.bars()[chosen]
        names = [
            str(text).removeprefix("ngc-") for text in store.index.column("object_id").take(rows[chosen]).to_pylist()
        ]
        rows_of = {row["name"]: row for row in ngc_rows(Path(os.path.expandvars("${GALCLASS_DATA}")))}
        spiral = [rows_of[name]["coarse"] == "spiral" and bool(rows_of[name]["t_stage"]) for name in names]
        marks = [rows_of[name]["bar"] or "" for name in names]
        self._add_area("Hubble: bar B against none, AUC", bars, _which(spiral, marks, "B"), _which(spiral, marks, ""))
        known_bars = [str(text).rpartition(" ")[2] for text in told]
        barred, unbarred = (_which(spiral, known_bars, mark) for mark in (BARRED, UNBARRED))
        self._add_area("bars of EFIGI and Hoyle et al., AUC", bars, barred, unbarred)

    def _add_area(self, name: str, score: FloatArray, yes: NDArray[np.bool_], no: NDArray[np.bool_]) -> None:
        either = np.flatnonzero(yes | no)

        def area(drawn: NDArray[np.int64]) -> float:
            own = either[drawn]
            return auc(score[own], yes[own])

        self.figures[name] = len(either), area


def _which(spiral: list[bool], marks: list[str], mark: str) -> NDArray[np.bool_]:
    return np.array(spiral) & (np.array(marks) == mark)


def auc(score: FloatArray, positive: NDArray[np.bool_]) -> float:
    """Area under the curve: how often a positive has the larger score, ties counted as half."""
    from scipy.stats import rankdata

    ranks, count = rankdata(score), int(positive.sum())
    if not 0 < count < len(score):
        return float("nan")
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(score) - count)))


def compared(own: Aims, beside: Aims | None) -> dict[str, str]:
    """Return every figure with its interval; with another model also that one's and the paired difference."""
    lines = {}
    for name, (count, figure) in own.figures.items():
        draws = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
        everyone = np.arange(count)
        values = np.array([figure(drawn) for drawn in draws])
        text = f"n = {count}: {shown(figure(everyone), values)}"
        if beside is not None and name in beside.figures and beside.figures[name][0] == count:
            other = beside.figures[name][1]
            others = np.array([other(drawn) for drawn in draws])
            text += f"; beside {shown(other(everyone), others)}"
            text += f"; difference {shown(figure(everyone) - other(everyone), values - others)}"
        lines[name] = text
    return lines


def shown(value: float, drawn: FloatArray) -> str:
    """Write a figure with its interval."""
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return f"{value:.4f} [{low:.4f}, {high:.4f}]"


def other_framings(model: Path | None, data: Path) -> dict[str, str]:
    """Return the share of files of other framings and surveys that are flagged, scored as a user's files are."""
    scorer, found = Scorer(model), {}
    for name in ("ngc_hubble", "decals"):
        files = sorted((data / name / "images").iterdir())[:400]
        predictions = [one for one in scorer.score([path.read_bytes() for path in files]) if one.probabilities]
        flagged = np.mean([UNLIKE_TRAINING_DATA in one.flags for one in predictions])
        found[f"{name}, whole files"] = f"{flagged:.3f} of {len(predictions)}"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="holds prepared/")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="an ONNX file with a signature")
    parser.add_argument("--beside", type=Path, help="another one, for paired differences")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, help="at most so many rows a source")
    parser.add_argument("--scales", type=int, default=300, help="unselected galaxies to rescale; 0: none")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    config, store = load_config(options.config), Store.open(options.workspace / "prepared")
    rows = split_rows(store, options.split, options.limit)
    own = Aims(store, config, options.model, rows)
    beside = Aims(store, config, options.beside, rows) if options.beside else None
    figures: dict[str, Any] = {"model": str(options.model), "split": options.split, "aims": compared(own, beside)}
    models = {"own": options.model} | ({"beside": options.beside} if options.beside else {})
    if options.scales:
        voted = [int(rows[i]) for i in np.flatnonzero(np.isin(own.sources, ("votes", "votes_clean5")))]
        pictures = pictures_of(store, config, voted[: options.scales])
        frames = {scale: [frame(one, scale) for one in pictures] for scale in SCALES}
        for name, model in models.items():
            scorer = Scorer(model)
            figures[f"scales, {name}"] = measured(
                {scale: scorer.score(files) for scale, files in frames.items()}, scorer, frames[1.0]
            )
    data = Path(os.path.expandvars("${GALCLASS_DATA}"))
    for name, model in models.items():
        figures[f"flagged, {name}"] = other_framings(model, data)
    text = json.dumps(figures, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
