"""Distillation: a teacher's predictions for every cutout, written once, and the loss of learning them.

Takes a model with a signature and a prepared store, returns predictions for several angles of each cutout; takes a
student's outputs, returns the loss of each row. Rows without predictions contribute nothing; rows without labels may
have some.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from galclass.catalog.votes import STEMS
from galclass.config import TrainConfig
from galclass.errors import TrainingError
from galclass.morphology import CLASSES, QUESTIONS
from galclass.scoring.session import open_session, read_signature
from galclass.train.augment import fixed, warp
from galclass.train.checkpoint import replace_file, weights_path
from galclass.train.dataset import TrainingData, vote_reach
from galclass.train.networks import Outputs
from galclass.train.raw_votes import dirichlets

_CHUNK = 64
_WIDTHS = [len(question.answers) for question in QUESTIONS.values()]
_PARTS = {"probabilities": len(CLASSES), "raw_votes": len(STEMS), "raw_concentrations": len(QUESTIONS)}
_PARTS |= {"vote_fractions": len(STEMS)}
"""The outputs that are kept, and how many numbers each has."""


@dataclass(frozen=True)
class TeacherPredictions:
    """A teacher's predictions for each index row at several angles; NaN for rows it did not predict.

    Attributes
    ----------
    probabilities : float32, (n, angles, 13)
        Of the classes.
    raw_votes, raw_concentrations : float32, (n, angles, 37), (n, angles, 11), or None
        The distribution of raw votes.
    vote_fractions : float32, (n, angles, 37), or None
        Debiased fractions.
    """

    probabilities: Tensor
    raw_votes: Tensor | None = None
    raw_concentrations: Tensor | None = None
    vote_fractions: Tensor | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return which rows have predictions, (n,)."""
        known: NDArray[np.bool_] = ~torch.isnan(self.probabilities[:, 0, 0]).cpu().numpy()
        return known

    def to(self, device: torch.device) -> TeacherPredictions:
        """Move to a device."""
        return TeacherPredictions(*(None if part is None else part.to(device) for part in self._parts()))  # type: ignore[arg-type]

    def drawn(self, rows: Tensor) -> TeacherPredictions:
        """Return the predictions of each row at one angle, drawn by torch's generator, without the angle axis."""
        angle = torch.randint(self.probabilities.shape[1], (len(rows),)).to(rows.device)
        return TeacherPredictions(*(None if part is None else part[rows, angle] for part in self._parts()))  # type: ignore[arg-type]

    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.probabilities, self.raw_votes, self.raw_concentrations, self.vote_fractions


def write_teacher_predictions(
    model: Path,
    data: TrainingData,
    angles_deg: tuple[float, ...],
    path: Path,
    *,
    without: frozenset[str] = frozenset(),
) -> None:
    """Write a model's predictions for a prepared folder's training cutouts, unless the file is of these inputs.

    Other splits are not predicted, since nothing is learned from them; their rows are NaN.

    Parameters
    ----------
    model : Path
        An ONNX file with a signature, for cutouts of the folder's size.
    data : TrainingData
        The folder.
    angles_deg : tuple of float
        Each cutout of the training split is shown at each of these angles.
    path : Path
        The .npz that is written; float16.
    without : frozenset of str
        Sources that are not predicted.

    Raises
    ------
    TrainingError
        If there is no such model, or it expects other cutouts.
    """
    if not model.is_file():
        raise TrainingError("the teacher's file does not exist", where=str(model), advice="see train.teacher")
    content = model.read_bytes()
    session = open_session(content, threads=torch.get_num_threads(), where=str(model))
    signature = read_signature(session, where=str(model))
    if signature.preprocessing_sha256 != data.store.parameters.sha256:
        raise TrainingError(
            "the teacher expects other cutouts than the prepared ones",
            where=str(model),
            expected=f"{data.size_px} px",
            got=f"{signature.size_px} px",
            advice="prepare a folder for it, run scripts/teacher_predictions.py, and name the file that it writes",
        )
    facts = [hashlib.sha256(content).hexdigest(), data.sha256(), "train", *map(str, angles_deg), *sorted(without)]
    made_from = hashlib.sha256("\n".join(facts).encode()).hexdigest()
    if path.is_file() and _read(path).get("made_from") == made_from:
        return
    names = [output.name for output in session.graph.get_outputs() if output.name in _PARTS]
    kept = {name: np.full((len(data.label), len(angles_deg), _PARTS[name]), np.nan, np.float16) for name in names}
    asked = np.flatnonzero((np.array(data.split) == "train") & ~np.isin(np.array(data.source), sorted(without)))
    for start in range(0, len(asked), _CHUNK):
        rows = asked[start : start + _CHUNK]
        squares = data.store.cutouts(rows)
        for index, angle in enumerate(angles_deg):
            turned = warp(squares, fixed(np.full(len(rows), angle)), data.size_px)
            planes = np.ascontiguousarray(turned.transpose(0, 3, 1, 2))
            for name, values in zip(names, session.run(names, planes), strict=True):
                kept[name][rows, index] = values[..., 0] if values.ndim == 3 else values
    keys = np.array(_keys(data))
    replace_file(path, lambda file: file.write_bytes(_npz(keys=keys, made_from=np.array(made_from), **kept)))


