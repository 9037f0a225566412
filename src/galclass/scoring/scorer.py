"""Image bytes -> predictions: the one scorer behind Python, the command line, SQL and HTTP.

Takes JPEG/PNG/BMP bytes and an ONNX model with its signature, gives `Prediction` records.
Needs numpy, onnxruntime and the decoder, nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from galclass.errors import CutoutError, ModelError
from galclass.morphology import CLASSES
from galclass.preprocess import CutoutParameters, cutout
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA, ImageFault, ModelId, Prediction
from galclass.scoring.session import RUNTIME_ERRORS, open_session, read_signature
from galclass.scoring.shipped import shipped_model
from galclass.scoring.signature import EMBEDDING, INPUT_NAME, PROBABILITIES, VOTE_FRACTIONS, Conformal, Unlike
from galclass.scoring.walk import DECIMALS, group_name, walk

IN_PACKAGE = "package"
"""Stands for the model in the package where a model is named."""
CHUNK = 64
"""Images a run of the graph; more is no faster and takes more memory."""


@dataclass(frozen=True)
class ModelOutputs:
    """What the graph gives for n cutouts.

    Attributes
    ----------
    probabilities : float32, (n, 13), in [0, 1]
    embedding : float32, (n, d)
    vote_fractions : float32, (n, k, 3), in [0, 1], or None
        Fraction, low and high bound (90 %).
    """

    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]
    vote_fractions: NDArray[np.float32] | None


class Scorer:
    """A loaded model that answers for image bytes.

    Parameters
    ----------
    model : bytes, path or None
        ONNX bytes or a file; None takes the model that ships in the package.
    name, version
        What the records say about the model; version 0 means that it is not registered.
    threads : int
        Threads inside an operator of the graph, and of OpenCV in the whole process; 1 is right wherever several
        processes score.

    Raises
    ------
    ModelError
        If the model is foreign, damaged, or trained with other preprocessing.

    Examples
    --------
    >>> scorer = Scorer()                                              # doctest: +SKIP
    >>> scorer.score([Path("587722981742084144.jpg").read_bytes()])    # doctest: +SKIP
    """

    def __init__(
        self, model: bytes | Path | str | None = None, *, name: str = "galaxy", version: int = 0, threads: int = 1
    ) -> None:
        cv2.setNumThreads(threads)  # its pool spins between calls: on one image at a time it doubles the processor time
        self.value, where = _read_model(model)
        self.sha256 = hashlib.sha256(self.value).hexdigest()
        self._session = open_session(self.value, threads=threads, where=where)
        self.signature = read_signature(self._session, where=where)
        self.model = ModelId(name, version, self.sha256)
        self.parameters = CutoutParameters(size_px=self.signature.size_px, crop_fraction=self.signature.crop_fraction)
        self._outputs = [PROBABILITIES, EMBEDDING] + ([VOTE_FRACTIONS] if self.signature.vote_columns else [])
        self._distance = _Distance(self.signature.unlike) if self.signature.unlike else None

    def score(
        self,
        images: Sequence[bytes | None],
        *,
        object_ids: Sequence[str] | None = None,
        frame_px: int | None | Sequence[int | None] = None,
    ) -> list[Prediction]:
        """Answer for each image; a faulty image gets a record with `error`.

        Parameters
        ----------
        images : sequence of bytes
            JPEG, PNG or BMP files; None counts as empty.
        object_ids : sequence of str, optional
            Ids of the records; positions ("0", "1", ...) where left out.
        frame_px : int, None or one for each image
            Side of the survey's full frame; None: the file is a full frame.

        Returns
        -------
        list of Prediction
            One for each image, in order.

        Raises
        ------
        TypeError
            If something else than bytes is given, such as a path.
        """
        _check_types(images)
        ids = [str(number) for number in range(len(images))] if object_ids is None else [str(key) for key in object_ids]
        frames = list(frame_px) if isinstance(frame_px, Sequence) else [frame_px] * len(images)
        if not len(ids) == len(frames) == len(images):
            raise ValueError(f"{len(images)} images but {len(ids)} object_ids and {len(frames)} frame sizes")
        predictions: list[Prediction] = []
        for start in range(0, len(images), CHUNK):
            part = slice(start, start + CHUNK)
            predictions += self._score_chunk(images[part], ids[part], frames[part])
        return predictions

    def score_cutouts(self, cutouts: NDArray[np.uint8]) -> ModelOutputs:
        """Run the graph on cutouts.

        Parameters
        ----------
        cutouts : uint8, (n, size_px, size_px, 3), 0..255

        Raises
        ------
        ModelError
            If shape or type are not the signature's, or the graph fails or gives values that are not finite.
        """
        size = self.signature.size_px
        if cutouts.dtype != np.uint8 or cutouts.ndim != 4 or cutouts.shape[1:] != (size, size, 3):
            raise ModelError(
                "these are not the cutouts this model takes",
                expected=f"uint8 (n, {size}, {size}, 3)",
                got=f"{cutouts.dtype} {cutouts.shape}",
            )
        parts = [self._run(cutouts[start : start + CHUNK]) for start in range(0, max(len(cutouts), 1), CHUNK)]
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        if not np.isfinite(columns[0]).all():
            raise ModelError("it gives probabilities that are not finite", where=str(self.model))
        return ModelOutputs(columns[0], columns[1], columns[2] if len(columns) > 2 else None)

    def predict_cutouts(self, cutouts: NDArray[np.uint8], *, object_ids: Sequence[str]) -> list[Prediction]:
        """Answer for cutouts that were made before, such as those of a prepared store.

        Parameters
        ----------
        cutouts : uint8, (n, size_px, size_px, 3), 0..255
        object_ids : sequence of str, (n,)
        """
        return self._predictions(self.score_cutouts(cutouts), object_ids, datetime.now(UTC))

    def _run(self, cutouts: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        planes = np.ascontiguousarray(cutouts.transpose(0, 3, 1, 2))
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(self._outputs, {INPUT_NAME: planes})
        except RUNTIME_ERRORS as error:
            raise ModelError("its graph fails", where=str(self.model), got=str(error)[:200]) from error
        return outputs

    def _score_chunk(
        self, images: Sequence[bytes | None], ids: Sequence[str], frames: Sequence[int | None]
    ) -> list[Prediction]:
        now = datetime.now(UTC)
        answers: list[Prediction | None] = []
        arrays = []
        for data, object_id, frame in zip(images, ids, frames, strict=True):
            try:
                arrays.append(cutout(data or b"", self.parameters, frame_px=frame))
                answers.append(None)
            except CutoutError as error:
                answers.append(
                    Prediction(object_id, self.model, now, error=ImageFault(error.code, error.what), embedding=None)
                )
        if not arrays:
            return [answer for answer in answers if answer is not None]
        outputs = self.score_cutouts(np.stack(arrays))
        good = iter(self._predictions(outputs, [i for i, a in zip(ids, answers, strict=True) if a is None], now))
        return [next(good) if answer is None else answer for answer in answers]

    def _predictions(self, outputs: ModelOutputs, ids: Sequence[str], now: datetime) -> list[Prediction]:
        values = outputs.probabilities
        classes = walk(values)
        unlike = self._distance.above(outputs.embedding) if self._distance else np.zeros(len(ids), dtype=bool)
        rounded = np.round(values.astype(np.float64), DECIMALS).tolist()
        return [
            Prediction(
                object_id,
                self.model,
                now,
                tuple(rounded[row]),
                CLASSES[classes[row]],
                group_name(classes[row]),
                prediction_set(values[row], self.signature.conformal, CLASSES[classes[row]]),
                (UNLIKE_TRAINING_DATA,) if unlike[row] else (),
                self._votes(outputs.vote_fractions, row),
                outputs.embedding[row],
            )
            for row, object_id in enumerate(ids)
        ]

    def _votes(self, fractions: NDArray[np.float32] | None, row: int) -> dict[str, tuple[float, float, float]]:
        if fractions is None:
            return {}
        rounded = np.round(fractions[row].astype(np.float64), DECIMALS).tolist()
        return {name: (v[0], v[1], v[2]) for name, v in zip(self.signature.vote_columns, rounded, strict=True)}


def prediction_set(
    probabilities: NDArray[np.float32], conformal: Conformal | None, predicted_class: str | None = None
) -> tuple[str, ...]:
    """Return the classes of the conformal set, most probable first; never empty where there is a `conformal`.

    Parameters
    ----------
    probabilities : float32, (13,)
    conformal : Conformal or None
        None gives an empty set.
    predicted_class : str, optional
        Always in the set: where the walk down the tree ended at a class that is less probable than those of the
        set, it comes last. That makes the set larger, never wrong more often than promised.
    """
    if conformal is None:
        return ()
    order = np.argsort(-probabilities, kind="stable")
    falling = probabilities[order]
    if conformal.method == "lac":
        count = int((falling >= 1.0 - conformal.threshold).sum())
    else:
        count = int(np.searchsorted(np.cumsum(falling), conformal.threshold)) + 1
    chosen = tuple(CLASSES[index] for index in order[: max(count, 1)])
    return chosen if predicted_class is None or predicted_class in chosen else (*chosen, predicted_class)


def _check_types(images: Sequence[bytes | None]) -> None:
    if isinstance(images, (bytes, bytearray, memoryview, str, Path)):
        raise TypeError(f"images must be a list of bytes, not {type(images).__name__}: put one image into a list")
    for position, image in enumerate(images):
        if image is not None and not isinstance(image, (bytes, bytearray)):
            kind = type(image).__name__
            raise TypeError(f"images[{position}] must be the bytes of a file, not {kind}: use Path(...).read_bytes()")


class _Distance:
    """Whitened distance of embeddings from the training data."""

    def __init__(self, unlike: Unlike) -> None:
        self._mean = np.array(unlike.mean, dtype=np.float32)
        self._whitening = np.array(unlike.whitening, dtype=np.float32).T
        self._threshold = unlike.threshold

    def above(self, embedding: NDArray[np.float32]) -> NDArray[np.bool_]:
        scores = np.linalg.norm((embedding - self._mean) @ self._whitening, axis=1)
        flagged: NDArray[np.bool_] = scores > self._threshold
        return flagged


def _read_model(model: bytes | Path | str | None) -> tuple[bytes, str]:
    if model is None:
        return shipped_model(), "the model in the package"
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model), "model"
    path = Path(model)
    try:
        return path.read_bytes(), str(path)
    except OSError as error:
        raise ModelError("it cannot be read", where=str(path), got=error.strerror) from error
