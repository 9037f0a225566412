"""The journal of a store that is being filled: one line of JSON a chunk, written once its pixels are on the disk.

Takes lines, returns them up to the first incomplete one. Pixels are flushed to the disk in the background, twice a
second, so that the disk works beside the decoder and a power cut costs a second.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from galclass.atomic_files import replacing

EVERY_S = 0.5
"""Seconds between two waits for the disk; what an interruption can cost at most, besides the chunks in work."""


class Journal:
    """Appends lines, each after the pixels it speaks of are on the disk.

    Parameters
    ----------
    path : Path
        The journal.
    pixels : Path
        The file that the lines speak of; its pages are written before each batch of lines.
    """

    def __init__(self, path: Path, pixels: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._pixels = pixels.open("rb")
        self._waiting: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._synced = time.monotonic()
        self._thread: threading.Thread | None = None
        self._fault: OSError | None = None

    def add(self, line: dict[str, Any]) -> None:
        """Take a line; it is written within seconds.

        Raises
        ------
        OSError
            If an earlier line could not be written.
        """
        if self._fault is not None:
            raise self._fault
        with self._lock:
            self._waiting.append(line)
        idle = self._thread is None or not self._thread.is_alive()
        if idle and time.monotonic() - self._synced > EVERY_S:
            self._thread = threading.Thread(target=self._in_background, name="journal")
            self._thread.start()

    def close(self) -> None:
        """Write what is waiting, and close."""
        if self._file.closed:
            return
        if self._thread is not None:
            self._thread.join()
        try:
            self._write_waiting()
        finally:
            self._file.close()
            self._pixels.close()

    def _in_background(self) -> None:
        try:
            self._write_waiting()
        except OSError as error:
            self._fault = error

    def _write_waiting(self) -> None:
        with self._lock:
            lines, self._waiting = self._waiting, []
        os.fdatasync(self._pixels.fileno())
        self._file.writelines(json.dumps(line) + "\n" for line in lines)
        self._file.flush()
        self._synced = time.monotonic()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the journal up to the first line that is not whole."""
    lines: list[dict[str, Any]] = []
    if not path.exists():
        return lines
    with path.open(encoding="utf-8") as file:
        for text in file:
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines


def write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Replace a journal."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
