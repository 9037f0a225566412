"""The noise ceiling: how often a second panel of volunteers would reproduce the published class.

Takes a row's vote fractions, draws the votes anew, debiases them with the row's own ratio and recomputes
the class. No model can be expected to agree with the label more often than the volunteers do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galclass.clean_samples import CLEAN_ANSWERS, CLEAN_LABELS, clean_kind
from galclass.morphology import CLASSES, QUESTIONS, group_of, gz2_class_from_fractions, parse_gz2_class

VOTE_COLUMNS: tuple[str, ...] = tuple(
    f"{stem}_{kind}"
    for question in QUESTIONS.values()
    for stem in question.columns
    for kind in ("weighted_fraction", "debiased")
)
"""The columns (gz2_hart16 names) from which the ceiling is computed, in addition to total_classifications."""

_IN_TREE_ORDER = (
    "t01_smooth_or_features",
    "t02_edgeon",
    "t03_bar",
    "t04_spiral",
    "t10_arms_winding",
    "t11_arms_number",
    "t05_bulge_prominence",
    "t07_rounded",
    "t09_bulge_shape",
    "t06_odd",
    "t08_odd_feature",
)


@dataclass(frozen=True)
class SecondPanel:
    """The outcome of re-drawn votes.

    Attributes
    ----------
    leaf_agreement, group_agreement : float64, (n,)
        Share of re-drawn panels, in [0, 1], whose class or group is the published one.
    leaf_share : float64, (n, 13)
        Share of re-drawn panels that give each class.
    margin : float64, (n,)
        Smallest lead, in [0, 1], of the winning answer over the runner-up on the path from the root to the class.
    """

    leaf_agreement: NDArray[np.float64]
    group_agreement: NDArray[np.float64]
    leaf_share: NDArray[np.float64]
    margin: NDArray[np.float64]


def second_panel(rows: Sequence[Mapping[str, float]], *, panels: int = 200, seed: int = 0) -> SecondPanel:
    """Redraw the votes of each object.

    Parameters
    ----------
    rows : sequence of mapping
        `VOTE_COLUMNS` (fractions in [0, 1], NaN where nobody was asked) and total_classifications of each object.
    panels : int
        Re-drawn panels per object.
    """
    generator = np.random.default_rng(seed)
    shares = np.zeros((len(rows), len(CLASSES)))
    published = np.zeros(len(rows), dtype=np.int64)
    margin = np.zeros(len(rows))
    for i, row in enumerate(rows):
        published[i] = _leaf_index({stem: row[f"{stem}_debiased"] for stem in _stems()})
        margin[i] = _margin(row)
        for fractions in _panels(row, panels, generator):
            shares[i, _leaf_index(fractions)] += 1 / panels
    groups = np.array([group_of(leaf) for leaf in CLASSES])
    same_group = groups[published][:, None] == groups[None, :]
    return SecondPanel(
        leaf_agreement=shares[np.arange(len(rows)), published],
        group_agreement=(shares * same_group).sum(axis=1),
        leaf_share=shares,
        margin=margin,
    )


@dataclass(frozen=True)
class CleanCeiling:
    """How accurate a model could be on the clean samples if it knew what all volunteers together would say.

    Attributes
    ----------
    objects : float64, (5,)
        Expected number of objects that a panel labels with each of `CLEAN_LABELS`.
    recall : float64, (5,)
        Share of these, in [0, 1], for which this is the likeliest label.
    """

    objects: NDArray[np.float64]
    recall: NDArray[np.float64]

    def accuracy(self, frequencies: Sequence[float]) -> float:
        """Return the accuracy for given frequencies of the five labels (any scale)."""
        weights = np.asarray(frequencies, dtype=np.float64)
        return float(self.recall @ weights / weights.sum())


def clean_ceiling(
    rows: Sequence[Mapping[str, float]], *, panels: int = 200, voters: float | None = None, seed: int = 0
) -> CleanCeiling:
    """Redraw the votes of each object, label the panels that come out clean, and predict the most likely label.

    Parameters
    ----------
    rows : sequence of mapping
        As for `second_panel`; only the weighted fractions are used. Include objects that are not clean, because
        another panel may find them clean.
    panels : int
        Re-drawn panels per object.
    voters : float, optional
        Scale all panels so that the median object has this many classifications; None: no scaling.
    """
    generator = np.random.default_rng(seed)
    median = float(np.median([row["total_classifications"] for row in rows]))
    scale = 1.0 if voters is None else voters / median
    clean = np.zeros((len(rows), len(CLEAN_LABELS)))
    for i, row in enumerate(rows):
        asked = voters_by_question({**row, "total_classifications": row["total_classifications"] * scale})
        kinds = clean_kind(_drawn_fractions(row, asked, panels, generator))
        clean[i] = (kinds[:, None] == np.arange(len(CLEAN_LABELS))).mean(axis=0)
    likeliest = clean.argmax(axis=1)
    objects = clean.sum(axis=0)
    kept = np.array([clean[likeliest == kind, kind].sum() for kind in range(len(CLEAN_LABELS))])
    return CleanCeiling(objects=objects, recall=np.divide(kept, objects, out=np.zeros_like(kept), where=objects > 0))


def _stems() -> list[str]:
    return [stem for question in QUESTIONS.values() for stem in question.columns]


def _leaf_index(fractions: Mapping[str, float]) -> int:
    return CLASSES.index(parse_gz2_class(gz2_class_from_fractions(fractions)).leaf)


def _drawn_fractions(
    row: Mapping[str, float], asked: Mapping[str, int], panels: int, generator: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Return the weighted fractions of re-drawn panels for the questions of the clean samples, each (panels,)."""
    drawn: dict[str, NDArray[np.float64]] = {}
    wanted = [question for question in QUESTIONS.values() if set(question.columns) & set(CLEAN_ANSWERS)]
    for name, columns in ((question.name, question.columns) for question in wanted):
        fractions = np.nan_to_num([row[f"{stem}_weighted_fraction"] for stem in columns])
        votes = np.zeros((panels, len(columns)))
        if asked[name] > 0 and fractions.sum() > 0:
            votes = generator.multinomial(asked[name], fractions / fractions.sum(), size=panels) / asked[name]
        drawn.update(zip(columns, votes.T, strict=True))
    return drawn


