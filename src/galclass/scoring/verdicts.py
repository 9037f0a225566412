"""Which models passed their trial on this machine, kept in files so that each is tried once.

Takes what a verdict depends on, returns the verdict or none. A file counts only if it and its folder belong to this
user and no one else may write there; where no folder can be used, every process tries models again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from galclass.atomic_files import replacing

FOLDER_VARIABLE = "GALCLASS_CACHE"
"""Environment variable: folder for what can be recomputed; by default `galclass` in the user's cache."""

_MOST_BYTES = 4096
log = logging.getLogger("galclass.scoring")


@dataclass(frozen=True)
class Verdict:
    """Result of a trial: the largest difference from the probe's recorded probabilities, None without a probe."""

    difference: float | None


def verdict_path(facts: Mapping[str, Any]) -> Path:
    """Return the file of the verdict that depends on these facts."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        folder = os.path.join(cache, "galclass")
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return Path(folder) / "models" / f"{name}.json"


def recall(facts: Mapping[str, Any]) -> Verdict | None:
    """Return the stored verdict; None if there is none, or it cannot be trusted."""
    path = verdict_path(facts)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not (_is_ours(os.fstat(file.fileno())) and _is_ours(path.parent.stat())):
                return None
            kept = json.loads(file.read(_MOST_BYTES))
        difference = kept["difference"]
        if kept["facts"] != facts:
            return None
        return Verdict(None if difference is None else float(difference))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def keep(facts: Mapping[str, Any], verdict: Verdict) -> None:
    """Store a verdict, if there is a folder for it."""
    path = verdict_path(facts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(path) as temporary:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # for this user only
            with os.fdopen(descriptor, "w") as file:
                json.dump({"facts": facts, "difference": verdict.difference}, file)
    except OSError as error:
        log.debug("a verdict on a model is not kept", extra={"path": str(path), "reason": str(error)})


def _is_ours(facts: os.stat_result) -> bool:
    if not hasattr(os, "getuid"):
        return True
    return facts.st_uid == os.getuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
