"""`galclass score --pending` as a process that waits, in the middle of a chunk, for the test to go on."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = """
import os, sys, time
from pathlib import Path
from galclass.cli import main
from galclass.database.queue import ScoreQueue

gate, chunks = Path(sys.argv.pop(1)), int(sys.argv.pop(1))
fetch = ScoreQueue.fetch

def fetch_or_wait(queue, ids):
    global chunks
    chunks -= 1
    if chunks == -1:
        (gate / f"waiting-{os.getpid()}").touch()
        while not (gate / "open").exists():
            time.sleep(0.01)
    return fetch(queue, ids)

ScoreQueue.fetch = fetch_or_wait
main()
"""


class GatedWorker:
    """A scoring process that has finished so many chunks, has claimed one more and waits.

    Parameters
    ----------
    url : str
        The database.
    gate : Path
        An empty folder of its own.
    chunks : int
        How many chunks it finishes before it waits.
    """

    def __init__(self, url: str, gate: Path, chunks: int) -> None:
        self._gate = gate
        command = [sys.executable, "-c", PROGRAM, str(gate), str(chunks), "score", "--pending", "--database", url]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait(self) -> None:
        """Wait until it waits."""
        wait_until(lambda: (self._gate / f"waiting-{self.process.pid}").exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.communicate()

    def end(self, signal_number: int | None = None) -> tuple[int, str]:
        """Send it a signal, or let it go on; return its exit status and output."""
        if signal_number is None:
            (self._gate / "open").touch()
        else:
            self.process.send_signal(signal_number)
        output, _ = self.process.communicate(timeout=120)
        return self.process.returncode, output


@contextmanager
def gated_worker(url: str, chunks: int = 3) -> Iterator[GatedWorker]:
    """Start a worker; kill it if the block leaves it running."""
    with tempfile.TemporaryDirectory(prefix="galclass-gate-") as gate:
        worker = GatedWorker(url, Path(gate), chunks)
        try:
            yield worker
        finally:
            worker.process.kill()
            worker.process.communicate()


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Look until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)
