"""One prediction in all its forms: the service's JSON record, and the row of CSV, Parquet and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galclass.morphology import CLASSES

SEPARATOR = "|"
"""Separates the members of a set in one CSV or Parquet field."""

UNLIKE_TRAINING_DATA = "unlike_training_data"
"""The flag of an image that is far from everything the model was trained on."""


def row_columns(classes: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of `Prediction.as_row` for a model's classes; those of votes follow if it has some."""
    before, after = ("object_id", "predicted_class", "predicted_group"), ("prediction_set", "flags", "error")
    model = ("model_name", "model_version", "model_sha256", "scored_at")
    return (*before, *(f"predicted_{name}" for name in classes), *after, *model)


ROW_COLUMNS = row_columns(CLASSES)
"""Columns of the rows of models of the 13 classes, in order."""

VoteFractions = Mapping[str, tuple[float, float, float]]
"""Fraction, low and high bound by `<gz2 question>_<answer>`."""


@dataclass(frozen=True)
class ModelId:
    """The model of a prediction: its registered name and version (0: not registered) and the sha256 of its bytes."""

    name: str
    version: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class ImageFault:
    """Why an image has no prediction: a code (`truncated`, `not_an_image`, ...) and a sentence."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes
    ----------
    object_id : str
        The object's id, always text.
    model : ModelId
        The model.
    scored_at : datetime
        In UTC.
    probabilities : tuple of float, (k,), or None
        In the order of `classes`, rounded to 7 digits; None if the image is faulty.
    predicted_class, predicted_group : str or None
        Of the 13 classes, where the walk down the tree ends (`galclass.scoring.walk`), and the group of that class. Of
        a model's own classes, the most probable one, and its group if they have groups.
    prediction_set : tuple of str
        Classes of the conformal set, most probable first, always with the predicted class; empty if the model is not
        calibrated for sets.
    flags : tuple of str
        Warnings such as "unlike_training_data".
    vote_fractions : mapping of str to (fraction, low, high)
        Debiased, by `<gz2 question>_<answer>`; low and high bound 90 %. Empty if the model has none.
    raw_vote_fractions : mapping of str to (fraction, low, high)
        As volunteers would vote on this image: the predicted mean, and the 5 and 95 % quantiles of a panel's fraction
        (`galclass.scoring.raw_votes`). Empty if the model has none, as in format 1.
    embedding : float32, (d,), or None
        The penultimate layer's output; not in records.
    error : ImageFault or None
        Why there is no prediction.
    classes : tuple of str, (k,)
        The model's: the 13 classes, or its own.
    cutout : uint8, (size, size, 3), or None
        What the model saw, in calls with few images; not in records.
    """

    object_id: str
    model: ModelId
    scored_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    probabilities: tuple[float, ...] | None = None
    predicted_class: str | None = None
    predicted_group: str | None = None
    prediction_set: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    vote_fractions: VoteFractions = field(default_factory=dict)
    embedding: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    error: ImageFault | None = None
    raw_vote_fractions: VoteFractions = field(default_factory=dict)
    classes: tuple[str, ...] = CLASSES
    cutout: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False, kw_only=True)

    @property
    def by_class(self) -> dict[str, float] | None:
        """The probabilities by class name."""
        if self.probabilities is None:
            return None
        return dict(zip(self.classes, self.probabilities, strict=True))

    def plot_votes(self, ax: Any = None) -> Any:
        """Draw the vote fractions with their intervals, the raw ones if there are any.

        Parameters
        ----------
        ax : matplotlib axes, optional
            By default those of a new figure.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ModelError
            If the model has no vote fractions.
        ExtraError
            Without matplotlib (extra `evaluate`).
        """
        from galclass.scoring.notebook import plot_votes

        return plot_votes(self, ax)

    def _repr_html_(self) -> str:
        from galclass.scoring.notebook import card

        return card(self)

    def as_json(self) -> dict[str, Any]:
        """Return the service's record; `error` is in it only for a faulty image, raw votes only with some."""
        record: dict[str, Any] = {
            "object_id": self.object_id,
            "predicted_class": self.predicted_class,
            "predicted_group": self.predicted_group,
            "probabilities": self.by_class,
            "prediction_set": list(self.prediction_set),
            "flags": list(self.flags),
            "vote_fractions": plain_votes(self.vote_fractions),
            "model": {"name": self.model.name, "version": self.model.version, "sha256": self.model.sha256},
        }
        if self.raw_vote_fractions:
            record["raw_vote_fractions"] = plain_votes(self.raw_vote_fractions)
        if self.error is not None:
            record["error"] = {"code": self.error.code, "message": self.error.message, "field": "img"}
        return record

    def as_row(self) -> dict[str, Any]:
        """Return the flat row of CSV, Parquet and exports: `row_columns`, then debiased and raw vote fractions."""
        values = self.probabilities or (None,) * len(self.classes)
        row: dict[str, Any] = {
            "object_id": self.object_id,
            "predicted_class": self.predicted_class,
            "predicted_group": self.predicted_group,
            **{f"predicted_{leaf}": value for leaf, value in zip(self.classes, values, strict=True)},
            "prediction_set": SEPARATOR.join(self.prediction_set),
            "flags": SEPARATOR.join(self.flags),
            "error": str(self.error) if self.error else None,
            "model_name": self.model.name,
            "model_version": self.model.version,
            "model_sha256": self.model.sha256,
            "scored_at": time_text(self.scored_at),
        }
        row |= flat_votes(self.vote_fractions, "debiased")
        return row | flat_votes(self.raw_vote_fractions, "raw")


def time_text(moment: datetime | None) -> str | None:
    """Return a time in UTC to the second, as in all tables."""
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def vote_columns_of(stems: Iterable[str], kind: str) -> list[str]:
    """Return the three columns of each answer, the fraction and its bounds; `kind` is "debiased" or "raw"."""
    return [f"{stem}_{kind}{bound}" for stem in stems for bound in ("", "_low", "_high")]


def flat_votes(votes: VoteFractions, kind: str) -> dict[str, float]:
    """Return vote fractions by column."""
    values = (value for triple in votes.values() for value in triple)
    return dict(zip(vote_columns_of(votes, kind), values, strict=True))


def read_votes(record: Mapping[str, Mapping[str, float]] | None) -> VoteFractions:
    """Read vote fractions from their form in a JSON record."""
    return {stem: (one["fraction"], one["low"], one["high"]) for stem, one in (record or {}).items()}


def plain_votes(votes: VoteFractions) -> dict[str, dict[str, float]]:
    """Return vote fractions in their form in a JSON record."""
    return {stem: {"fraction": votes[stem][0], "low": votes[stem][1], "high": votes[stem][2]} for stem in votes}
