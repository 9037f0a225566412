"""The graph's outputs -> records: class, group, prediction set, flags, votes with bounds, and faults.

Takes a signature and the `ModelOutputs` of a batch, returns a `Prediction` for each image.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from galclass.errors import CutoutError
from galclass.scoring.confidence import Distance, prediction_set
from galclass.scoring.labels import our_classes_and_groups
from galclass.scoring.outputs import ModelOutputs
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA, ImageFault, ModelId, Prediction
from galclass.scoring.raw_votes import VotePanel
from galclass.scoring.signature import Signature
from galclass.scoring.walk import DECIMALS, VoteWalk, walk

MODEL_FAULT = ImageFault("model_fault", "the model returns values that are not finite or not probabilities")
"""The error of a valid image for which the model has no valid output."""


class RecordBuilder:
    """Builds the records of one model.

    Parameters
    ----------
    signature : Signature
        Of the model.
    model : ModelId
        What the records name.
    """

    def __init__(self, signature: Signature, model: ModelId) -> None:
        self.signature, self.model = signature, model
        raw = signature.raw_columns
        self._panel = VotePanel(signature.questions, signature.voters) if raw else None
        self._walks = our_classes_and_groups(signature.classes, signature.groups)
        self._vote_walk = VoteWalk(raw) if self._walks and VoteWalk.possible(raw) else None
        groups = signature.groups or {}
        self._group_of = {leaf: name for name, leaves in groups.items() for leaf in leaves}
        self._distance = Distance(signature.unlike) if signature.unlike else None

    def classes_of(self, outputs: ModelOutputs) -> NDArray[np.int64]:
        """Return the indices of the predicted classes, int64 (n,); see `Scorer.classes_of`."""
        if self._vote_walk is not None and outputs.raw_votes is not None:
            return self._vote_walk.classes(outputs.raw_votes)
        if self._walks:
            return walk(outputs.probabilities)
        found: NDArray[np.int64] = np.round(outputs.probabilities.astype(np.float64), DECIMALS).argmax(axis=1)
        return found

    def faulty(self, object_id: str, error: CutoutError, now: datetime) -> Prediction:
        """Return the record of an image that yields no cutout."""
        fault, classes = ImageFault(error.code, _message(error)), self.signature.classes
        return Prediction(object_id, self.model, now, error=fault, embedding=None, classes=classes)

    def predictions(
        self,
        outputs: ModelOutputs,
        ids: Sequence[str],
        now: datetime,
        flags: Sequence[tuple[str, ...]] | None = None,
    ) -> list[Prediction]:
        """Return a record for each image; rows without valid probabilities get the error `MODEL_FAULT`.

        Parameters
        ----------
        outputs : ModelOutputs
            Of n images.
        ids : sequence of str, (n,)
        now : datetime
            Their `scored_at`, UTC.
        flags : sequence of tuple of str, (n,), optional
            Of the decoder, for each image.
        """
        flags = [()] * len(ids) if flags is None else flags
        faulty = outputs.faulty_rows()
        if faulty is not None:
            return self._around(faulty, outputs, ids, now, flags)
        values = outputs.probabilities
        known = self.signature.classes
        classes = [known[position] for position in self.classes_of(outputs)]
        raw = self._raw_votes(outputs)
        unlike = self._distance.above(outputs.embedding) if self._distance else np.zeros(len(ids), dtype=bool)
        rounded = np.round(values.astype(np.float64), DECIMALS).tolist()
        return [
            Prediction(
                object_id,
                self.model,
                now,
                tuple(rounded[row]),
                classes[row],
                self._group_of.get(classes[row]),
                prediction_set(values[row], self.signature.conformal, classes[row], known),
                (*((UNLIKE_TRAINING_DATA,) if unlike[row] else ()), *flags[row]),
                _by_answer(self.signature.vote_columns, outputs.vote_fractions, row),
                outputs.embedding[row],
                raw_vote_fractions=_by_answer(self.signature.raw_columns, raw, row),
                classes=known,
            )
            for row, object_id in enumerate(ids)
        ]

    def _around(
        self,
        faulty: NDArray[np.bool_],
        outputs: ModelOutputs,
        ids: Sequence[str],
        now: datetime,
        flags: Sequence[tuple[str, ...]],
    ) -> list[Prediction]:
        """Return predictions for the valid rows, and for the others the error that the model failed on them."""
        sound = outputs.rows(~faulty)
        rows = np.flatnonzero(~faulty).tolist()
        good = iter(self.predictions(sound, [ids[row] for row in rows], now, [flags[row] for row in rows]))
        return [
            Prediction(key, self.model, now, error=MODEL_FAULT, embedding=None, classes=self.signature.classes)
            if bad
            else next(good)
            for key, bad in zip(ids, faulty, strict=True)
        ]

    def _raw_votes(self, outputs: ModelOutputs) -> NDArray[np.float64] | None:
        """Return raw fractions with their bounds, (n, k, 3); None if the model has none."""
        if self._panel is None or outputs.raw_votes is None or outputs.raw_concentrations is None:
            return None
        votes = outputs.raw_votes.astype(np.float64).clip(0, 1)
        low, high = self._panel.bounds(votes, outputs.raw_concentrations.astype(np.float64))
        return np.stack([votes, low, high], axis=2)


def _by_answer(
    stems: Sequence[str], fractions: NDArray[np.floating] | None, row: int
) -> dict[str, tuple[float, float, float]]:
    if fractions is None:
        return {}
    rounded = np.round(fractions[row].astype(np.float64), DECIMALS).tolist()
    return {stem: (v[0], v[1], v[2]) for stem, v in zip(stems, rounded, strict=True)}


def _message(error: CutoutError) -> str:
    """Return the fault; for a limit also which one and how to raise it."""
    return str(error).rstrip(".") if error.code == "too_costly" else error.what
