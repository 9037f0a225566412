"""Where a request's images are scored.

Single images that wait are scored together: light ones for a quick model on the event loop, if the process has one
core and a thread would only cost a hand-over; the others in the threads of the quick pool. Images of larger requests
go through the pool, and an image whose decode is expected to take long through the slow lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import thread_time
from typing import NamedTuple

from galclass.scoring import Prediction
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA
from galclass.service.engine.lane import SlowLane, is_light, is_quick
from galclass.service.engine.models import LoadedModels
from galclass.service.engine.pool import ScoringPool
from galclass.service.engine.published import PublishedService
from galclass.service.engine.together import Together
from galclass.service.http.inputs import ImageInput
from galclass.service.http.metrics import Metrics, Predicted

QUICK_S = 0.006
"""Mean CPU time for one image up to which a model may use the quick pool or the event loop."""

_SMALL_BYTES = 256 * 1024
_MOST_TOGETHER = 8
_TOGETHER_S = 0.03
"""Images of waiting requests that are scored at a time, and the time that may take."""

_STALLED_S = 0.1
"""CPU time of a round on the event loop after which a model is never run there again: its run times vary."""

_WEIGHT = 0.05
"""Weight of the newest time in the running mean."""

_IMAGES_A_JOB = 16
"""Images of one request that are scored before others get their turn."""

Partly = list[Prediction | None]
"""Predictions of images; None for one that belongs in the slow lane."""


class _Kind(NamedTuple):
    """What images scored together have in common."""

    service: PublishedService
    frame_px: int | None

    def __hash__(self) -> int:
        return hash((self.service.record.name, self.service.model, self.frame_px))


class ImageScoring:
    """Scores the images of requests.

    Parameters
    ----------
    models : LoadedModels
    pool : ScoringPool
        For work not known to be quick.
    quick : ScoringPool
        For single small images.
    loading : ScoringPool
        For trying and loading models: a slow one does not delay images of other models.
    lane : SlowLane
    metrics : Metrics
    """

    def __init__(
        self,
        models: LoadedModels,
        pool: ScoringPool,
        quick: ScoringPool,
        loading: ScoringPool,
        lane: SlowLane,
        metrics: Metrics,
    ) -> None:
        self._models = models
        self._loading = loading
        self._pool = pool
        self._quick = quick
        self._lane = lane
        self._metrics = metrics
        self._seconds: dict[str, float] = {}
        self._one_core = quick.threads == 1
        self._stalled: set[str] = set()
        waiting = quick.max_waiting * _MOST_TOGETHER
        self._here: Together[_Kind, ImageInput, Prediction] = Together(self._round_here, self._most, 1, waiting)
        self._together: Together[_Kind, ImageInput, Prediction | None] = Together(
            self._round, self._most, quick.threads, waiting
        )

    async def score(
        self, service: PublishedService, images: tuple[ImageInput, ...], frame_px: int | None
    ) -> list[Prediction]:
        """Return a prediction for each image.

        Raises
        ------
        RequestError
            `overloaded`.
        """
        kind = _Kind(service, frame_px)
        if not self._models.has(service.model):
            await self._loading.run(self._models.get, service.model)
        partly: Partly = []
        if len(images) == 1 and self._may_run_here(kind) and is_light(images[0].data):
            partly.append(await self._here.add(kind, images[0]))
        elif len(images) == 1 and len(images[0].data) <= _SMALL_BYTES:
            partly.append(await self._together.add(kind, images[0]))
        else:
            for start in range(0, len(images), _IMAGES_A_JOB):
                partly += await self._pool.run(self._quick_ones, kind, images[start : start + _IMAGES_A_JOB])
        predictions = [
            one if one is not None else (await self._lane.run(self._job, kind, (image,)))[0]
            for one, image in zip(partly, images, strict=True)
        ]
        for prediction, image in zip(predictions, images, strict=True):
            self._count(service, prediction, len(image.data))
        return predictions

    def _count(self, service: PublishedService, prediction: Prediction, image_bytes: int) -> None:
        name, version = service.record.name, service.record.version
        self._metrics.count_image(name, prediction.error.code if prediction.error else "ok")
        confidence = max(prediction.probabilities or (0.0,))
        is_unlike = UNLIKE_TRAINING_DATA in prediction.flags
        found = Predicted(name, version, prediction.predicted_class, confidence, is_unlike, image_bytes)
        self._metrics.count_prediction(found)

    async def _round_here(self, kind: _Kind, images: list[ImageInput]) -> list[Prediction]:
        started = thread_time()
        predictions = self._job(kind, images)
        if thread_time() - started > _STALLED_S:
            self._stalled.add(kind.service.model.sha256)
        return predictions

    async def _round(self, kind: _Kind, images: list[ImageInput]) -> Partly:
        pool = self._quick if self._is_quick(kind) else self._pool
        return await pool.run(self._quick_ones, kind, images)

    def _most(self, kind: _Kind) -> int:
        """Return how many images may be scored at a time."""
        return max(1, min(_MOST_TOGETHER, int(_TOGETHER_S / self._mean(kind))))

    def _may_run_here(self, kind: _Kind) -> bool:
        return self._one_core and self._is_quick(kind) and kind.service.model.sha256 not in self._stalled

    def _is_quick(self, kind: _Kind) -> bool:
        return self._mean(kind) <= QUICK_S and self._models.has(kind.service.model)

    def _mean(self, kind: _Kind) -> float:
        return self._seconds.get(kind.service.model.sha256, 1.0)

    def _quick_ones(self, kind: _Kind, images: Sequence[ImageInput]) -> Partly:
        """Score the images that are quick; whether one is takes reading its markers, which is work for a thread."""
        quick = [is_quick(image.data) for image in images]
        scored = iter(self._job(kind, [image for image, one in zip(images, quick, strict=True) if one]))
        return [next(scored) if one else None for one in quick]

    def _job(self, kind: _Kind, images: Sequence[ImageInput]) -> list[Prediction]:
        if not images:
            return []
        scorer = self._models.get(kind.service.model)
        started = thread_time()
        predictions = scorer.score(
            [image.data for image in images], object_ids=[image.object_id for image in images], frame_px=kind.frame_px
        )
        spent = thread_time() - started  # on a busy machine a model is late, not costly
        self._metrics.count_scoring(spent)
        newest = spent / len(images)
        mean = self._seconds.get(scorer.sha256, newest)
        self._seconds[scorer.sha256] = mean + _WEIGHT * (newest - mean)
        return predictions
