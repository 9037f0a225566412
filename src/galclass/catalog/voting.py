"""From vote fractions to a label that is as deep as the votes go, and no deeper.

Takes the fractions of one object by column stem, returns a label of `galclass.morphology`'s grammar and the question at
which the votes ended; writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan

from galclass.morphology import LETTERS, QUESTIONS

CLASS_QUESTIONS: tuple[str, ...] = (
    "t01_smooth_or_features",
    "t07_rounded",
    "t02_edgeon",
    "t03_bar",
    "t05_bulge_prominence",
)
"""The questions that decide on one of the 13 classes; the others add letters to a gz2_class string."""


@dataclass(frozen=True)
class VotedLabel:
    """What the votes for one object say.

    Attributes
    ----------
    label : str or None
        A gz2_class string, a class, or a coarse label where the path ends early; None if nobody answered at all.
    stopped_at : str or None
        The first question of `CLASS_QUESTIONS` on the path that nobody answered; None: the path leads to a class.
    """

    label: str | None
    stopped_at: str | None = None


def label_from_votes(fractions: Mapping[str, float]) -> VotedLabel:
    """Follow the plurality answers down the tree until a question has none.

    Parameters
    ----------
    fractions : mapping
        Vote fraction in [0, 1] of each answer by column stem (`Question.columns`); NaN, or no entry, is unknown.

    Returns
    -------
    VotedLabel
        Each letter of the label is backed by votes: where arms, winding, the bulge of an edge-on disk or the odd
        feature have none, their letters are left out. The first of equal answers wins, as in gz2_class.
    """
    first = plurality("t01_smooth_or_features", fractions)
    if first is None:
        return VotedLabel(None, "t01_smooth_or_features")
    if first == 2:
        return VotedLabel("A")
    if first == 0:
        roundness = plurality("t07_rounded", fractions)
        if roundness is None:
            return VotedLabel("smooth", "t07_rounded")
        return VotedLabel("E" + LETTERS["t07_rounded"][roundness] + _odd(fractions))
    edge_on = plurality("t02_edgeon", fractions)
    if edge_on is None:
        return VotedLabel("features", "t02_edgeon")
    return _edge_on_disk(fractions) if edge_on == 0 else _face_on_disk(fractions)


def plurality(question: str, fractions: Mapping[str, float]) -> int | None:
    """Return the index of the answer with most votes, or None if nobody answered or it cannot be known.

    Where the fractions of some answers are unknown, the largest known one wins only if it is more than what the known
    ones leave for the others.
    """
    values = [fractions.get(column, nan) for column in QUESTIONS[question].columns]
    known = [value for value in values if not isnan(value)]
    most = max(known, default=0.0)
    if most <= 0 or (len(known) < len(values) and most <= 1 - sum(known)):
        return None
    return values.index(most)


def _edge_on_disk(fractions: Mapping[str, float]) -> VotedLabel:
    bulge = _letter("t09_bulge_shape", fractions)
    return VotedLabel("Se" + bulge + _odd(fractions) if bulge else "Se")


def _face_on_disk(fractions: Mapping[str, float]) -> VotedLabel:
    bar = plurality("t03_bar", fractions)
    if bar is None:
        return VotedLabel("features, not edge-on", "t03_bar")
    bulge = plurality("t05_bulge_prominence", fractions)
    if bulge is None:
        return VotedLabel(f"features, not edge-on, {'bar' if bar == 0 else 'no bar'}", "t05_bulge_prominence")
    text = ("SB" if bar == 0 else "S") + LETTERS["t05_bulge_prominence"][bulge]
    if plurality("t04_spiral", fractions) == 0:
        arms, winding = _letter("t11_arms_number", fractions), _letter("t10_arms_winding", fractions)
        text += arms + winding if arms and winding else ""  # the grammar has both or none
    return VotedLabel(text + _odd(fractions))


def _odd(fractions: Mapping[str, float]) -> str:
    feature = _letter("t08_odd_feature", fractions) if plurality("t06_odd", fractions) == 0 else ""
    return f"({feature})" if feature else ""


def _letter(question: str, fractions: Mapping[str, float]) -> str:
    answer = plurality(question, fractions)
    return "" if answer is None else LETTERS[question][answer]
