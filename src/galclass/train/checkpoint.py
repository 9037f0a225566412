"""Files of a training run, each written under a temporary name and then renamed.

`checkpoint.pt` contains only tensors and plain values and is read with `weights_only=True`: loading runs no code.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from galclass.atomic_files import replacing, write_text
from galclass.config.paths import filled_in
from galclass.errors import TrainingError

FORMAT = 1
CHECKPOINT = "checkpoint.pt"


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a temporary file beside `path`, then rename it."""
    with replacing(path) as temporary:
        write(temporary)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file, two spaces deep."""
    write_text(path, json.dumps(values, indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None if there is no such file or it is not a JSON object."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return values if isinstance(values, dict) else None


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write one CSV row per epoch."""
    text = io.StringIO()
    if history:
        writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _rounded(value) for key, value in row.items()} for row in history)
    write_text(path, text.getvalue())


def _rounded(value: float) -> float | int:
    return value if isinstance(value, int) else float(f"{value:.6g}")


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint of tensors and plain values."""
    replace_file(path, lambda file: torch.save({"format": FORMAT, **state}, file))


def load_checkpoint(path: Path, inputs_sha256: str, *, must_match: bool) -> dict[str, Any] | None:
    """Read a checkpoint of a run with the same inputs.

    Parameters
    ----------
    path : Path
        The file; if there is none, None is returned.
    inputs_sha256 : str
        Hash of this run's data and options.
    must_match : bool
        Whether a missing checkpoint, or one with other inputs, is an error instead of None.

    Raises
    ------
    TrainingError
        If the file is damaged, or `must_match` is not met.
    """
    if not path.is_file():
        return _nothing("there is no checkpoint to resume", path, must_match)
    state = _read(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        return _nothing("the checkpoint has another format", path, must_match)
    if state["inputs_sha256"] != inputs_sha256:
        return _nothing("the checkpoint belongs to other data or options", path, must_match)
    return dict(state)


class StartingWeights(NamedTuple):
    """Initial weights: the network's tensors, those of the surveys' mapping, and the labels it maps to."""

    network: dict[str, torch.Tensor]
    observation: dict[str, torch.Tensor]
    observed: list[str]


def load_best_weights(path: Path) -> StartingWeights:
    """Read the best weights and the mapping to surveys' labels (empty if there is none) from any run's checkpoint.

    Raises
    ------
    TrainingError
        If there is no such file or it is damaged.
    """
    if not path.is_file():
        raise TrainingError("there is no such checkpoint", where=str(path), advice="see train.initial_weights")
    state = load_state_of_any_run(path)
    return StartingWeights(state["best"], state["observation"] or {}, state.get("observed") or [])


def load_state_of_any_run(path: Path) -> dict[str, Any]:
    """Read a checkpoint whatever the data and options of its run.

    Raises
    ------
    TrainingError
        If there is no such file, it is damaged, or it is not a checkpoint of this format.
    """
    if not path.is_file():
        raise TrainingError("there is no such checkpoint", where=str(path))
    state = _read(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise TrainingError("the checkpoint has another format", where=str(path))
    return state


def weights_path(text: str) -> Path:
    """Return the path in `train.initial_weights`, with `~` and `${NAME}` expanded."""
    return Path(filled_in(text))


def load_starting_weights(path: Path) -> StartingWeights:
    """Read initial weights: the best ones of any run's checkpoint, or the state dict of an encoder alone.

    A state dict's names become those of the network's body: without leading underscores.

    Raises
    ------
    TrainingError
        If there is no such file, or it contains anything but named tensors.
    """
    state = _read(path) if path.is_file() else None
    if not isinstance(state, dict) or "format" in state:
        return load_best_weights(path)
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise TrainingError("no weights", where=str(path), expected="a checkpoint, or a state dict of tensors by name")
    plain = {".".join(part.lstrip("_") for part in key.split(".")): value for key, value in state.items()}
    return StartingWeights({f"body.{key.removeprefix('body.')}": value for key, value in plain.items()}, {}, [])


_SAVED_BY_TORCH = (b"PK\3\4", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
"""How files of torch begin: a zip, or the magic number of versions before 1.6, in which many published weights are."""


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        if not file.read(len(_SAVED_BY_TORCH[1])).startswith(_SAVED_BY_TORCH):
            raise TrainingError(
                "it is not a training checkpoint",
                where=str(path),
                expected="a checkpoint.pt that `galclass train` wrote",
                advice="name another file; if it was a checkpoint once, restore it from a copy",
            )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise TrainingError(
            "the checkpoint is damaged",
            where=str(path),
            got=type(error).__name__,
            advice="move it elsewhere, or restore it from a copy, and train again",
        ) from error


def _nothing(what: str, path: Path, must_match: bool) -> dict[str, Any] | None:
    if not must_match:
        return None
    raise TrainingError(what, where=str(path), advice="leave out --resume to train from the start")
