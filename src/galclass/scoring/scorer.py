"""Image bytes -> predictions: the one scorer behind Python, the command line, SQL and HTTP.

Takes images (bytes, paths, arrays, PIL images, FITS) and an ONNX model with its signature, returns `Prediction`s.
Needs only numpy, onnxruntime and the decoder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from galclass.cutouts import LOCAL, CutoutParameters, DecodeLimits, flagged_cutout, has_content
from galclass.cutouts.arrays import Image, image_bytes
from galclass.cutouts.extract import no_content
from galclass.errors import CutoutError, ModelError
from galclass.scoring.images import check_images, frame_sizes, given_ids, listed, own_id
from galclass.scoring.labels import (
    EMBEDDING,
    PROBABILITIES,
    RAW_CONCENTRATIONS,
    RAW_VOTES,
    VOTE_FRACTIONS,
)
from galclass.scoring.model_bytes import read_model
from galclass.scoring.notebook import Predictions
from galclass.scoring.outputs import ModelOutputs
from galclass.scoring.prediction import ModelId, Prediction
from galclass.scoring.records import RecordBuilder
from galclass.scoring.session import open_session, read_signature

KEPT_CUTOUTS = 500
"""Largest number of images in a call whose predictions keep what the model saw: 12 kB each."""
IN_PACKAGE = "package"
"""Name of the model in the package."""
CHUNK = 64
"""Images per run of the graph; more is no faster and takes more memory."""

_NOT_SERVED = "use another model; `galclass models verify` checks one"


class Scorer:
    """A loaded model that predicts from image bytes.

    Parameters
    ----------
    model : bytes, path or None
        ONNX bytes or a file; None: the model in the package.
    name, version
        The model's in records; version 0 means that it is not registered.
    threads : int
        Threads inside an operator of the graph, and of OpenCV in the whole process; use 1 if several processes score.
    limits : DecodeLimits
        Longest decode of an image, estimated from its header: `LOCAL`, or `SERVED` for images that others send.
    provider : str
        What runs the graph: "cpu", or "cuda" and others if this onnxruntime has them.

    Raises
    ------
    ModelError
        If the model is foreign, damaged, or trained with other preprocessing; if the provider or its device is missing.

    Examples
    --------
    >>> scorer = Scorer()                                              # doctest: +SKIP
    >>> scorer.score([Path("587722981742084144.jpg").read_bytes()])    # doctest: +SKIP
    """

    def __init__(
        self,
        model: bytes | Path | str | None = None,
        *,
        name: str = "galaxy",
        version: int = 0,
        threads: int = 1,
        limits: DecodeLimits = LOCAL,
        provider: str = "cpu",
    ) -> None:
        cv2.setNumThreads(threads)  # its pool spins between calls, which doubles the CPU time for one image at a time
        self.limits, self.provider, self._threads = limits, provider, threads
        self.value, where = read_model(model)
        self.where = where
        self.sha256 = hashlib.sha256(self.value).hexdigest()
        self._session = open_session(self.value, threads=threads, where=where, provider=provider)
        self.signature = read_signature(self._session, where=where)
        self.model = ModelId(name, version, self.sha256)
        self.parameters = CutoutParameters(size_px=self.signature.size_px, crop_fraction=self.signature.crop_fraction)
        self._shapes = self.signature.output_shapes
        self._records = RecordBuilder(self.signature, self.model)

    def __reduce__(self) -> tuple[Callable[[], Scorer], tuple[()]]:
        """Return what makes it again in another process: a session cannot be pickled, its model can."""
        name, version = self.model.name, self.model.version
        made = partial(type(self), self.value, name=name, version=version, threads=self._threads)
        return partial(made, limits=self.limits, provider=self.provider), ()

    def __deepcopy__(self, memo: object) -> Scorer:
        """Return itself: a scorer is immutable, and a session cannot be copied."""
        return self

    def score(
        self,
        images: Sequence[Image | None],
        *,
        object_ids: Sequence[str] | None = None,
        frame_px: int | None | Sequence[int | None] = None,
        between: Callable[[], object] = lambda: None,
    ) -> Predictions:
        """Predict each image; one that is faulty, or for which the model returns no probabilities, gets an `error`.

        Parameters
        ----------
        images : sequence of bytes, path, array, PIL image or HDU
            JPEG, PNG, BMP or FITS files as bytes or by path; uint8 arrays (y, x, channel) of red, green and blue; other
            arrays as fluxes of one band or three (`galclass.cutouts.image_bytes`); HDUs of astropy. None counts as
            empty.
        object_ids : sequence of str or int, optional
            Ids of the records (bytes are decoded); by default the file name of a path without its suffix, and the index
            ("0", "1", ...) of everything else.
        frame_px : int, None or one for each image
            Side of the survey's full frame, in pixels of the image or array; None: it is a full frame.
        between : callable
            Called before each image is decoded and before the graph runs; what it raises ends the call.

        Returns
        -------
        Predictions
            A list, one for each image, in order; a notebook shows it as a gallery. Calls with at most `KEPT_CUTOUTS`
            images keep what the model saw.

        Raises
        ------
        TypeError
            If an item is not an image, a single image is not in a list, or an id is neither text nor an integer.
        """
        images = listed(images)
        check_images(images)
        ids = list(map(own_id, images, count())) if object_ids is None else given_ids(object_ids)
        frames = frame_sizes(frame_px, len(images))
        if not len(ids) == len(frames) == len(images):
            raise ValueError(f"{len(images)} images but {len(ids)} object_ids and {len(frames)} frame sizes")
        predictions = Predictions()
        for start in range(0, len(images), CHUNK):
            part = slice(start, start + CHUNK)
            predictions += self._score_chunk(
                images[part], ids[part], frames[part], between, keep=len(images) <= KEPT_CUTOUTS
            )
        return predictions

    def embed(
        self, images: Sequence[Image | None], *, frame_px: int | None | Sequence[int | None] = None
    ) -> NDArray[np.float32]:
        """Return the embeddings of images, float32 (n, d); a row of NaN for one that is faulty.

        Parameters
        ----------
        images, frame_px
            As for `score`.
        """
        width = self._shapes[EMBEDDING][0]
        made = np.full((len(images), width), np.nan, np.float32)
        for row, one in enumerate(self.score(images, frame_px=frame_px)):
            if one.embedding is not None:
                made[row] = one.embedding
        return made

    def score_cutouts(self, cutouts: NDArray[np.uint8]) -> ModelOutputs:
        """Run the graph on cutouts.

        Parameters
        ----------
        cutouts : uint8, (n, size_px, size_px, 3), 0..255

        Raises
        ------
        ModelError
            If shape or type differ from the signature, or the graph fails or returns values that are not probabilities.
        """
        outputs = self._outputs_of(cutouts)
        if outputs.faulty_rows() is not None:
            raise ModelError(
                "it returns values that are not finite or not probabilities", where=str(self.model), advice=_NOT_SERVED
            )
        return outputs

    def _outputs_of(self, cutouts: NDArray[np.uint8]) -> ModelOutputs:
        size = self.signature.size_px
        if cutouts.dtype != np.uint8 or cutouts.ndim != 4 or cutouts.shape[1:] != (size, size, 3):
            raise ModelError(
                "these are not cutouts for this model",
                expected=f"uint8 (n, {size}, {size}, 3)",
                got=f"{cutouts.dtype} {cutouts.shape}",
            )
        parts = [self._run(cutouts[start : start + CHUNK]) for start in range(0, max(len(cutouts), 1), CHUNK)]
        columns = (np.concatenate(column) for column in zip(*parts, strict=True))
        named: dict[str, NDArray[np.float32]] = dict(zip(self._shapes, columns, strict=True))
        return ModelOutputs(
            named[PROBABILITIES],
            named[EMBEDDING],
            named.get(VOTE_FRACTIONS),
            named.get(RAW_VOTES),
            named.get(RAW_CONCENTRATIONS),
        )

    def classes_of(self, outputs: ModelOutputs) -> NDArray[np.int64]:
        """Return the predicted classes.

        Of the 13 classes, the one at which the walk ends: down the raw votes if the model has them, else down the
        probabilities. Of a model's own classes, the most probable one, the first of equal ones.

        Parameters
        ----------
        outputs : ModelOutputs
            Of this model.

        Returns
        -------
        int64, (n,)
            Indices into `signature.classes`.
        """
        return self._records.classes_of(outputs)

    def predict_cutouts(self, cutouts: NDArray[np.uint8], *, object_ids: Sequence[str]) -> list[Prediction]:
        """Predict existing cutouts, such as those of a prepared store; see `score` for faults.

        Parameters
        ----------
        cutouts : uint8, (n, size_px, size_px, 3), 0..255
        object_ids : sequence of str, (n,)
        """
        now = datetime.now(UTC)
        predictions = self._records.predictions(self._outputs_of(cutouts), object_ids, now)
        for row, pixels in enumerate(cutouts):
            if not has_content(pixels):
                predictions[row] = self._records.faulty(object_ids[row], no_content(), now)
        return predictions

    def _run(self, cutouts: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        planes = np.ascontiguousarray(cutouts.transpose(0, 3, 1, 2))
        outputs = self._session.run(list(self._shapes), planes, where=str(self.model))
        shapes = [(len(planes), *shape) for shape in self._shapes.values()]
        if [output.shape for output in outputs] != shapes:
            raise ModelError(
                "its outputs do not match its signature",
                where=str(self.model),
                expected=f"shapes {shapes}",
                got=[output.shape for output in outputs],
            )
        return outputs

    def _score_chunk(
        self,
        images: Sequence[Image | None],
        ids: Sequence[str],
        frames: Sequence[int | None],
        between: Callable[[], object],
        *,
        keep: bool,
    ) -> list[Prediction]:
        now = datetime.now(UTC)
        predictions: list[Prediction | None] = []
        arrays, flags = [], []
        for image, object_id, frame in zip(images, ids, frames, strict=True):
            between()
            try:
                data = b"" if image is None else image_bytes(image)
                made = flagged_cutout(data, self.parameters, frame_px=frame, limits=self.limits)
            except OSError as error:
                unreadable = CutoutError("unreadable", f"{image}: {error.strerror or error}")
                predictions.append(self._records.faulty(object_id, unreadable, now))
            except CutoutError as error:
                predictions.append(self._records.faulty(object_id, error, now))
            else:
                arrays.append(made.pixels)
                flags.append(made.flags)
                predictions.append(None)
        if not arrays:
            return [prediction for prediction in predictions if prediction is not None]
        between()
        outputs = self._outputs_of(np.stack(arrays))
        good_ids = [i for i, a in zip(ids, predictions, strict=True) if a is None]
        found = self._records.predictions(outputs, good_ids, now, flags)
        if keep:
            found = [replace(one, cutout=pixels) for one, pixels in zip(found, arrays, strict=True)]
        good = iter(found)
        return [next(good) if prediction is None else prediction for prediction in predictions]
