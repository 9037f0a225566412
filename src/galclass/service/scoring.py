"""Where a request's images are scored: short work at once on the event loop, the rest in the bounded pool.

Handing one image to a thread and back costs as much processor time as a small model takes to answer.
So a lone small image is scored in place while the model is known to be quick and nothing waits.
"""

from __future__ import annotations

from time import perf_counter

from galclass.errors import CutoutError
from galclass.preprocess import read_header
from galclass.scoring import Prediction
from galclass.service.inputs import ImageInput
from galclass.service.metrics import Metrics
from galclass.service.models import LoadedModels
from galclass.service.pool import ScoringPool
from galclass.service.published import PublishedService

QUICK_S = 0.006
"""Mean time for one image up to which a model may hold up the event loop."""

_SMALL_BYTES = 256 * 1024
_SMALL_PIXELS = 1_000_000
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
            predictions = self._job(service, images, frame_px)
        else:
            predictions = []
            for start in range(0, len(images), _IMAGES_A_JOB):
                part = images[start : start + _IMAGES_A_JOB]
                predictions += await self._pool.run(self._job, service, part, frame_px)
        for prediction in predictions:
            self._metrics.count_image(service.record.name, prediction.error.code if prediction.error else "ok")
        return predictions

    def _is_short(self, service: PublishedService, images: tuple[ImageInput, ...]) -> bool:
        if len(images) != 1 or len(images[0].data) > _SMALL_BYTES or self._pool.pending:
            return False
        if self._seconds.get(service.model.sha256, 1.0) > QUICK_S or not self._models.has(service.model):
            return False
        try:
            header = read_header(images[0].data)
        except CutoutError:
            return True  # it is refused again at once, as a record
        return header.width * header.height <= _SMALL_PIXELS

    def _job(self, service: PublishedService, images: tuple[ImageInput, ...], frame_px: int | None) -> list[Prediction]:
        scorer = self._models.get(service.model)
        started = perf_counter()
        predictions = scorer.score(
            [image.data for image in images], object_ids=[image.object_id for image in images], frame_px=frame_px
        )
        newest = (perf_counter() - started) / len(images)
        mean = self._seconds.get(scorer.sha256, newest)
        self._seconds[scorer.sha256] = mean + _WEIGHT * (newest - mean)
        return predictions