def _panels(row: Mapping[str, float], panels: int, generator: np.random.Generator) -> list[dict[str, float]]:
    """Return debiased fractions of re-drawn panels; a question nobody was asked keeps its published fractions."""
    drawn: list[dict[str, float]] = [{} for _ in range(panels)]
    for name, voters in voters_by_question(row).items():
        columns = QUESTIONS[name].columns
        weighted = np.nan_to_num([row[f"{stem}_weighted_fraction"] for stem in columns])
        debiased = np.nan_to_num([row[f"{stem}_debiased"] for stem in columns])
        if voters < 1 or weighted.sum() <= 0:
            votes = np.broadcast_to(debiased, (panels, len(columns)))
        else:
            ratio = np.divide(debiased, weighted, out=np.zeros(len(columns)), where=weighted > 0)
            counts = generator.multinomial(voters, weighted / weighted.sum(), size=panels)
            votes = counts / voters * ratio
        for panel, values in zip(drawn, votes, strict=True):
            panel.update(zip(columns, values.tolist(), strict=True))
    return drawn


def voters_by_question(row: Mapping[str, float]) -> dict[str, int]:
    """Rebuild how many volunteers answered each question: classifications times the fractions down the tree."""
    reach = dict.fromkeys(_IN_TREE_ORDER, 0.0)
    reach[_IN_TREE_ORDER[0]] = 1.0
    for name in _IN_TREE_ORDER:
        question = QUESTIONS[name]
        for stem, answer in zip(question.columns, question.answers, strict=True):
            if answer.leads_to is not None:
                reach[answer.leads_to] += reach[name] * float(np.nan_to_num(row[f"{stem}_weighted_fraction"]))
    total = float(row["total_classifications"])
    return {name: round(total * min(share, 1.0)) for name, share in reach.items()}


def _margin(row: Mapping[str, float]) -> float:
    """Return the smallest lead on the path of plurality answers to the leaf (odd features and arms are not on it)."""
    leads = []
    name: str | None = _IN_TREE_ORDER[0]
    undecisive = {"t04_spiral", "t10_arms_winding", "t11_arms_number", "t06_odd", "t08_odd_feature", "t09_bulge_shape"}
    while name is not None and name != "t06_odd":
        question = QUESTIONS[name]
        votes = np.nan_to_num([row[f"{stem}_debiased"] for stem in question.columns])
        if name not in undecisive:
            top = np.sort(votes)[::-1]
            leads.append(float(top[0] - top[1]))
        name = question.answers[int(votes.argmax())].leads_to
    return min(leads)
