"""Where a request's images are scored: short work at once on the event loop, the rest in the bounded pool.

Handing one image to a thread and back costs as much processor time as a small model takes to answer.
So a lone small image is scored in place while the model is known to be quick.
"""

from __future__ import annotations

from time import thread_time

from galclass.errors import CutoutError
from galclass.preprocess import read_header
from galclass.scoring import Prediction
from galclass.service.inputs import ImageInput
from galclass.service.metrics import Metrics
from galclass.service.models import LoadedModels
from galclass.service.pool import ScoringPool
from galclass.service.published import PublishedService

QUICK_S = 0.006
"""Mean processor time for one image up to which a model may hold up the event loop."""

_SMALL_BYTES = 256 * 1024
_SMALL_PIXELS = 1_000_000
_MOST_TOGETHER = 8
_TOGETHER_S = 0.02
"""Images of waiting requests that are scored at one time, and the time that may take: code and weights then come
into the processor's caches once for all of them."""

_WEIGHT = 0.05
"""Weight of the newest time in the running mean."""

_IMAGES_A_JOB = 16
"""Images of one request that are scored before others get their turn."""


class ImageScoring:
    """Scores the images of requests.

    Parameters
    ----------
    models : LoadedModels
    pool : ScoringPool
    metrics : Metrics
    """

    def __init__(self, models: LoadedModels, pool: ScoringPool, metrics: Metrics) -> None:
        self._models = models
        self._pool = pool
        self._metrics = metrics
        self._seconds: dict[str, float] = {}

    async def score(
        self, service: PublishedService, images: tuple[ImageInput, ...], frame_px: int | None
    ) -> list[Prediction]:
        """Give a prediction for each image.

        Raises
        ------
        RequestError
            `overloaded`.
        """
        if self._is_short(service, images):
            return self.score_now(service, images, frame_px)
        predictions: list[Prediction] = []
        for start in range(0, len(images), _IMAGES_A_JOB):
            part = images[start : start + _IMAGES_A_JOB]
            predictions += await self._pool.run(self._job, service, part, frame_px)
        self._count(service, predictions)
        return predictions

    def score_now(
        self, service: PublishedService, images: tuple[ImageInput, ...], frame_px: int | None
    ) -> list[Prediction]:
        """Give a prediction for each image in the thread that asks; right where `together` allows it."""
        predictions = self._job(service, images, frame_px)
        self._count(service, predictions)
        return predictions

    def _count(self, service: PublishedService, predictions: list[Prediction]) -> None:
        for prediction in predictions:
            self._metrics.count_image(service.record.name, prediction.error.code if prediction.error else "ok")

    def together(self, service: PublishedService) -> int:
        """Give how many small images may be scored at one time in the thread that asks; 0: leave it to the pool."""
        seconds = self._seconds.get(service.model.sha256, 1.0)
        if seconds > QUICK_S or not self._models.has(service.model):
            return 0  # what waits in the pool is no reason: under load small images would then never leave it
        return max(1, min(_MOST_TOGETHER, int(_TOGETHER_S / seconds)))

    def _is_short(self, service: PublishedService, images: tuple[ImageInput, ...]) -> bool:
        return len(images) == 1 and self.together(service) > 0 and is_small(images[0].data)

    def _job(self, service: PublishedService, images: tuple[ImageInput, ...], frame_px: int | None) -> list[Prediction]:
        scorer = self._models.get(service.model)
        started = thread_time()
        predictions = scorer.score(
            [image.data for image in images], object_ids=[image.object_id for image in images], frame_px=frame_px
        )
        spent = thread_time() - started  # a busy machine makes a model late, not costly
        self._metrics.count_scoring(spent)
        newest = spent / len(images)
        mean = self._seconds.get(scorer.sha256, newest)
        self._seconds[scorer.sha256] = mean + _WEIGHT * (newest - mean)
        return predictions


def is_small(data: bytes) -> bool:
    """Say whether an image is decoded in no time; one that is no image is refused as fast."""
    if len(data) > _SMALL_BYTES:
        return False
    try:
        header = read_header(data)
    except CutoutError:
        return True
    return header.width * header.height <= _SMALL_PIXELS
