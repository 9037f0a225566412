"""One likelihood over raw votes: every label of every source is an event, with a probability under the predicted votes.

Takes predicted Dirichlet parameters and each row's labels, returns log P of each row; an absent label contributes
nothing. The events, and why, are in docs/decisions/0016-one-meaning-raw-votes.md.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galclass.clean_samples import CLEAN_LABELS
from galclass.config import TrainConfig
from galclass.errors import ConfigError
from galclass.morphology import CLASSES
from galclass.train.dataset import TrainingData, vote_reach
from galclass.train.events import (
    LARGEST,
    clean_probabilities,
    largest_probabilities,
    log_votes,
    plurality_of_three,
)
from galclass.train.losses import question_columns, vote_loss
from galclass.train.networks import Outputs, log_classes
from galclass.train.raw_votes import dirichlets
from galclass.train.surveys import SurveyLabel, SurveyReading, survey_kind

_ARTIFACT = CLASSES.index("A")
_TINY = 1e-12


@dataclass(frozen=True)
class VoteTargets:
    """Labels and votes of rows; the first axis of all but the rates is the rows.

    Attributes
    ----------
    counts : float32, (n, 37)
        Raw votes; a question without any contributes nothing.
    clean, largest, survey : int64, (n,)
        Index into `CLEAN_LABELS`, into `LARGEST`, and among a survey's labels; -1: none.
    artifact : bool, (n,)
        More volunteers chose "star or artifact" than anything else.
    word : bool, (n, 13)
        Classes of a label that is treated as one volunteer's vote; all False: none.
    other : bool, (n,)
        Raw votes and survey labels are of the kind that was counted differently.
    votes, reach : float32, (n, 37), (n, 11)
        Debiased fractions and the share of voters who reach each question, as in `Targets`.
    clean_rate, largest_rate : float32, (5,)
        How likely a galaxy of each kind is to be in the sample, up to a factor: all 0 if the sample is not selected.
    """

    counts: Tensor
    clean: Tensor
    largest: Tensor
    survey: Tensor
    artifact: Tensor
    word: Tensor
    other: Tensor
    votes: Tensor
    reach: Tensor
    clean_rate: Tensor
    largest_rate: Tensor

    def rows(self, index: Tensor) -> VoteTargets:
        """Return the targets of some rows."""
        return replace(self, **{name: getattr(self, name)[index] for name in _row_fields()})

    def to(self, device: torch.device) -> VoteTargets:
        """Move to a device."""
        return VoteTargets(*(getattr(self, field.name).to(device) for field in fields(self)))

    @property
    def says(self) -> Tensor:
        """Return which rows have a label or votes, (n,) bool."""
        known = (self.counts.sum(1) > 0) | (self.clean >= 0) | (self.largest >= 0) | (self.survey >= 0)
        return known | self.artifact | self.word.any(1) | (self.reach.sum(1) > 0)


def _row_fields() -> tuple[str, ...]:
    return tuple(field.name for field in fields(VoteTargets) if not field.name.endswith("_rate"))


def vote_targets(data: TrainingData, config: TrainConfig) -> tuple[VoteTargets, SurveyReading | None]:
    """Gather the labels and votes of each row, and make the transition to surveys' labels, if any.

    An object with raw votes is trained on them alone: its other labels follow from the same votes. So is an object of
    a survey whose label was decided by debiased votes (`debiased_sources`).

    Raises
    ------
    ConfigError
        If a label of a clean source is not a clean kind, or `train.natural` names an unknown source or label.
    """
    source, label = np.array(data.source), np.array(data.label)
    voted = data.counts.sum(1) > 0
    ids = np.array(data.object_id)
    free = ~np.isin(ids, ids[voted])
    labelled = free & (label != "")
    clean = np.full(len(label), -1, dtype=np.int64)
    of_clean = labelled & np.isin(source, config.clean_sources)
    for row in np.flatnonzero(of_clean):
        if label[row] not in CLEAN_LABELS:
            raise ConfigError(
                "not a kind of the clean samples",
                where="train.clean_sources",
                expected=", ".join(CLEAN_LABELS),
                got=str(label[row]),
            )
        clean[row] = CLEAN_LABELS.index(str(label[row]))
    survey, of_survey, reading = _survey_labels(data, config, free)
    word = data.leaves & (labelled & ~of_clean & ~of_survey & ~np.isin(source, config.debiased_sources))[:, None]
    artifact = word[:, _ARTIFACT] & (word.sum(1) == 1)
    word[artifact] = False
    largest = np.where(free, data.largest, -1)
    targets = VoteTargets(
        counts=torch.from_numpy(data.counts),
        clean=torch.from_numpy(clean),
        largest=torch.from_numpy(largest),
        survey=torch.from_numpy(survey),
        artifact=torch.from_numpy(artifact),
        word=torch.from_numpy(word),
        other=torch.from_numpy(np.isin(source, config.other_votes_sources)),
        votes=torch.from_numpy(np.nan_to_num(data.votes)),
        reach=torch.from_numpy(vote_reach(data.votes)),
        clean_rate=_rates(config, config.clean_sources, CLEAN_LABELS, label, source),
        largest_rate=_rates(config, tuple({*source[data.largest >= 0]}), LARGEST, _names(data.largest), source),
    )
    return targets, reading


def _survey_labels(
    data: TrainingData, config: TrainConfig, free: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], SurveyReading | None]:
    """Return each row's index among the surveys' labels (-1: none), which rows have one, and the transition."""
    pairs: list[SurveyLabel | None] = []
    for row, (source, label, own) in enumerate(zip(data.source, data.label, data.survey_class, strict=True)):
        text = own or (survey_kind(label) if data.leaves[row].any() else "")
        pairs.append((source, text) if free[row] and text and source in config.observation_sources else None)
    labels = tuple(sorted({pair for pair in pairs if pair is not None}))
    survey = np.array([-1 if pair is None else labels.index(pair) for pair in pairs], dtype=np.int64)
    if not labels:
        return survey, survey >= 0, None
    leaves = np.stack([data.leaves[survey == position].any(0) for position in range(len(labels))])
    return survey, survey >= 0, SurveyReading(labels, leaves)


def _names(largest: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.array([*LARGEST, ""])[largest]


def _rates(
    config: TrainConfig,
    sources: tuple[str, ...],
    kinds: tuple[str, ...],
    label: NDArray[np.str_],
    source: NDArray[np.str_],
) -> Tensor:
    """Return the ratio of objects in the sample to those in nature, kind by kind; zeros if nature is not known."""
    natural: dict[str, float] = {}
    for name in sources:
        named = config.natural.get(name, {})
        if unknown := sorted(set(named) - {*CLEAN_LABELS, *LARGEST}):
            raise ConfigError("no such label", where=f"train.natural.{name}", got=", ".join(unknown))
        natural |= {kind: count for kind, count in named.items() if kind in kinds}
    if not natural:
        return torch.zeros(len(kinds))
    missing = [kind for kind in kinds if natural.get(kind, 0) <= 0]
    if missing:
        raise ConfigError(
            "frequencies in nature are missing", where="train.natural", expected=", ".join(kinds), got=str(natural)
        )
    own = np.isin(source, sources)
    counts = np.array([(own & (label == kind)).sum() for kind in kinds], dtype=np.float64)
    rates = counts / np.array([natural[kind] for kind in kinds])
    return torch.from_numpy((rates / max(rates.max(), _TINY)).astype(np.float32))


def votes_log_likelihood(outputs: Outputs, targets: VoteTargets, reading: SurveyReading | None, trust: float) -> Tensor:
    """Return log P of all labels and votes of each row, (n,).

    Parameters
    ----------
    outputs : Outputs
        Of a network with a raw head.
    targets : VoteTargets
        The same rows.
    reading : SurveyReading or None
        Of the surveys' coarse labels.
    trust : float
        Probability, in (0, 1], that an event was recorded correctly; otherwise it is any of its kind.
    """
    if outputs.raw is None:
        raise AssertionError("the network has no head for raw votes")
    alphas = dirichlets(outputs.raw)
    total = torch.zeros(len(outputs.raw), device=outputs.raw.device)
    counted, logits = alphas, outputs.logits
    if outputs.other is not None:
        other, chosen = dirichlets(outputs.other), targets.other[:, None]
        counted = {name: torch.where(chosen, other[name], alpha) for name, alpha in alphas.items()}
        logits = torch.where(chosen, log_classes(outputs.other), logits)
    for columns, alpha in zip(question_columns(), counted.values(), strict=True):
        total = total + log_votes(targets.counts[:, columns], alpha)
    groups = (
        (targets.clean, clean_probabilities, targets.clean_rate),
        (targets.largest, largest_probabilities, targets.largest_rate),
        (torch.where(targets.artifact, 2, -1), _first_question, torch.zeros_like(targets.clean_rate[:3])),
    )
    for event, probabilities, rate in groups:
        rows = torch.nonzero(event >= 0)[:, 0]
        if len(rows):
            p = probabilities({name: alpha[rows] for name, alpha in alphas.items()})
            total = total.index_add(0, rows, _log_event(p, event[rows], rate, trust))
    rows = torch.nonzero(targets.survey >= 0)[:, 0]
    if reading is not None and len(rows):
        event = targets.survey[rows]
        log_p = reading(logits[rows].float()).gather(1, event[:, None])[:, 0]
        total = total.index_add(0, rows, torch.log(trust * log_p.exp() + (1 - trust) / reading.choices[event]))
    log_word = torch.logsumexp(outputs.logits.float().masked_fill(~targets.word, -1e9), 1)
    return total + torch.where(targets.word.any(1), log_word, 0.0)


def _first_question(alphas: dict[str, Tensor]) -> Tensor:
    return plurality_of_three(alphas["t01_smooth_or_features"])


def _log_event(p: Tensor, event: Tensor, rate: Tensor, trust: float) -> Tensor:
    """Return log P(event), or its log P given that the sample contains the galaxy, if selection depended on it."""
    if bool((rate > 0).any()):
        p = p * rate
        p = (p + _TINY) / (p + _TINY).sum(1, keepdim=True)
    own = p.gather(1, event[:, None])[:, 0]
    return torch.log(trust * own + (1 - trust) / p.shape[1] + _TINY)


def votes_loss(outputs: Outputs, targets: VoteTargets, reading: SurveyReading | None, config: TrainConfig) -> Tensor:
    """Return -log P of each row, and the weighted loss of the debiased fractions, (n,)."""
    loss = -votes_log_likelihood(outputs, targets, reading, 1 - config.label_smoothing)
    if outputs.votes is not None:
        loss = loss + config.vote_weight * vote_loss(outputs.votes, targets)
    return loss
