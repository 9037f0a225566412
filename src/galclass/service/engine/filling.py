"""Computes the embeddings that a model lacks, in a separate thread: one model at a time per process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from galclass.database.embeddings import Embeddings
from galclass.errors import GalclassError
from galclass.scoring import Scorer

log = logging.getLogger("galclass.service")


class Filling:
    """A thread that fills the table of embeddings; those computed before it is stopped are kept.

    Parameters
    ----------
    embeddings : Embeddings
    """

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._model = ""

    def start(self, model_sha256: str, scorer: Callable[[], Scorer]) -> bool:
        """Start for a model; False while another one is in progress, or after `stop`.

        Parameters
        ----------
        model_sha256 : str
        scorer : callable
            Loads the model, in the thread.
        """
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return self._model == model_sha256
            if self._stop.is_set():
                return False
            self._model = model_sha256
            self._thread = threading.Thread(target=self._run, args=(scorer,), name="embeddings", daemon=True)
            self._thread.start()
            return True

    def fills(self, model_sha256: str) -> bool:
        """Return whether a model's embeddings are being computed."""
        thread = self._thread
        return thread is not None and thread.is_alive() and self._model == model_sha256

    def stop(self, timeout_s: float) -> bool:
        """Stop after the current chunk; return whether it ended in time."""
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def _run(self, scorer: Callable[[], Scorer]) -> None:
        try:
            self._embeddings.fill(scorer(), stopped=self._stop.is_set)
        except GalclassError as error:
            log.error("embeddings cannot be computed: %s", error)
