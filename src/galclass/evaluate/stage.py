"""The evaluate stage: score the held-out split, measure it, write tables and the report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from galclass.atomic_files import replacing, write_text
from galclass.config import Config
from galclass.errors import EvaluationError
from galclass.evaluate.card import model_card
from galclass.evaluate.ceiling import VOTE_COLUMNS
from galclass.evaluate.human_baseline import HumanBaseline, compare_with_volunteers
from galclass.evaluate.labellings import THIRTEEN
from galclass.evaluate.metrics import Classification, Interval, Reliability, reliability
from galclass.evaluate.raw_votes import RawVotes, measure_raw_votes
from galclass.evaluate.reliability_checks import Trust, measure_trust
from galclass.evaluate.report import ReportContent, write_report
from galclass.evaluate.seeds import SeedSpread, seed_models, spread_over_seeds
from galclass.evaluate.tables import Evaluated, Sampling, measure, natural_figures
from galclass.evaluate.votes import SMOOTH, VoteErrors, vote_errors
from galclass.prepare.store import Store
from galclass.scoring import Prediction, Scorer, Signature
from galclass.scoring.fitted_ids import fitted_of_test_split, recorded, split_fitted
from galclass.scoring.output import parquet_schema, vote_fraction_columns
from galclass.scoring.prediction import ROW_COLUMNS
from galclass.tracking import log_evaluation

_CHUNK = 256
_FILES = ("predictions.parquet", "report.html", "card.md", "metrics.json")


@dataclass(frozen=True)
class EvaluateSummary:
    """What the evaluate stage did; `tables` in the order of the report.

    `fitted` objects of the split were left out, as the model was, or may have been, fitted to them; `seen` others are
    in the figures although it, or the model that its training started from, was fitted to them.
    """

    count: int
    seconds: float
    tables: dict[str, Classification]
    folder: Path
    skipped: bool = False
    fitted: int = 0
    seen: int = 0

    def __str__(self) -> str:
        if self.skipped:
            return f"evaluate: up to date ({self.folder})"
        rate = self.count / max(self.seconds, 1e-9)
        head = f"evaluate: {self.count} objects in {self.seconds:.1f} s ({rate:,.0f} images/s)"
        lines = [
            f"  {title}: accuracy {table.accuracy}, balanced {table.balanced_accuracy}, macro F1 {table.macro_f1}"
            f" (majority class {table.majority_rate:.3f}, n = {table.count})"
            for title, table in self.tables.items()
        ]
        if self.fitted:
            lines.append(
                f"  {self.fitted:,} objects left out: the model was fitted to these ids, or may have been, before the"
                " last split"
            )
        if self.seen:
            lines.append(
                f"  the model, or the one that its training started from, was fitted to {self.seen:,} of them, so "
                "these figures are too high"
            )
        return "\n".join([head, *lines])


@dataclass(frozen=True)
class Results:
    """Everything that is measured."""

    tables: dict[str, Classification]
    natural: dict[str, Interval]
    calibration: Reliability | None
    trust: Trust
    votes: VoteErrors | None
    raw_votes: dict[str, RawVotes]
    human_baseline: HumanBaseline | None
    seeds: SeedSpread | None


def evaluate(config: Config, *, progress: bool = True) -> EvaluateSummary:
    """Evaluate `training/model.onnx` on the configured split of the prepared store.

    Raises
    ------
    EvaluationError
        If there is no model, no prepared store or no labelled object in the split.
    TrackingError
        If the evaluation cannot be logged.
    """
    started = time.perf_counter()
    folder = config.workspace_path / "evaluation"
    store = Store.open(config.workspace_path / "prepared")
    scorer = Scorer(_model_path(config), name=config.register.name)
    of_seeds = seed_models(config, scorer)
    fingerprint = _fingerprint(config, scorer, store, of_seeds)
    if _is_current(folder, fingerprint):
        log_evaluation(config)
        return EvaluateSummary(0, 0.0, {}, folder, skipped=True)
    rows, fitted = _rows_of(store, scorer, config.evaluate.split)
    evaluated = _score_rows(store, scorer, rows, progress)
    sampling = Sampling(config.evaluate.bootstrap, config.seed)
    tables = measure(evaluated, sampling, observations=scorer.signature.trained.get("observations", ()))
    results = Results(
        tables=tables,
        natural=natural_figures(tables, config.evaluate.frequencies, sampling),
        calibration=_calibration(evaluated),
        trust=measure_trust(evaluated, scorer.signature, config.seed),
        votes=_vote_errors(store, evaluated),
        raw_votes=measure_raw_votes(store, scorer, evaluated, sampling),
        human_baseline=_human_baseline(store, evaluated, config.seed),
        seeds=spread_over_seeds(
            of_seeds,
            lambda one: evaluated if one.sha256 == scorer.sha256 else _score_rows(store, one, rows, progress),
            config.evaluate.frequencies,
        ),
    )
    _write(folder, config, store, scorer, evaluated, results, fingerprint)
    log_evaluation(config)
    seconds = time.perf_counter() - started
    seen = _seen(scorer, evaluated)
    return EvaluateSummary(len(evaluated.labels), seconds, tables, folder, fitted=fitted, seen=seen)


def _model_path(config: Config) -> Path:
    path = config.workspace_path / "training" / "model.onnx"
    if not path.exists():
        raise EvaluationError("there is no trained model", where=str(path), advice="run `galclass train` first")
    return path


def _rows_of(store: Store, scorer: Scorer, split: str) -> tuple[list[int], int]:
    """Return the rows of a split, and how many more of the test split are left out, as fitted to (or perhaps)."""
    index = store.index.select(["object_id", "split"]).to_pydict()
    chosen = [i for i, name in enumerate(index["split"]) if name == split]
    if not chosen:
        raise EvaluationError(f"the {split} split is empty", where=str(store.folder))
    if split != "test":
        return chosen, 0
    trained = recorded(scorer.signature.trained, scorer.sha256)
    fitted = fitted_of_test_split(trained, [index["object_id"][i] for i in chosen])
    rows = [i for i in chosen if index["object_id"][i] not in fitted]
    if not rows:
        raise EvaluationError(
            "the model was, or may have been, fitted to all objects of the test split", where=str(store.folder),
            advice="they were split again since: run `galclass train`",
        )  # fmt: skip
    return rows, len(chosen) - len(rows)


def _score_rows(store: Store, scorer: Scorer, chosen: list[int], progress: bool) -> Evaluated:
    from rich.progress import track

    index = store.index.select(["object_id", "label", "source"]).to_pydict()
    predictions: list[Prediction] = []
    starts = range(0, len(chosen), _CHUNK)
    for start in track(starts, description="evaluate", disable=not progress):
        part = chosen[start : start + _CHUNK]
        cutouts = store.central(part)
        predictions += scorer.predict_cutouts(cutouts, object_ids=[index["object_id"][i] for i in part])
    return Evaluated(
        rows=np.array(chosen, dtype=np.int64),
        labels=[index["label"][i] for i in chosen],
        sources=[index["source"][i] for i in chosen],
        predictions=predictions,
    )


def _seen(scorer: Scorer, evaluated: Evaluated) -> int:
    """Count the evaluated objects that the model, or the one its training started from, is recorded to be fitted to."""
    trained = recorded(scorer.signature.trained, scorer.sha256)
    fitted, _ = split_fitted(trained, [one.object_id for one in evaluated.predictions]) or (set(), set())
    return len(fitted)


def _calibration(evaluated: Evaluated) -> Reliability | None:
    true = THIRTEEN.true_index(evaluated.labels)
    keep = true >= 0
    return reliability(evaluated.probabilities[keep], true[keep]) if keep.any() else None


def _vote_errors(store: Store, evaluated: Evaluated) -> VoteErrors | None:
    column = f"{SMOOTH}_debiased"
    if column not in store.index.column_names:
        return None
    published = store.index[column].cast(pa.float64()).fill_null(np.nan).take(evaluated.rows)
    return vote_errors(evaluated.predictions, published.to_numpy())


def _human_baseline(store: Store, evaluated: Evaluated, seed: int) -> HumanBaseline | None:
    """Compare with a second panel of volunteers where the index has the votes."""
    needed = [*VOTE_COLUMNS, "total_classifications"]
    if not set(needed) <= set(store.index.column_names):
        return None
    table = store.index.select(needed).take(evaluated.rows)
    columns = {name: np.asarray(table[name].cast(pa.float64()).fill_null(np.nan)) for name in needed}
    votes = [{name: float(columns[name][i]) for name in needed} for i in range(len(evaluated.rows))]
    return compare_with_volunteers(votes, evaluated.labels, evaluated.probabilities, seed=seed)


def _fingerprint(config: Config, scorer: Scorer, store: Store, of_seeds: list[Scorer]) -> dict[str, Any]:
    options = config.evaluate
    return {
        "model_sha256": scorer.sha256,
        "name": scorer.model.name,
        "prepared": [store.facts["inputs_sha256"], store.facts["pixels_sha256"]],
        "split": options.split,
        "bootstrap": options.bootstrap,
        "gallery": options.gallery,
        "frequencies": {source: dict(shares) for source, shares in options.frequencies.items()},
        "seed": config.seed,
        "seeds": [one.sha256 for one in of_seeds],
    }


def _is_current(folder: Path, fingerprint: dict[str, Any]) -> bool:
    if not all((folder / name).is_file() for name in _FILES):
        return False
    made_from: object = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["made_from"]
    return made_from == fingerprint


def predictions_table(
    predictions: Sequence[Prediction], labels: Sequence[str | None], signature: Signature
) -> pa.Table:
    """Return the rows of `galclass predict` with a column `label`; the types follow from the model alone."""
    rows = [prediction.as_row() | {"label": label} for prediction, label in zip(predictions, labels, strict=True)]
    columns = parquet_schema([*ROW_COLUMNS, *vote_fraction_columns(signature)])
    return pa.Table.from_pylist(rows, schema=columns.append(pa.field("label", pa.string())))


def _write(
    folder: Path,
    config: Config,
    store: Store,
    scorer: Scorer,
    evaluated: Evaluated,
    results: Results,
    fingerprint: dict[str, Any],
) -> None:
    """Write the files; metrics.json last, since it says that the stage is done."""
    folder.mkdir(parents=True, exist_ok=True)
    table = predictions_table(evaluated.predictions, evaluated.labels, scorer.signature)
    _move_into_place(folder / "predictions.parquet", lambda path: pq.write_table(table, path))
    content = ReportContent(
        split=config.evaluate.split,
        model_sha256=scorer.sha256,
        tables=results.tables,
        calibration=results.calibration,
        human_baseline=results.human_baseline,
        natural=results.natural,
        trust=results.trust,
        votes=results.votes,
        raw_votes=results.raw_votes,
        labels=evaluated.labels,
        predictions=evaluated.predictions,
        images=lambda chosen: store.cutouts(evaluated.rows[chosen]),
        gallery=config.evaluate.gallery,
    )
    _move_into_place(folder / "report.html", lambda path: write_report(content, path))
    metrics = {
        "made_from": fingerprint,
        "tables": {title: table.as_dict() for title, table in results.tables.items()},
        "natural": {
            title: [round(x, 6) for x in (figure.value, figure.low, figure.high)]
            for title, figure in results.natural.items()
        },
        "trust": results.trust.as_dict(),
        "votes": results.votes.as_dict() if results.votes else None,
        "raw_votes": {source: figures.as_dict() for source, figures in results.raw_votes.items()},
        "expected_calibration_error": results.calibration.expected_calibration_error if results.calibration else None,
        "reliability": results.calibration.as_dict() if results.calibration else None,
        "volunteers": results.human_baseline.as_dict() if results.human_baseline else None,
        "seeds": results.seeds.as_dict() if results.seeds else None,
    }
    card = model_card(scorer.signature, scorer.sha256, metrics, config.evaluate.split)
    write_text(folder / "card.md", card)
    write_text(folder / "metrics.json", json.dumps(metrics, indent=1))


def _move_into_place(target: Path, write: Any) -> None:
    with replacing(target) as temporary:
        write(temporary)
