"""Score many files, summarise them, and write the rows to a file if one is named."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from galclass.image_files import ImageFile, Skipped
from galclass.scoring.files import predict_files
from galclass.scoring.output import PredictionFile
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA, Prediction
from galclass.scoring.scorer import Scorer

SHOWN = 50
"""Predictions and rejects that a summary keeps to show; the file has all of them."""


FEWEST_JUDGED = 10
"""Fewest predictions for a warning about most of them."""


def mostly_unlike(unlike: int, predicted: int) -> bool:
    """Return whether most of the predictions, if not few, have the out-of-distribution flag."""
    return predicted >= FEWEST_JUDGED and 2 * unlike > predicted


def foreign_sentence(unlike: int, predicted: int, model: str) -> str:
    """Return the warning about images that are mostly out-of-distribution."""
    return (
        f"{unlike:,} of {predicted:,} images are unlike what {model} was trained on: do not trust these classes. Check "
        "--frame-px (is the galaxy as large in the image as in a survey's frame?), or fit a model to your own labels "
        "with `galclass finetune`"
    )


@dataclass
class PredictSummary:
    """Summary of a run over files.

    Attributes
    ----------
    first : list of (ImageFile, Prediction)
        The first valid ones.
    rejects : list of (ImageFile, Prediction)
        The first faulty ones.
    classes : Counter
        Files by predicted class.
    model : str
        Name of the model.
    unlike : int
        Files with the flag unlike_training_data.
    output : str or None
        The file that has all rows.
    skipped : Skipped
        Files that were found and not scored.
    lost : list of str
        Those of them that are images in unsupported formats or without a suffix, of objects with no scored image.
    """

    model: str = ""
    total: int = 0
    rejected: int = 0
    unlike: int = 0
    seconds: float = 0.0
    output: str | None = None
    skipped: Skipped = field(default_factory=Skipped)
    lost: list[str] = field(default_factory=list)
    classes: Counter[str] = field(default_factory=Counter)
    first: list[tuple[ImageFile, Prediction]] = field(default_factory=list)
    rejects: list[tuple[ImageFile, Prediction]] = field(default_factory=list)

    def add(self, image: ImageFile, prediction: Prediction) -> None:
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
            kept.append((image, prediction))

    @property
    def complete(self) -> bool:
        """Whether every image found has a prediction."""
        return not (self.rejected or self.lost)

    @property
    def foreign(self) -> bool:
        """Whether most of the images are out-of-distribution."""
        return mostly_unlike(self.unlike, self.total - self.rejected)

    def __str__(self) -> str:
        rate = self.total / max(self.seconds, 1e-9)
        counts = f"{self.total:,} files, {self.rejected:,} rejected"
        if self.unlike:
            counts += f", {self.unlike:,} unlike the training data"
        written = f", written to {self.output}" if self.output else ""
        line = f"predict: {counts}, {self.seconds:.1f} s, {rate:,.0f} images/s, with {self.model}{written}"
        foreign = [foreign_sentence(self.unlike, self.total - self.rejected, self.model)] if self.foreign else []
        return "\n".join([line, *self._files(), *foreign])

    def _files(self) -> list[str]:
        if not (self.rejected or self.skipped.total):
            return []
        scored, seen = self.total - self.rejected, self.total + self.skipped.total
        parts = f"{scored:,} scored + {self.rejected:,} rejected + {self.skipped.total:,} skipped"
        return [f"files: {seen:,} seen = {parts}", *([f"skipped: {self.skipped}"] if self.skipped.total else [])]


def model_name(scorer: Scorer) -> str:
    """Return a model's name for users."""
    return str(scorer.model) if scorer.model.version else scorer.where


def predict_to(
    images: Iterable[ImageFile | Path],
    scorer: Scorer,
    output: Path | str | None = None,
    *,
    frame_px: int | None = None,
    processes: int = 0,
    embedding: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> PredictSummary:
    """Score files and write their rows.

    Parameters
    ----------
    images : iterable of ImageFile or Path
        As for `predict_files`.
    scorer : Scorer
    output : path, optional
        A .csv or .parquet file; it appears only when every file is done.
    frame_px, processes
        As in `predict_files`.
    embedding : bool
        Whether the file has the embeddings; only for Parquet.
    advance : callable
        Called after each file.

    Raises
    ------
    ModelError
        If the output has another suffix.
    """
    started, summary = time.perf_counter(), PredictSummary(model_name(scorer), output=str(output) if output else None)
    with PredictionFile(output, scorer.signature, embedding=embedding) if output else nullcontext() as file:
        scored = predict_files(images, scorer, frame_px=frame_px, processes=processes, embedding=embedding)
        for image, prediction in scored:
            summary.add(image, prediction)
            if file is not None:
                file.write(str(image), prediction)
            advance(1)
    summary.seconds = time.perf_counter() - started
    return summary
