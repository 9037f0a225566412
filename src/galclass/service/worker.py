"""The thread of a server process that scores batch jobs, one chunk after another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic

from galclass.errors import DatabaseError, GalclassError
from galclass.scoring import Scorer
from galclass.service.errors import told
from galclass.service.jobs import Job, JobItem, Jobs

log = logging.getLogger("galclass.service")

POLL_S = 0.5
"""Seconds between two looks for a job."""

_EXPIRE_EVERY_S = 60.0


class JobWorker:
    """Scores jobs until it is stopped; several workers share a database.

    Parameters
    ----------
    jobs : Jobs
    scorer_of : callable
        Gives the scorer of a service by name and version.
    """

    def __init__(self, jobs: Jobs, scorer_of: Callable[[str, str], Scorer]) -> None:
        self._jobs = jobs
        self._scorer_of = scorer_of
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._expired_at = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the chunk at hand; the rest of its job is taken over by the next worker."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                worked = self.work_once()
            except GalclassError as error:  # the database is away: the job waits in it
                log.warning("jobs wait", extra={"reason": str(error)})
                worked = False
            except Exception:  # whatever it was, the next job must not wait for a restart of the server
                log.exception("looking for a job failed")
                worked = False
            if not worked:
                self._stop.wait(POLL_S)

    def work_once(self) -> bool:
        """Take one job and score it to its end; False when there was none.

        Raises
        ------
        DatabaseError
            If the database is away; the job stays as it is, to be taken over.
        """
        if monotonic() - self._expired_at > _EXPIRE_EVERY_S:
            self._jobs.expire()
            self._expired_at = monotonic()
        job = self._jobs.claim()
        if job is None:
            return False
        try:
            self._score(job, self._scorer_of(job.service, job.version))
        except GalclassError as error:
            if error.code == DatabaseError.code:
                raise
            self._jobs.finish(job.id, told(error))
        except Exception:  # the traceback goes to the log; whoever reads the job is told where to look
            log.exception("job failed", extra={"job": job.id, "service": f"{job.service}@{job.version}"})
            self._jobs.finish(job.id, "the server failed on this job; its log has the reason")
        return True

    def _score(self, job: Job, scorer: Scorer) -> None:
        after = -1  # a job that was taken over may have answers anywhere: it is looked through once from its start
        while items := self._jobs.next_items(job.id, after):
            if self._stop.is_set() or not self._answer(job, scorer, items):
                return
            after = items[-1].position
        self._jobs.finish(job.id)
        log.info("job done", extra={"job": job.id, "service": f"{job.service}@{job.version}"})

    def _answer(self, job: Job, scorer: Scorer, items: list[JobItem]) -> bool:
        predictions = scorer.score(
            [item.img for item in items],
            object_ids=[item.object_id for item in items],
            frame_px=[item.frame_px for item in items],
        )
        return self._jobs.save(job.id, items, predictions)
