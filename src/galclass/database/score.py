"""The worker: images that have no prediction of a model version -> rows of `galaxy_predictions`.

Works on any database and needs no special right. Stop it at any time and start it again: nothing is scored
twice, nothing is lost. Several workers share the work.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from galclass.cutouts import LOCAL, DecodeLimits
from galclass.database.connection import Database
from galclass.database.images import AddSummary
from galclass.database.listen import Waker
from galclass.database.queue import ScoreQueue
from galclass.database.references import Reference, parse_reference
from galclass.database.registry import Registry
from galclass.scoring import CHUNK, ModelId, Scorer
from galclass.scoring.predict import foreign_sentence, mostly_unlike
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA

DEFAULT_MODEL = "galaxy"
REFILL_S = 60.0
"""How often a watching worker looks for images that the trigger did not queue."""


SHOWN = 5
"""Rejected images that a summary names."""
REJECTS_QUERY = 'galclass sql "select object_id, error from galaxy_predictions where error is not null"'


@dataclass(frozen=True)
class ScoreSummary:
    """What a run of the worker did.

    Attributes
    ----------
    rejects : tuple of (object_id, reason)
        The first images without a prediction.
    images : AddSummary or None
        Outcome for the prepared images, where the stage added them first.
    unlike : int
        Images with the flag unlike_training_data.
    claimed : int
        Images without a prediction that other workers have claimed.
    by_version : tuple of (ModelId, int)
        How many images each version scored, where the alias was moved meanwhile.
    """

    model: ModelId
    scored: int
    rejected: int
    seconds: float
    rejects: tuple[tuple[str, str], ...] = ()
    images: AddSummary | None = None
    unlike: int = 0
    claimed: int = 0
    by_version: tuple[tuple[ModelId, int], ...] = ()

    @property
    def foreign(self) -> bool:
        """Whether most of the images are unlike what the model was trained on."""
        return mostly_unlike(self.unlike, self.scored - self.rejected)

    @property
    def complete(self) -> bool:
        """Whether no image was rejected, neither before scoring nor by it."""
        return not (self.rejected or (self.images is not None and self.images.rejects))

    def __str__(self) -> str:
        foreign = [foreign_sentence(self.unlike, self.scored - self.rejected, str(self.model))] if self.foreign else []
        return "\n".join([*self._not_added(), self._scoring(), *self._left(), *foreign])

    def _left(self) -> list[str]:
        if not self.claimed:
            return []
        return [
            f"{self.claimed:,} images are left to another worker, which has claimed them; if it has stopped, "
            "run this again in a minute"
        ]

    def _not_added(self) -> list[str]:
        if self.images is None or not self.images.rejects:
            return []
        hidden = len(self.images.rejects) - SHOWN
        more = [f"and {hidden:,} more"] if hidden > 0 else []
        return [*(f"rejected {reject}" for reject in self.images.rejects[:SHOWN]), *more, f"images: {self.images}"]

    def _scoring(self) -> str:
        if not self.scored and self.claimed:
            return f"score: nothing to do now with {self.model}"
        if not self.scored:
            return f"score: nothing to do, every image has a prediction of {self.model}"
        rate = self.scored / max(self.seconds, 1e-9)
        models = f"with {self.model}"
        if len(self.by_version) > 1:
            models = f"({', '.join(f'{count:,} with {model}' for model, count in self.by_version)})"
        line = (
            f"score: {self.scored:,} images {models}, {self.rejected:,} rejected, "
            f"{self.seconds:.1f} s, {rate:,.0f} images/s"
        )
        rejects = [f"rejected {object_id}: {reason}" for object_id, reason in self.rejects]
        return "\n".join([*rejects, line, *([f"all rejects: {REJECTS_QUERY}"] if self.rejected else [])])


def score_pending(
    database: Database,
    model: str = DEFAULT_MODEL,
    *,
    chunk: int = CHUNK,
    watch: bool = False,
    progress: bool = False,
    stopped: Callable[[], bool] = lambda: False,
    limits: DecodeLimits = LOCAL,
) -> ScoreSummary:
    """Score every image that the model version has not scored.

    Parameters
    ----------
    database : Database
    model : str
        NAME, NAME@VERSION or NAME@ALIAS; a moved alias takes effect at the next chunk.
    chunk : int
        Images a transaction.
    watch : bool
        Go on and wait for new images until `stopped` or interrupted.
    progress : bool
        Whether to draw a progress bar.
    stopped : callable
        Called before each chunk; ends the work by returning true.
    limits : DecodeLimits
        How long an image may take to decode.

    Raises
    ------
    RegistryError, ModelError
        If the model is unknown or its bytes are not sound.
    """
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TimeRemainingColumn

    worker = _Worker(database, parse_reference(model), chunk, limits)
    with Progress(
        SpinnerColumn(), *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(),
        disable=not progress, transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("score", total=worker.queue.count())
        worker.advance = lambda count: bar.advance(task, count)
        with Waker(database) as waker:
            worker.run(watch, stopped, waker)
    return worker.summary()


class _Worker:
    def __init__(self, database: Database, reference: Reference, chunk: int, limits: DecodeLimits) -> None:
        self._database = database
        self._reference = reference
        self._registry = Registry(database)
        self._chunk = chunk
        self._limits = limits
        self._started = time.perf_counter()
        self._scored = self._rejected = self._unlike = 0
        self._rejects: list[tuple[str, str]] = []
        self._by_version: Counter[ModelId] = Counter()
        self._after = ""
        self.advance: Callable[[int], None] = lambda count: None
        self._load()

    def _load(self) -> None:
        record = self._registry.get(self._reference)
        self.scorer: Scorer = record.scorer(limits=self._limits)
        self.queue = ScoreQueue(self._database, record.model)
        self._refill()

    def _refill(self) -> None:
        self._refilled = time.monotonic()
        self.queue.release_dead()
        self.queue.fill()

    def run(self, watch: bool, stopped: Callable[[], bool], waker: Waker) -> None:
        """Work until the queue is empty, or indefinitely."""
        try:
            while not stopped():
                self._follow_alias()
                if self._one_chunk():
                    continue
                if not watch:
                    return
                waker.wait()
                if time.monotonic() - self._refilled > REFILL_S:
                    self._refill()
        finally:
            self.queue.release()

    def _follow_alias(self) -> None:
        name, alias = self._reference.name, self._reference.alias
        if alias is not None and self._registry.points_at(name, alias) != self.scorer.model.version:
            self.queue.release()
            self._load()

    def _one_chunk(self) -> bool:
        ids = self.queue.claim(self._chunk, after=self._after)
        if not ids and self._after:
            self._after = ""  # round again: chunks that others gave back lie behind
            ids = self.queue.claim(self._chunk)
        if not ids:
            return False
        self._after = ids[-1]
        rows = self.queue.fetch(ids)
        predictions = self.scorer.score(
            [img for _, img, _ in rows], object_ids=[key for key, _, _ in rows], frame_px=[px for _, _, px in rows]
        )
        written = self.queue.finish(ids, predictions)
        self._scored += len(written)
        self._by_version[self.scorer.model] += len(written)
        rejects = [(one.object_id, str(one.error)) for one in written if one.error is not None]
        self._rejected += len(rejects)
        self._unlike += sum(UNLIKE_TRAINING_DATA in one.flags for one in written)
        self._rejects += rejects[: SHOWN - len(self._rejects)]
        self.advance(len(written))
        return True

    def summary(self) -> ScoreSummary:
        """Summarise what was done so far."""
        seconds = time.perf_counter() - self._started
        return ScoreSummary(
            self.scorer.model, self._scored, self._rejected, seconds, tuple(self._rejects), unlike=self._unlike,
            claimed=self.queue.count_claimed(), by_version=tuple(self._by_version.items()),
        )  # fmt: skip
