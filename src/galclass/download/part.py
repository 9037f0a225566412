"""The unfinished file of a fetch and what is known of the file it is a part of.

Writes `<name>.part`, and `<name>.part.json` with the URL and the version (ETag, date, size) its bytes belong to.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from galclass.atomic_files import write_text
from galclass.download.stores import shown
from galclass.errors import DownloadError


def begun_url(target: Path) -> str | None:
    """Return the URL (as `shown`) that an unfinished file came from, if there is one."""
    return _read_facts(target).get("url")


def _facts_path(target: Path) -> Path:
    return target.with_name(target.name + ".part.json")


def _read_facts(target: Path) -> dict[str, Any]:
    try:
        facts = json.loads(_facts_path(target).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


class Part:
    """The unfinished file; a part of another URL's file is discarded.

    Parameters
    ----------
    target : path
        Where the whole file shall lie.
    url : str
        Where the bytes come from.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.target, self.url = target, url
        self.path = target.with_name(target.name + ".part")
        self._facts_path = _facts_path(target)
        self.facts = _read_facts(target)
        if self.facts.get("url") != shown(url):
            self.restart()

    @property
    def bytes(self) -> int:
        """Bytes there are."""
        return self.path.stat().st_size if self.path.exists() else 0

    def restart(self) -> None:
        """Throw away what there is."""
        self.path.unlink(missing_ok=True)
        self._facts_path.unlink(missing_ok=True)
        self.facts = {}

    def identify(self, identity: dict[str, Any]) -> None:
        """Remember which version of the file the bytes belong to."""
        self.facts = {"url": shown(self.url), **identity}
        write_text(self._facts_path, json.dumps(self.facts), lasting=False)  # a damaged one is none

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep another process from writing the same part (where the system has file locks)."""
        if sys.platform == "win32":
            yield
            return
        import fcntl

        lock_path = self.path.with_name(self.path.name + ".lock")
        with lock_path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                advice = "wait for it, or use another workspace"
                raise DownloadError(
                    "another process is fetching this file", where=str(self.target), advice=advice
                ) from error
            try:
                yield
            finally:
                lock_path.unlink(missing_ok=True)

    def can_resume(self, has_checksum: bool) -> bool:
        """Whether a wrong continuation would be noticed: by the server's word for the version, or by checksum."""
        return bool(self.bytes) and bool(self.facts.get("e_tag") or self.facts.get("last_modified") or has_checksum)

    def finish(self) -> None:
        """Move the whole file into place."""
        os.replace(self.path, self.target)
        self._facts_path.unlink(missing_ok=True)