def _npz(**arrays: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy's annotation takes the arrays for its option
    return buffer.getvalue()


def _keys(data: TrainingData) -> list[str]:
    return [f"{source}\n{object_id}" for source, object_id in zip(data.source, data.object_id, strict=True)]


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise TrainingError(
            "a teacher's predictions cannot be read", where=str(path), got=str(error)[:200], advice="delete the file"
        ) from error


def load_predictions(path: Path, data: TrainingData) -> TeacherPredictions:
    """Read predictions from `write_teacher_predictions`, of this prepared folder or of another with the same objects.

    Raises
    ------
    TrainingError
        If it is not such a file, or has none of these objects.
    """
    if not path.is_file():
        raise TrainingError("the teacher's predictions do not exist", where=str(path), advice="see train.teacher")
    stored = _read(path)
    if not {"keys", "probabilities"} <= set(stored):
        raise TrainingError("the file contains no teacher predictions", where=str(path), got=", ".join(sorted(stored)))
    index = {key: position for position, key in enumerate(stored["keys"].tolist())}
    found = np.array([index.get(key, -1) for key in _keys(data)])
    if (found < 0).all():
        raise TrainingError("the teacher predicted none of these objects", where=str(path))
    parts = {}
    for name in _PARTS:
        if name in stored:
            values = stored[name].astype(np.float32)[found]
            values[found < 0] = np.nan
            parts[name] = torch.from_numpy(values)
    return TeacherPredictions(**parts)


def predictions_of(config: TrainConfig, data: TrainingData, folder: Path) -> TeacherPredictions | None:
    """Read the predictions of `train.teacher`; those of a model are made once and kept in the folder."""
    if config.teacher is None:
        return None
    path = weights_path(config.teacher)
    if path.suffix == ".onnx":
        model, path = path, folder / "teacher.npz"
        write_teacher_predictions(model, data, config.teacher_angles_deg, path)
    return load_predictions(path, data)


def teacher_loss(outputs: Outputs, taught: TeacherPredictions) -> Tensor:
    """Return how far the student is from the teacher, 0 where the teacher has no prediction, (n,).

    With raw votes on both sides it is the divergence KL(teacher || student) of each question's Dirichlet distribution,
    weighted by the share of voters who reach the question; else that of the class probabilities. Debiased fractions
    add their divergence in the same way.
    """
    known = ~torch.isnan(taught.probabilities[:, 0])
    total = torch.zeros(len(outputs.logits), device=outputs.logits.device)
    raw = taught.raw_votes
    if outputs.raw is not None and raw is not None and taught.raw_concentrations is not None:
        total = total + _dirichlet_divergences(outputs.raw, raw, taught.raw_concentrations)
    else:
        total = total + _divergence(taught.probabilities, functional.log_softmax(outputs.logits.float(), 1))
    if outputs.votes is not None and taught.vote_fractions is not None:
        reach = _reach(taught.vote_fractions)
        parts = zip(
            torch.split(outputs.votes.float(), _WIDTHS, 1), torch.split(taught.vote_fractions, _WIDTHS, 1), strict=True
        )
        for question, (logits, fractions) in enumerate(parts):
            divergence = _divergence(fractions, functional.log_softmax(logits, 1))
            total = total + reach[:, question] * divergence
    return torch.where(known, total, 0.0)


def _dirichlet_divergences(raw: Tensor, means: Tensor, concentration: Tensor) -> Tensor:
    reach, total = _reach(means), torch.zeros(len(raw), device=raw.device)
    parts = zip(dirichlets(raw).values(), torch.split(torch.nan_to_num(means, 0.5), _WIDTHS, 1), strict=True)
    for question, (student, share) in enumerate(parts):
        teacher = share.clamp(min=1e-4) * torch.nan_to_num(concentration[:, question : question + 1], 1.0)
        total = total + reach[:, question] * dirichlet_divergence(teacher, student)
    return total


def dirichlet_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return KL(Dirichlet(first) || Dirichlet(second)), (n, k) -> (n,)."""
    whole = first.sum(1)
    total = torch.lgamma(whole) - torch.lgamma(second.sum(1)) + (torch.lgamma(second) - torch.lgamma(first)).sum(1)
    slope = torch.digamma(first) - torch.digamma(whole)[:, None]
    return total + ((first - second) * slope).sum(1)


def _divergence(p: Tensor, log_q: Tensor) -> Tensor:
    p = torch.nan_to_num(p, 0.0)
    return (torch.xlogy(p, p) - p * log_q).sum(1)


def _reach(fractions: Tensor) -> Tensor:
    """Return the share of voters who reach each question, (n, 37) -> (n, 11)."""
    return torch.from_numpy(vote_reach(torch.nan_to_num(fractions).cpu().numpy())).to(fractions.device)
