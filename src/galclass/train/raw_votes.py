"""The raw votes of the index, and the head that predicts their distribution.

Takes counts of votes, returns classes; takes embeddings, returns the Dirichlet parameters of each question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from galclass.catalog.votes import STEMS
from galclass.morphology import QUESTIONS
from galclass.scoring.walk import VoteWalk
from galclass.train.events import LARGEST

if TYPE_CHECKING:
    import pyarrow as pa

_WIDTHS = [len(question.answers) for question in QUESTIONS.values()]

_LEAST_SHARE = 2e-3
"""Share of the votes on a question that is spread evenly over its answers, so that none is impossible."""

SHARED_QUESTIONS = (
    *("t03_bar", "t04_spiral", "t05_bulge_prominence", "t09_bulge_shape", "t10_arms_winding", "t11_arms_number"),
)
"""Questions with votes of one kind only: the Galaxy Challenge's table here does not have them."""

_START, _LEAST, _MOST = math.log(15.0), math.log(0.5), math.log(500.0)
"""Log concentration: its initial value and range."""


def leaves_by_votes(counts: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return the classes that the walk down raw votes leaves open, (n, 37) -> (n, 13).

    One class if it ends at one; all classes under a branch if nobody was asked further; none without votes.
    """
    return VoteWalk(STEMS).open_classes(counts)


def largest_kind(table: pa.Table) -> NDArray[np.int64]:
    """Return the index into `LARGEST` of the column "largest" (which of 37 shares is the largest); -1: not known."""
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
        """Return (n, 48)."""
        raw: Tensor = self.linear(embedding)
        return raw


class OtherVotes(nn.Module):
    """A linear head for votes that were counted differently: its output is added to the raw head's.

    Used only in training: learning the difference does not change the raw head's outputs.
    """

    own: Tensor

    def __init__(self, embedding_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding_size, len(STEMS) + len(QUESTIONS))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        shared = [name in SHARED_QUESTIONS for name in QUESTIONS]
        of_answers = [one for one, width in zip(shared, _WIDTHS, strict=True) for _ in range(width)]
        self.register_buffer("own", ~torch.tensor([*of_answers, *shared]), persistent=False)

    def forward(self, embedding: Tensor, raw: Tensor) -> Tensor:
        """Return (n, 48), as the raw head does."""
        return torch.where(self.own, raw.detach() + self.linear(embedding), raw)


def mean_votes(raw: Tensor) -> Tensor:
    """Return the mean fraction of each answer among those asked, (n, 48) -> (n, 37)."""
    parts = torch.split(raw[:, : len(STEMS)].float(), _WIDTHS, 1)
    return torch.cat([torch.softmax(p, 1) * (1 - _LEAST_SHARE) + _LEAST_SHARE / p.shape[1] for p in parts], 1)


def concentrations(raw: Tensor) -> Tensor:
    """Return the concentration of each question's Dirichlet distribution, (n, 48) -> (n, 11)."""
    return torch.exp(torch.clamp(raw[:, len(STEMS) :].float() + _START, _LEAST, _MOST))


def dirichlets(raw: Tensor) -> Mapping[str, Tensor]:
    """Return each question's Dirichlet parameters, (n, answers)."""
    means, concentration = torch.split(mean_votes(raw), _WIDTHS, 1), concentrations(raw)
    return {name: means[q] * concentration[:, q : q + 1] for q, name in enumerate(QUESTIONS)}
