"""The raw votes that the index knows of, as counts, and the head that predicts how they are distributed.

Takes the prepared index, gives (n, 37) counts; takes embeddings, gives the Dirichlet parameters of each question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from galclass.morphology import QUESTIONS
from galclass.scoring.walk import VoteWalk
from galclass.train.events import LARGEST, VOTERS

if TYPE_CHECKING:
    import pyarrow as pa

STEMS: tuple[str, ...] = tuple(column for question in QUESTIONS.values() for column in question.columns)
"""The 37 answers, in the order of every vector over them."""

_WIDTHS = [len(question.answers) for question in QUESTIONS.values()]

_LEAST_SHARE = 2e-3
"""Share of the votes on a question that is spread evenly over its answers: nothing is impossible."""

_START, _LEAST, _MOST = math.log(15.0), math.log(0.5), math.log(500.0)
"""Log concentration: where the head starts, and its range."""


def raw_counts(table: pa.Table) -> NDArray[np.float32]:
    """Give raw votes of every index row, total_classifications times fractions down the tree, (n, 37).

    Fractions are `_weighted_fraction`, else `_fraction`; where the table has no total, `VOTERS` are taken. A question
    without fractions has no votes (zeros).
    """
    fractions = np.column_stack([_fraction(table, stem) for stem in STEMS])
    total = np.full(table.num_rows, float(VOTERS))
    if "total_classifications" in table.column_names:
        given = table.column("total_classifications").to_numpy().astype(np.float64)
        total = np.where(np.nan_to_num(given) > 0, given, total)
    counts = np.zeros_like(fractions)
    start = 0
    for reach, width in zip(_reach(fractions), _WIDTHS, strict=True):
        columns = slice(start, start + width)
        own = fractions[:, columns]
        asked = np.nansum(own, axis=1, keepdims=True)
        known = ~np.isnan(own).all(1, keepdims=True) & (asked > 0)
        share = np.divide(np.nan_to_num(own), asked, out=np.zeros_like(own), where=known)
        counts[:, columns] = share * (np.nan_to_num(reach) * total)[:, None]
        start += width
    return counts.astype(np.float32)


def leaves_by_votes(counts: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return the classes that the walk down raw votes leaves open, (n, 37) -> (n, 13).

    One class where it ends at one; all classes under a branch where nobody was asked further; none without votes.
    """
    return VoteWalk(STEMS).open_classes(counts)


def _fraction(table: pa.Table, stem: str) -> NDArray[np.float64]:
    found = np.full(table.num_rows, np.nan)
    for kind in ("weighted_fraction", "fraction"):
        name = f"{stem}_{kind}"
        if name in table.column_names:
            own = table.column(name).to_numpy().astype(np.float64)
            found = np.where(np.isnan(found), own, found)
    return found


def _reach(fractions: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Give the share of all voters who reach each question, in the order of `QUESTIONS`; NaN where it is unknown."""
    f = dict(zip(STEMS, fractions.T, strict=True))
    everybody = np.ones(len(fractions))
    featured = f["t01_smooth_or_features_a02_features_or_disk"]
    galaxy = 1 - np.nan_to_num(f["t01_smooth_or_features_a03_star_or_artifact"])
    edge_on, face_on = featured * f["t02_edgeon_a04_yes"], featured * f["t02_edgeon_a05_no"]
    spiral = face_on * f["t04_spiral_a08_spiral"]
    return [
        everybody,
        featured,
        face_on,
        face_on,
        face_on,
        galaxy,
        f["t01_smooth_or_features_a01_smooth"],
        galaxy * f["t06_odd_a14_yes"],
        edge_on,
        spiral,
        spiral,
    ]


def largest_kind(table: pa.Table) -> NDArray[np.int64]:
    """Give the position in `LARGEST` of the column "largest" (what has the largest of 37 shares); -1: not known."""
    if "largest" not in table.column_names:
        return np.full(table.num_rows, -1, dtype=np.int64)
    names = table.column("largest").to_pylist()
    return np.array([LARGEST.index(name) if name in LARGEST else -1 for name in names], dtype=np.int64)


class RawHead(nn.Module):
    """A linear head for the mean votes on each question (37 logits) and the concentration of each (11 logarithms)."""

    def __init__(self, embedding_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding_size, len(STEMS) + len(QUESTIONS))

    def forward(self, embedding: Tensor) -> Tensor:
        """Give (n, 48)."""
        raw: Tensor = self.linear(embedding)
        return raw


def mean_votes(raw: Tensor) -> Tensor:
    """Give the mean fraction of each answer among those who are asked, (n, 48) -> (n, 37)."""
    parts = torch.split(raw[:, : len(STEMS)].float(), _WIDTHS, 1)
    return torch.cat([torch.softmax(p, 1) * (1 - _LEAST_SHARE) + _LEAST_SHARE / p.shape[1] for p in parts], 1)


def concentrations(raw: Tensor) -> Tensor:
    """Give the concentration of each question's Dirichlet distribution, (n, 48) -> (n, 11)."""
    return torch.exp(torch.clamp(raw[:, len(STEMS) :].float() + _START, _LEAST, _MOST))


def dirichlets(raw: Tensor) -> Mapping[str, Tensor]:
    """Give each question's Dirichlet parameters, (n, answers)."""
    means, concentration = torch.split(mean_votes(raw), _WIDTHS, 1), concentrations(raw)
    return {name: means[q] * concentration[:, q : q + 1] for q, name in enumerate(QUESTIONS)}
