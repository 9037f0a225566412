"""Runs in the background, images that spoil them, and processes that wait in one."""

from __future__ import annotations

import threading
from pathlib import Path

from galclass.cluster.score import ClusterScoreSummary, score_on_cluster
from galclass.errors import ClusterError


class Run(threading.Thread):
    """A run in the background."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__()
        self._call = lambda: score_on_cluster(*arguments, **options, progress=False)
        self.summary: ClusterScoreSummary | None = None
        self.error: ClusterError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.summary = self._call()
        except ClusterError as error:
            self.error = error

    def result(self) -> ClusterScoreSummary:
        self.join(120)
        assert self.summary is not None, self.error
        return self.summary


def spoil(folder: Path, names: list[str], how: bytes) -> None:
    for name in names:
        path = folder / f"{name}.jpg"
        path.write_bytes(path.read_bytes() + how)


def waiting(gate: Path) -> list[int]:
    return [int(path.name.partition("-")[2]) for path in gate.glob("waiting-*")]
