"""The checkpoint of an unfinished run is kept when a run of other data or options begins in its folder.

Takes the folder `training/`; renames `checkpoint.pt` to `checkpoint-<inputs>.pt` and back.
"""

from __future__ import annotations

import os
from pathlib import Path

from galclass.errors import TrainingError
from galclass.train.checkpoint import CHECKPOINT, load_state_of_any_run, read_json

_DIGITS = 12


def take_turns(folder: Path, inputs_sha256: str, *, insist: bool = False) -> Path | None:
    """Put the checkpoint of these inputs in place, and set that of another unfinished run aside.

    Parameters
    ----------
    folder : Path
    inputs_sha256 : str
        Hash of this run's data and options.
    insist : bool
        Whether nothing is set aside unless there is a checkpoint of these inputs.

    Returns
    -------
    Path or None
        Where the other run's checkpoint is now; starting that run again resumes it.
    """
    path, own = folder / CHECKPOINT, _aside(folder, inputs_sha256)
    if insist and not own.is_file():
        return None
    other = _inputs_of(path)
    if other == inputs_sha256:
        return None
    kept = None
    if other is not None and other not in _finished(folder):
        kept = _aside(folder, other)
        os.replace(path, kept)
    if own.is_file():
        os.replace(own, path)
    return kept


def _finished(folder: Path) -> set[object]:
    """Return the hashes of the runs that are finished: the folder's, and those of its seeds, the best is a copy."""
    records = [folder / "trained.json", *folder.glob("seed_*/trained.json")]
    return {(read_json(path) or {}).get("inputs_sha256") for path in records}


def _aside(folder: Path, inputs_sha256: str) -> Path:
    return folder / f"checkpoint-{inputs_sha256[:_DIGITS]}.pt"


def _inputs_of(path: Path) -> str | None:
    """Return the hash of a checkpoint's inputs; None if there is none, or it cannot be read: who loads it says why."""
    try:
        return str(load_state_of_any_run(path)["inputs_sha256"])
    except (TrainingError, KeyError):
        return None
