"""Cross-validate the classes, vote fractions and artifacts of small sources, with the other sources' help or without.

    python scripts/cross_validate.py workspace/shipped --config configs/format1.toml --sources gz2 artifacts
        [--folds 5] [--fold 0 ...] [--share 1.0] [--alone] [--set train.num_epochs=14] --output cross/

Each object of the named sources is held out once; which fold it is in follows from seed, label and object id. The other
sources keep their splits. `--alone` trains on the named sources only, `--share` on a part of their training rows (0: on
none). Each fold writes a model to the output folder and is not repeated, so that several processes may share the
folds (`--fold`). Once all folds are done, the figures over all held-out objects are printed.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from galclass.config import Config, load_config
from galclass.evaluate.labellings import FOUR, THIRTEEN
from galclass.evaluate.metrics import classification
from galclass.evaluate.reliability_checks import artifacts_found, calibration
from galclass.evaluate.tables import Evaluated, as_surveys_label
from galclass.evaluate.votes import SMOOTH, classes_from_votes
from galclass.morphology import CLASSES, leaves_of
from galclass.scoring import Prediction, Scorer
from galclass.train.calibrated import calibrated_model
from galclass.train.checkpoint import save_checkpoint
from galclass.train.dataset import TrainingData, open_training_data, require_trainable
from galclass.train.device import prepared_machine
from galclass.train.export import export_onnx
from galclass.train.inference import network_outputs, softmax
from galclass.train.progress import Reporter
from galclass.train.trainer import Trainer

VALIDATION_OF = 7
"""One in so many of the rows that are not held out is for validation."""
RESAMPLES = 2000
ARTIFACT = CLASSES.index("A")
GROUP_OF_LEAF = FOUR.matrix.argmax(axis=1)


def folds_of(data: TrainingData, sources: list[str], folds: int, seed: int) -> dict[int, tuple[int, int]]:
    """Return fold and position in it for each index row of the sources; every fold has its share of each label."""

    def order(row: int) -> tuple[str, str, str]:
        digest = hashlib.sha256(f"{seed}:{data.object_id[row]}".encode()).hexdigest()
        return data.source[row], data.label[row], digest

    rows = sorted((row for row, source in enumerate(data.source) if source in sources), key=order)
    return {row: (place % folds, place // folds) for place, row in enumerate(rows)}


def split_for(data: TrainingData, places: dict[int, tuple[int, int]], fold: int, options: Any) -> TrainingData:
    """Return the data with the splits of one fold; rows that are left out are of the split ""."""
    split = ["" if options.alone and name != "test" else name for name in data.split]
    for row, (own, place) in places.items():
        if own == fold:
            split[row] = "test"
        elif place % VALIDATION_OF == 0:
            split[row] = "validation"
        else:
            used = (place * 0.6180339887) % 1 < options.share
            split[row] = "train" if used else ""
        if options.share == 0:
            split[row] = "test"
    return replace(data, split=tuple(split))


def train_fold(data: TrainingData, config: Config, folder: Path) -> None:
    """Train on a fold's split; write model.onnx, checkpoint.pt and the debiased head's predictions."""
    folder.mkdir(parents=True, exist_ok=True)
    require_trainable(data, str(folder))
    with prepared_machine(config.train) as workers:
        trainer, reporter = Trainer(data, config.train, seed=config.seed, workers=workers), Reporter(shown=True)
        with reporter.run(trainer):
            while not trainer.finished:
                reporter.iteration(trainer.run_iteration(reporter.step))
        module, signature = calibrated_model(trainer, config)
        held_out = data.indices("test")
        _, _, embedding = network_outputs(trainer.best, data, held_out, trainer)
        learned = {data.source[row] for row in data.indices("train")} & set(config.train.debiased_sources)
        head = trainer.best.debiased if learned else None
        with torch.no_grad():
            vectors = torch.from_numpy(embedding).to(trainer.device)
            debiased = softmax(head(vectors).cpu().numpy()) if head is not None else np.empty((0, 13))
    np.savez(folder / "debiased.npz", rows=held_out, probabilities=debiased)
    observed = None if trainer.observation is None else trainer.observation.state_dict()
    save_checkpoint(folder / "checkpoint.pt", {"best": trainer.best.state_dict(), "observation": observed})
    export_onnx(module, signature, folder / "model.onnx")


def score_fold(data: TrainingData, sources: list[str], folder: Path) -> dict[str, Any]:
    """Score what a fold held out; arrays along its galaxies of one class each, None if the model has no such output.

    Artifacts are looked for among the test galaxies of the other sources.
    """
    scorer, kept = Scorer(folder / "model.onnx"), np.load(folder / "debiased.npz")
    evaluated = _scored(data, scorer, kept["rows"])
    true = THIRTEEN.true_index(evaluated.labels)
    artifact = true == ARTIFACT
    named = np.array([source in sources for source in evaluated.sources])
    fine = named & (true >= 0) & ~artifact
    galaxies = [evaluated.predictions[i] for i in np.flatnonzero(fine)]
    has_votes = bool(galaxies[0].vote_fractions)
    seen = as_surveys_label(_part(evaluated, fine), scorer.signature.trained.get("observations", ()))
    through = [survey.probabilities for survey in seen if survey.names == THIRTEEN.names]
    through = through if sum(map(len, through)) == fine.sum() else []  # a matrix for some of the sources is none
    judged = artifact | (~named & np.array([bool(label and leaves_of(label)) for label in evaluated.labels]))
    return {
        "true": true[fine],
        "sum": evaluated.probabilities[fine],
        "matrix": np.concatenate(through) if len(through) == 1 else None,
        "debiased": kept["probabilities"][fine] if len(kept["probabilities"]) else None,
        "votes": classes_from_votes(galaxies) if has_votes else None,
        "smooth_error": _smooth_errors(data, evaluated.rows[fine], galaxies) if has_votes else None,
        "artifacts": artifacts_found(evaluated.probabilities[judged], artifact[judged]),
    }


def _part(whole: Evaluated, chosen: NDArray[np.bool_]) -> Evaluated:
    places = np.flatnonzero(chosen)
    labels, sources, predictions = (
        [values[i] for i in places] for values in (whole.labels, whole.sources, whole.predictions)
    )
    return Evaluated(whole.rows[chosen], labels, sources, predictions)  # type: ignore[arg-type]  # of three kinds


def _smooth_errors(data: TrainingData, rows: NDArray[np.int64], galaxies: list[Prediction]) -> NDArray[np.float64]:
    published = data.store.index[f"{SMOOTH}_debiased"].take(rows).to_numpy().astype(np.float64)
    errors: NDArray[np.float64] = np.array([galaxy.vote_fractions[SMOOTH][0] for galaxy in galaxies]) - published
    return errors


def _scored(data: TrainingData, scorer: Scorer, rows: NDArray[np.int64]) -> Evaluated:
    predictions = []
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        predictions += scorer.predict_cutouts(
            data.store.central(part), object_ids=[data.object_id[row] for row in part]
        )
    return Evaluated(rows, [data.label[row] for row in rows], [data.source[row] for row in rows], predictions)


def classes_line(name: str, true: NDArray[np.int64], leaf: NDArray[np.int64], group: NDArray[np.int64]) -> str:
    """One line of figures: the 13 classes and the groups."""
    fine = classification(true, leaf, THIRTEEN.names, resamples=RESAMPLES, seed=0)
    coarse = classification(GROUP_OF_LEAF[true], group, FOUR.names, resamples=RESAMPLES, seed=0)
    return (
        f"{name:28s} 13 classes {fine.accuracy}, balanced {fine.balanced_accuracy}"
        f"; groups {coarse.accuracy}, balanced {coarse.balanced_accuracy}"
    )


def report(found: list[dict[str, Any]]) -> str:
    """Return the figures over all folds."""
    together = {
        key: np.concatenate([one[key] for one in found])
        for key in ("true", "sum", "matrix", "debiased", "votes", "smooth_error")
        if all(one[key] is not None for one in found)
    }
    true = together["true"]
    lines = [f"{len(true)} galaxies held out once, {len(found)} folds"]
    titles = {"sum": "class probabilities", "matrix": "through the survey's matrix", "debiased": "debiased head"}
    for key, title in titles.items():
        if key in together:
            groups = FOUR.sum_probabilities(together[key]).argmax(axis=1)
            lines.append(classes_line(title, true, together[key].argmax(axis=1), groups))
    if "votes" in together:
        leaf = together["votes"]
        lines.append(classes_line("down the tree of votes", true, leaf, GROUP_OF_LEAF[leaf]))
        error = np.sqrt(np.nanmean(together["smooth_error"] ** 2))
        lines.append(f"debiased smooth fraction: root mean square error {error:.3f}")
    for key in ("matrix", "debiased"):
        if key in together:
            found_error = calibration(together[key].astype(np.float64), true, seed=0)
            figures = f"{found_error.expected_calibration_error:.3f}, p = {found_error.p_value:.3f}"
            lines.append(f"calibration error, {titles[key]}: {figures}")
    artifacts = [one["artifacts"] for one in found if one["artifacts"] is not None]
    if artifacts:
        total = sum(one.artifacts for one in artifacts)
        share = sum(one.found * one.artifacts for one in artifacts) / total
        alarms = np.mean([one.false_alarms for one in artifacts])
        lines.append(f"artifacts found: {share:.3f} of {total}, at {alarms:.3f} of {artifacts[0].galaxies} galaxies")
    return "\n".join(lines)


def against(found: list[dict[str, Any]], other: list[dict[str, Any]]) -> str:
    """Compare with another run on the same folds, galaxy by galaxy: the gain of this one, with a 95 % interval."""
    gains: dict[str, NDArray[np.float64]] = {}
    true = np.concatenate([one["true"] for one in found])
    for key, name in (
        ("votes", "down the tree of votes"),
        ("debiased", "debiased head"),
        ("matrix", "survey's matrix"),
    ):
        if any(one[key] is None for one in (*found, *other)):
            continue
        mine, theirs = (np.concatenate([one[key] for one in run]) for run in (found, other))
        if key != "votes":
            gains[f"-log P, {name}"] = _minus_log(theirs, true) - _minus_log(mine, true)
            mine, theirs = mine.argmax(axis=1), theirs.argmax(axis=1)
        gains[f"13 classes, {name}"] = (mine == true).astype(np.float64) - (theirs == true)
    if not any(one["smooth_error"] is None for one in (*found, *other)):
        mine, theirs = (np.concatenate([one["smooth_error"] for one in run]) ** 2 for run in (found, other))
        gains["mean square error, smooth fraction"] = theirs - mine
    random, lines = np.random.default_rng(0), []
    for name, gain in gains.items():
        known = gain[~np.isnan(gain)]
        drawn = [known[random.integers(0, len(known), len(known))].mean() for _ in range(5 * RESAMPLES)]
        low, high = np.quantile(drawn, (0.025, 0.975))
        none = (np.array(drawn) <= 0).mean()
        lines.append(f"gain in {name}: {known.mean():.4f} [{low:.4f}, {high:.4f}], none in {none:.2%} of resamples")
    return "\n".join(lines)


def _minus_log(probabilities: NDArray[np.floating], true: NDArray[np.int64]) -> NDArray[np.float64]:
    return -np.log(probabilities[np.arange(len(true)), true].astype(np.float64) + 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="holds prepared/")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--sources", nargs="+", required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--fold", type=int, nargs="*", help="only these; default: all that are not done")
    parser.add_argument("--share", type=float, default=1.0, help="of the named sources' training rows, 0 to 1")
    parser.add_argument("--alone", action="store_true", help="train on the named sources only")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="as in galclass train")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--against", type=Path, help="the output of another run on the same sources, folds and seed")
    options = parser.parse_args()
    config = load_config(options.config, options.set)
    data = open_training_data(options.workspace / "prepared")
    if unknown := sorted(set(options.sources) - set(data.source)):
        known = ", ".join(sorted(set(data.source)))
        parser.error(f"no source {', '.join(unknown)} in {options.workspace}; it has {known}")
    single = (data.leaves.sum(1) == 1) & ~data.leaves[:, ARTIFACT]
    if not any(single[row] and source in options.sources for row, source in enumerate(data.source)):
        parser.error(f"{', '.join(options.sources)} have no galaxy with a label of one class; add a source that has")
    if options.share == 0:
        options.folds = 1  # nothing of the sources is trained on: one model has not seen any of them
    if options.fold and not set(options.fold) <= set(range(options.folds)):
        parser.error(f"--fold: there are {options.folds}, from 0 to {options.folds - 1}")
    places = folds_of(data, options.sources, options.folds, config.seed)
    folders = [options.output / f"fold_{fold}" for fold in range(options.folds)]
    for fold in range(options.folds) if options.fold is None else options.fold:
        if not (folders[fold] / "model.onnx").exists():
            train_fold(split_for(data, places, fold, options), config, folders[fold])
    if all((folder / "model.onnx").exists() for folder in folders):
        found = [score_fold(data, options.sources, folder) for folder in folders]
        text = report(found)
        if options.against:
            others = [options.against / folder.name for folder in folders]
            text += "\n" + against(found, [score_fold(data, options.sources, folder) for folder in others])
        (options.output / "figures.txt").write_text(text + "\n")
        print(text)


if __name__ == "__main__":
    main()
