"""The threads of a server process that score batch jobs: one processes chunk after chunk, one sends heartbeats."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from time import monotonic

from galclass.database.jobs.queue import LOST_S, MAX_TRIES, Claim, JobItem, JobQueue
from galclass.database.jobs.sweep import Sweeper
from galclass.errors import DatabaseError, GalclassError
from galclass.scoring import ImageFault, Prediction, Scorer
from galclass.service.http.errors import public_message

log = logging.getLogger("galclass.service")

POLL_S = 0.5
"""Seconds between two polls for a job."""

BEAT_S = LOST_S / 5
"""Seconds between two heartbeats."""

HUNG_S = 120.0
"""Age of a chunk from which it gets no more heartbeats, so that another worker takes its job over."""

STOP_S = 3.0
"""Seconds that the chunk at hand gets to end when the server stops."""

RELEASE_S = 1.5
"""Seconds that the database gets to take back the job of one that did not."""


class JobWorker:
    """Scores jobs until it is stopped; several workers share a database.

    Parameters
    ----------
    queue : JobQueue
    sweeper : Sweeper
    scorer_of : callable
        Returns the scorer of a service by name and version.
    beats : JobQueue, optional
        For heartbeats, with a separate connection, so that they wait for nothing else; `queue` by default.
    """

    def __init__(
        self,
        queue: JobQueue,
        sweeper: Sweeper,
        scorer_of: Callable[[str, str], Scorer],
        beats: JobQueue | None = None,
    ) -> None:
        self._queue = queue
        self._sweeper = sweeper
        self._scorer_of = scorer_of
        self._beats = beats or queue
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._held: Claim | None = None
        self._held_since = 0.0
        self._owed: list[Claim] = []
        self._threads = [
            threading.Thread(target=self._run, name="jobs", daemon=True),
            threading.Thread(target=self._keep_beating, name="jobs-beat", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """Let the current chunk end; one that takes too long is released, and none of its results are saved.

        Returns
        -------
        bool
            False if the thread is still busy with such a chunk.
        """
        self._stop.set()
        self._threads[0].join(timeout_s)
        claim = self._let_go()
        if claim is None:
            return not self._threads[0].is_alive()
        log.warning("a chunk did not end in time: its job is given back", extra={"job": claim.job.id})
        # In a thread: if the database is unreachable too, the server stops all the same, and the claim expires.
        release = threading.Thread(target=self._give_back, args=(claim,), daemon=True)
        release.start()
        release.join(RELEASE_S)
        return False

    def _give_back(self, claim: Claim) -> None:
        try:
            self._beats.release(claim, lost=True)
        except GalclassError as error:
            log.warning("a job could not be given back", extra={"job": claim.job.id, "reason": str(error)})

    def _let_go(self) -> Claim | None:
        with self._lock:
            claim, self._held = self._held, None
            return claim

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                worked = self.work_once()
            except GalclassError as error:  # the database is unreachable: the job waits in it
                log.warning("jobs wait", extra={"reason": str(error)})
                worked = False
            except Exception:  # whatever the error, the next job must not wait for a restart of the server
                log.exception("looking for a job failed")
                worked = False
            if not worked:
                self._stop.wait(POLL_S)

    def _keep_beating(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                self.beat_once()
            except Exception as error:  # the claim ends by its age if this goes on
                log.warning("the heartbeat failed", extra={"reason": str(error)})

    def beat_once(self) -> None:
        """Renew the claim on the current chunk, unless it takes so long that its thread must hang.

        Raises
        ------
        DatabaseError
            If the database is unreachable.
        """
        with self._lock:
            claim, age = self._held, monotonic() - self._held_since
        if claim is None:
            return
        if age > HUNG_S:
            log.error("a chunk hangs: its job is left to another worker", extra={"job": claim.job.id})
            self._drop(claim)
        elif not self._beats.beat(claim):
            self._drop(claim)

    def _drop(self, claim: Claim) -> None:
        with self._lock:
            if self._held is claim:
                self._held = None

    def work_once(self) -> bool:
        """Score one chunk of the next job, then free some space; False if there was nothing to do.

        Raises
        ------
        DatabaseError
            If the database is unreachable; the job is unchanged.
        """
        while self._owed:
            self._queue.release(self._owed[-1])
            self._owed.pop()
        claim = self._queue.claim()
        if claim is not None:
            self._do(claim)
        swept = self._sweeper.step_if_due(busy=claim is not None)
        return swept or claim is not None

    def _do(self, claim: Claim) -> None:
        with self._lock:
            self._held, self._held_since = claim, monotonic()
        try:
            self._work(claim)
        except GalclassError as error:
            if error.code == DatabaseError.code:
                self._owed.append(claim)
                raise
            self._end(claim, public_message(error))
        except Exception:  # the traceback goes to the log; the job's error refers to it
            service = f"{claim.job.service}@{claim.job.version}"
            log.exception("job failed", extra={"job": claim.job.id, "service": service})
            self._end(claim, "the server failed on this job; its log has the reason")
        finally:
            self._drop(claim)

    def _work(self, claim: Claim) -> None:
        scorer = self._scorer_of(claim.job.service, claim.job.version)
        items = self._queue.next_items(claim)
        items = items[: getattr(scorer, "most_items", len(items))]  # a function may take long for each
        if not items:
            self._end(claim)
            return
        predictions = self._given_up(scorer, items) if claim.give_up else _scored(scorer, items)
        with self._lock:
            ours = self._held is claim
        if ours and not self._queue.save(claim, items, predictions):
            log.info("results of a job that was cancelled or taken over are dropped", extra={"job": claim.job.id})

    def _given_up(self, scorer: Scorer, items: list[JobItem]) -> Sequence[Prediction]:
        log.error("an image is given up", extra={"object_id": items[0].object_id})
        fault = ImageFault("worker_lost", f"{MAX_TRIES} workers were lost while they scored this image")
        return [Prediction(item.object_id, scorer.model, error=fault) for item in items]

    def _end(self, claim: Claim, error: str | None = None) -> None:
        with self._lock:
            ours = self._held is claim
        if ours:
            self._queue.finish(claim, error)


def _scored(scorer: Scorer, items: list[JobItem]) -> Sequence[Prediction]:
    return scorer.score(
        [item.img for item in items],
        object_ids=[item.object_id for item in items],
        frame_px=[item.frame_px for item in items],
    )
