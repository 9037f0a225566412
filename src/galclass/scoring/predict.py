"""Score many files, keep what is worth telling, write everything to a file if one is named."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from galclass.scoring.files import predict_files, shown
from galclass.scoring.output import PredictionFile
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA, Prediction
from galclass.scoring.scorer import Scorer

SHOWN = 50
"""Predictions and rejects that a summary holds for showing; the file has all of them."""


@dataclass
class PredictSummary:
    """What a run over files found.

    Attributes
    ----------
    first : list of (Path, Prediction)
        The first good ones.
    rejects : list of (Path, Prediction)
        The first faulty ones.
    classes : Counter
        Files by predicted class.
    unlike : int
        Files with the flag unlike_training_data.
    output : str or None
        The file that has all rows.
    """

    total: int = 0
    rejected: int = 0
    unlike: int = 0
    seconds: float = 0.0
    output: str | None = None
    classes: Counter[str] = field(default_factory=Counter)
    first: list[tuple[Path, Prediction]] = field(default_factory=list)
    rejects: list[tuple[Path, Prediction]] = field(default_factory=list)

    def add(self, path: Path, prediction: Prediction) -> None:
        """Count one file."""
        self.total += 1
        kept = self.first
        if prediction.predicted_class is None:
            self.rejected += 1
            kept = self.rejects
        else:
            self.classes[prediction.predicted_class] += 1
            self.unlike += UNLIKE_TRAINING_DATA in prediction.flags
        if len(kept) < SHOWN:
            kept.append((path, prediction))

    def __str__(self) -> str:
        rate = self.total / max(self.seconds, 1e-9)
        counts = f"{self.total:,} files, {self.rejected:,} rejected"
        if self.unlike:
            counts += f", {self.unlike:,} unlike the training data"
        written = f", written to {self.output}" if self.output else ""
        return f"predict: {counts}, {self.seconds:.1f} s, {rate:,.0f} images/s{written}"


def predict_to(
    paths: Iterable[Path],
    scorer: Scorer,
    output: Path | str | None = None,
    *,
    frame_px: int | None = None,
    processes: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> PredictSummary:
    """Score files and write their rows.

    Parameters
    ----------
    paths : iterable of Path
    scorer : Scorer
    output : path, optional
        A .csv or .parquet file; it appears only when every file is done.
    frame_px, processes
        As in `predict_files`.
    advance : callable
        Told after each file.

    Raises
    ------
    ModelError
        If the output has another suffix.
    """
    started, summary = time.perf_counter(), PredictSummary(output=str(output) if output else None)
    with PredictionFile(output, scorer.signature.vote_columns) if output else nullcontext() as file:
        for path, prediction in predict_files(paths, scorer, frame_px=frame_px, processes=processes):
            summary.add(path, prediction)
            if file is not None:
                file.write(shown(path), prediction)
            advance(1)
    summary.seconds = time.perf_counter() - started
    return summary
