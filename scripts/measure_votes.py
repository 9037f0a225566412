"""Measure a model on a split of configs/teacher.toml: unselected votes, clean samples, Galaxy Zoo 1, gz2, artifacts.

    GALCLASS_DATA=... python scripts/measure_votes.py workspace/teacher --config configs/teacher.toml --model model.onnx
        [--split test] [--limit 200] [--output figures.json]

Cutouts are those of the store, or made from the sources' files if the model needs another size. A model without raw
votes is measured by sums of its class probabilities, and for the rest of the 17 columns by its vote fractions.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from galclass.catalog.raw_counts import VOTERS, raw_counts
from galclass.clean_samples import CLEAN_LABELS
from galclass.config import Config, load_config
from galclass.cutouts import CutoutParameters
from galclass.cutouts.extract import cutout
from galclass.evaluate.labellings import FOUR, THIRTEEN
from galclass.evaluate.metrics import classification, natural_accuracy
from galclass.evaluate.reliability_checks import artifacts_found
from galclass.evaluate.unselected import COLUMNS, clean_stratum, draw_weights, measure_unselected
from galclass.evaluate.vote_likelihood import vote_likelihoods
from galclass.morphology import CLASSES, COARSE_LABELS, GROUPS, QUESTIONS, gz2_class_from_fractions, parse_gz2_class
from galclass.prepare.store import Store
from galclass.scoring.confidence import Distance, prediction_set
from galclass.scoring.session import open_session, read_signature
from galclass.scoring.walk import VoteWalk, walk
from galclass.train.events import clean_probabilities

KAGGLE_GALAXIES = 61_578
RESAMPLES = 2000
CHUNK = 64
STEMS = tuple(stem for question in QUESTIONS.values() for stem in question.columns)
ARTIFACT = CLASSES.index("A")
SMOOTH, EDGE_ON = GROUPS["Elliptical"], ("Se",)
KINDS = ("elliptical", "edge_on", "spiral")
GROUP_OF_LEAF = FOUR.matrix.argmax(axis=1)


class Measured:
    """A model's predictions for the rows of a split."""

    def __init__(self, store: Store, config: Config, model: Path, rows: NDArray[np.int64]) -> None:
        session = open_session(model.read_bytes(), where=str(model))
        signature = read_signature(session, where=str(model))
        parameters = CutoutParameters(signature.size_px, signature.crop_fraction)
        self.signature = signature
        names = [output.name for output in session.graph.get_outputs()]
        files = pq.read_table(store.folder / "places.parquet", columns=["source", "file"]).to_pydict()
        own = store.index["row"].to_numpy()[rows]
        sources = {source.name: source for source in config.prepare.sources}
        parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
        is_prepared = store.parameters.sha256 == signature.preprocessing_sha256

        def made(row: int) -> NDArray[np.uint8]:
            source = sources[files["source"][row]]
            path = Path(os.path.expandvars(source.images)) / files["file"][row]
            return cutout(path.read_bytes(), parameters, frame_px=source.frame_px)

        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            pictures = store.central(rows[part]) if is_prepared else np.stack([made(row) for row in own[part]])
            planes = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
            for name, values in zip(names, session.run(names, planes), strict=True):
                parts[name].append(values)
        self.outputs = {name: np.concatenate(values) for name, values in parts.items()}
        self.probabilities: NDArray[np.float64] = self.outputs["probabilities"].astype(np.float64)

    @property
    def has_raw(self) -> bool:
        """Whether the model predicts raw votes."""
        return "raw_votes" in self.outputs

    def means(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Return the mean raw fraction of each answer among those asked."""
        if self.has_raw:
            return dict(zip(STEMS, self.outputs["raw_votes"][rows].T.astype(np.float64), strict=True))
        means = dict(zip(STEMS, self.outputs["vote_fractions"][rows, :, 0].T.astype(np.float64), strict=True))
        p = self.probabilities[rows]

        def ratio(leaves: tuple[str, ...], of: tuple[str, ...]) -> NDArray[np.float64]:
            top, bottom = (p[:, [CLASSES.index(leaf) for leaf in group]].sum(1) for group in (leaves, of))
            return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)

        disks = (*EDGE_ON, *COARSE_LABELS["spiral"])
        ways = {
            "t01_smooth_or_features": (SMOOTH, disks, ("A",)),
            "t02_edgeon": (EDGE_ON, COARSE_LABELS["spiral"]),
            "t07_rounded": tuple((leaf,) for leaf in SMOOTH),
        }
        reached = {"t01_smooth_or_features": CLASSES, "t02_edgeon": disks, "t07_rounded": SMOOTH}
        for name, leaves in ways.items():
            for stem, group in zip(QUESTIONS[name].columns, leaves, strict=True):
                means[stem] = ratio(group, reached[name])
        return means

    def concentration(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]] | None:
        """Return each question's concentration; None where the model has none."""
        if not self.has_raw:
            return None
        return dict(zip(QUESTIONS, self.outputs["raw_concentrations"][rows].T.astype(np.float64), strict=True))

    def walk(self, rows: NDArray[np.int64], fractions: NDArray[np.float64]) -> NDArray[np.int64]:
        """Walk down the tree by the largest of each question's fractions, (n, 37) -> class positions."""
        found = []
        for row in fractions[rows]:
            text = gz2_class_from_fractions(dict(zip(STEMS, row.tolist(), strict=True)))
            found.append(CLASSES.index(parse_gz2_class(text).leaf))
        return np.array(found, dtype=np.int64)

    def flagged(self, rows: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Tell which rows are unlike the training data; None where the model has no flag."""
        unlike = self.signature.unlike
        return None if unlike is None else Distance(unlike).above(self.outputs["embedding"][rows])

    def classes(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the predicted classes: positions in `CLASSES`."""
        raw = self.outputs.get("raw_votes")
        return walk(self.outputs["probabilities"][rows]) if raw is None else VoteWalk(STEMS).classes(raw[rows])

    def sets_hold(self, rows: NDArray[np.int64], index: pa.Table) -> NDArray[np.bool_] | None:
        """Tell whether each prediction set holds a class that the raw votes leave open; None without sets."""
        sets = self.signature.conformal
        if sets is None:
            return None
        is_open = VoteWalk(STEMS).open_classes(raw_counts(index))
        pairs = zip(self.outputs["probabilities"][rows], self.classes(rows), strict=True)
        answers = [prediction_set(p, sets, CLASSES[leaf]) for p, leaf in pairs]
        held = np.array([[name in answer for name in CLASSES] for answer in answers])
        found: NDArray[np.bool_] = (held & is_open).any(axis=1)
        return found

    def bars(self) -> NDArray[np.float64]:
        """Return the fraction of face-on galaxies' votes for a bar, (n,)."""
        if self.has_raw:
            return self.outputs["raw_votes"][:, STEMS.index("t03_bar_a06_bar")].astype(np.float64)
        barred, spiral = (
            self.probabilities[:, [CLASSES.index(leaf) for leaf in leaves]].sum(1)
            for leaves in (GROUPS["BarredSpiral"], COARSE_LABELS["spiral"])
        )
        return np.divide(barred, spiral, out=np.zeros_like(barred), where=spiral > 0)

    def clean_kinds(self, rows: NDArray[np.int64], natural: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the most probable clean kind; where raw votes are predicted, given that the galaxy is clean."""
        if not self.has_raw:
            kinds = [COARSE_LABELS[name] for name in CLEAN_LABELS]
            sums = [self.probabilities[rows][:, [CLASSES.index(leaf) for leaf in kind]].sum(1) for kind in kinds]
            return np.stack(sums, 1).argmax(1)
        means, spread = self.means(rows), self.concentration(rows)
        assert spread is not None
        alphas = {
            name: torch.from_numpy(np.stack([means[stem] * spread[name] for stem in question.columns], 1))
            for name, question in QUESTIONS.items()
        }
        return clean_probabilities(alphas).numpy().argmax(1)


def unselected_rows(
    store: Store, sources: NDArray[np.str_], rows: NDArray[np.int64], config: Config
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return positions of the rows with raw votes of unselected galaxies, their 17 shares, and weights of a draw."""
    chosen = np.flatnonzero(np.isin(sources, ("votes", "votes_clean5")))
    counts = raw_counts(store.index.take(rows[chosen]))
    given = counts[:, [STEMS.index(stem) for stem in COLUMNS]].astype(np.float64) / VOTERS
    weights = draw_weights(clean_stratum(given), config.train.natural["clean5"], KAGGLE_GALAXIES)
    return chosen, given, weights


def unselected(
    model: Measured, store: Store, sources: NDArray[np.str_], rows: NDArray[np.int64], config: Config
) -> Any:
    """Measure the rows with raw votes of unselected galaxies."""
    chosen, given, weights = unselected_rows(store, sources, rows, config)
    means, spread = model.means(chosen), model.concentration(chosen)
    found = dataclasses.asdict(measure_unselected(given, means, spread, weights, voters=VOTERS))
    if spread is not None:
        found["log_likelihood"] = dataclasses.asdict(vote_likelihoods(given, means, spread, weights, voters=VOTERS))
    return found


def clean(model: Measured, labels: list[str | None], sources: NDArray[np.str_], config: Config) -> dict[str, str]:
    """Measure the clean samples, unweighted and at natural frequencies."""
    chosen = np.flatnonzero(sources == "clean5")
    natural = np.array([config.train.natural["clean5"][name] for name in CLEAN_LABELS])
    true = np.array([CLEAN_LABELS.index(str(labels[i])) for i in chosen])
    table = classification(true, model.clean_kinds(chosen, natural), CLEAN_LABELS, resamples=RESAMPLES, seed=0)
    weighted = natural_accuracy(table.confusion, natural, resamples=RESAMPLES, seed=0)
    cigar = 1 - table.class_error[CLEAN_LABELS.index("cigar_shaped_smooth")]
    return {
        "galaxies": str(table.count),
        "accuracy": str(table.accuracy),
        "natural": str(weighted),
        "balanced": str(table.balanced_accuracy),
        "cigar_shaped": f"{cigar:.3f}",
    }


def others(model: Measured, labels: list[str | None], sources: NDArray[np.str_]) -> dict[str, str]:
    """Measure Galaxy Zoo 1 (three kinds), gz2 down the debiased tree, and artifacts."""
    found = {}
    _, kind, predicted = kinds_of(model, labels, sources)
    table = classification(kind, predicted, KINDS, resamples=RESAMPLES, seed=0)
    found["gz1"] = f"n = {table.count}, {table.accuracy}, balanced {table.balanced_accuracy}"
    true = THIRTEEN.true_index(labels)
    chosen = (sources == "gz2") & (true >= 0) & (true != ARTIFACT)
    rows = np.flatnonzero(chosen)
    leaf = model.walk(rows, model.outputs["vote_fractions"][:, :, 0].astype(np.float64))
    fine = classification(true[rows], leaf, THIRTEEN.names, resamples=RESAMPLES, seed=0)
    groups = classification(GROUP_OF_LEAF[true[rows]], GROUP_OF_LEAF[leaf], FOUR.names, resamples=RESAMPLES, seed=0)
    found["gz2"] = f"n = {fine.count}, 13 classes {fine.accuracy}; groups {groups.accuracy}, balanced "
    found["gz2"] += str(groups.balanced_accuracy)
    artifact = true == ARTIFACT
    galaxies = np.isin(sources, ("votes", "votes_clean5"))
    judged = artifact | galaxies
    some = artifacts_found(model.probabilities[judged], artifact[judged])
    if some is not None:
        found["artifacts"] = f"{some.found:.3f} of {some.artifacts}, at {some.false_alarms:.3f} of {some.galaxies}"
    return found


def kinds_of(
    model: Measured, labels: list[str | None], sources: NDArray[np.str_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of Galaxy Zoo 1 with one of three kinds, that kind, and the predicted one."""
    kinds = (SMOOTH, EDGE_ON, COARSE_LABELS["spiral"])
    sums = np.stack([model.probabilities[:, [CLASSES.index(leaf) for leaf in kind]].sum(1) for kind in kinds], 1)
    kind_of = np.array([KINDS.index(_coarse(label)) if _coarse(label) in KINDS else -1 for label in labels])
    chosen = np.flatnonzero((sources == "gz1") & (kind_of >= 0))
    return chosen, kind_of[chosen], sums[chosen].argmax(1)


def split_rows(store: Store, split: str, limit: int | None, only: list[str] | None = None) -> NDArray[np.int64]:
    """Return the index rows of a split, source by source; sources without votes or labels to measure are left out."""
    table = store.index.select(["split", "source"]).to_pydict()
    pairs = list(zip(table["split"], table["source"], strict=True))
    rows: list[int] = []
    for name in sorted(set(table["source"]) - {"weak"}):
        own = [i for i, pair in enumerate(pairs) if pair == (split, name)]
        rows += own[:limit] if only is None or name in only else []
    return np.array(rows, dtype=np.int64)


def _coarse(label: str | None) -> str:
    text = str(label)
    return "spiral" if text.startswith("spiral_") else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="holds prepared/")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="an ONNX file with a signature")
    parser.add_argument("--split", default="test")
    parser.add_argument("--sources", nargs="*", help="only these")
    parser.add_argument("--limit", type=int, help="at most so many rows a source")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    config, store = load_config(options.config), Store.open(options.workspace / "prepared")
    table = store.index.select(["label", "source"]).to_pydict()
    chosen = split_rows(store, options.split, options.limit, options.sources)
    rows = chosen.tolist()
    model = Measured(store, config, options.model, chosen)
    sources, labels = np.array([table["source"][i] for i in rows]), [table["label"][i] for i in rows]
    figures: dict[str, Any] = {"model": str(options.model), "split": options.split}
    if np.isin(sources, ("votes", "votes_clean5")).any():
        figures["unselected"] = _plain(unselected(model, store, sources, chosen, config))
    if (sources == "clean5").any():
        figures["clean5"] = clean(model, labels, sources, config)
    if options.sources is None:
        figures |= others(model, labels, sources)
    text = json.dumps(figures, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return float(f"{value:.4f}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
