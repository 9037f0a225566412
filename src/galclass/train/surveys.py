"""Other surveys' labels, predicted from the votes through a transition that is fitted in training.

Takes log-probabilities of the 13 classes, returns log P of a survey's own labels: the coarse kinds of Galaxy Zoo 1,
Hubble stages and bars of a catalogue. Each source has its own transition.
"""

from __future__ import annotations

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from galclass.morphology import CLASSES, COARSE_LABELS, GROUPS

_KINDS: tuple[tuple[str, ...], ...] = (GROUPS["Elliptical"], ("Se",), COARSE_LABELS["spiral"], ("A",))
"""Inputs for every label: smooth, edge-on, face-on, artifact."""

_FACE_ON = COARSE_LABELS["spiral"]
_BARS = tuple(tuple(leaf for leaf in _FACE_ON if leaf.startswith("SB") == barred) for barred in (False, True))
_BULGES = tuple(tuple(leaf for leaf in _FACE_ON if leaf.endswith(bulge)) for bulge in "abcd")
_DETAILS = (*_BARS, *_BULGES)
"""Additional inputs for labels that distinguish face-on galaxies: shares of the face-on votes."""

_MARKS = {"B": (0.0, 1.0), "AB": (0.0, 0.5), "barred": (0.0, 1.5), "weak": (0.0, 0.5), "unbarred": (1.5, 0.0)}
"""Exponents of the unbarred and barred shares that a mark after a label starts with: catalogues' own, and measured."""

SurveyLabel = tuple[str, str]
"""A source, and one of its labels."""


def survey_kind(label: str) -> str:
    """Return a survey's label as the transition knows it: mirror images and the like are one label."""
    return "spiral" if label.startswith("spiral_") else label


class SurveyReading(nn.Module):
    """Surveys' labels for a galaxy, given its votes: log P(label) is linear in log shares.

    A transition matrix would mix the kinds in proportion to their votes, and so force votes to extremes where the
    survey is certain; with exponents a survey may be more certain, or less, than one volunteer.

    Parameters
    ----------
    labels : tuple of (str, str)
        Sources and their labels; those of a source are adjacent.
    leaves : bool, (labels, 13)
        The classes that a label is close to, which initialise its exponents; none: they start at 0.
    """

    telling: Tensor

    def __init__(self, labels: tuple[SurveyLabel, ...], leaves: NDArray) -> None:  # type: ignore[type-arg]
        super().__init__()
        self.labels = labels
        of_kind = [[bool(row[[CLASSES.index(leaf) for leaf in kind]].any()) for kind in _KINDS] for row in leaves]
        self.logits = nn.Parameter(2 * torch.tensor(of_kind, dtype=torch.float32).view(-1, len(_KINDS)))
        self.bias = nn.Parameter(torch.zeros(len(labels)))
        self.details = nn.Parameter(torch.tensor([_marked_bar(label) for _, label in labels]))
        self.register_buffer("telling", _tell_apart(labels, of_kind)[:, None], persistent=False)
        sources = [source for source, _ in labels]
        self.sizes = [sources.count(source) for source in dict.fromkeys(sources)]

    def forward(self, log_classes: Tensor) -> Tensor:
        """Return log P(label) among the labels of its own source, (n, labels), from log P of the 13 classes."""
        kinds = _log_shares(log_classes, _KINDS)
        details = _log_shares(log_classes, _DETAILS) - _log_shares(log_classes, (_FACE_ON,))
        scores = kinds @ self.logits.T + self.bias + details @ (self.telling * self.details).T
        return torch.cat([torch.log_softmax(part, 1) for part in torch.split(scores, self.sizes, 1)], 1)

    @property
    def names(self) -> list[str]:
        """The meaning of each row of the exponents, by which a checkpoint recognises them."""
        return [f"{source}: {label}" for source, label in self.labels]

    @property
    def choices(self) -> Tensor:
        """The number of labels of each label's source, (labels,)."""
        return torch.tensor([size for size in self.sizes for _ in range(size)], device=self.bias.device)


def _marked_bar(label: str) -> list[float]:
    """Return a label's initial exponents of details: marks such as "Sb B" follow the votes on bars.

    From 0 neither the exponents nor the votes for a bar would have a gradient.
    """
    unbarred, barred = _MARKS.get(label.rpartition(" ")[2], (0.0, 0.0)) if " " in label else (0.0, 0.0)
    return [unbarred, barred, *[0.0] * len(_BULGES)]


def _tell_apart(labels: tuple[SurveyLabel, ...], of_kind: list[list[bool]]) -> Tensor:
    """Return 1 for labels of face-on galaxies only, if their source has several such, else 0."""
    face_on = [row == [False, False, True, False] for row in of_kind]
    several = {s for s, _ in labels if sum(f for (name, _), f in zip(labels, face_on, strict=True) if name == s) > 1}
    return torch.tensor([float(f and s in several) for (s, _), f in zip(labels, face_on, strict=True)])


def _log_shares(log_classes: Tensor, kinds: tuple[tuple[str, ...], ...]) -> Tensor:
    sums = [torch.logsumexp(log_classes[:, [CLASSES.index(leaf) for leaf in kind]], 1) for kind in kinds]
    return torch.stack(sums, 1)
