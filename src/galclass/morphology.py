"""Galaxy Zoo 2 morphology: the question tree, the gz2_class grammar, the 13 classes and 4 groups.

The single source of truth for class names and their order. Takes label text or vote fractions,
returns classes; writes nothing.

Sources: Willett et al. 2013 (MNRAS 435, 2835) for the questions and the gz2_class string,
Hart et al. 2016 (MNRAS 461, 3663) for the column names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from types import MappingProxyType

from galclass.errors import MorphologyError

CLASSES: tuple[str, ...] = ("Er", "Ei", "Ec", "Se", "Sd", "Sc", "Sb", "Sa", "SBd", "SBc", "SBb", "SBa", "A")
"""The 13 leaves, in the order of every probability vector."""

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Elliptical": ("Er", "Ei", "Ec"),
        "Spiral": ("Se", "Sd", "Sc", "Sb", "Sa"),
        "BarredSpiral": ("SBd", "SBc", "SBb", "SBa"),
        "Artifact": ("A",),
    }
)
"""The 4 groups and their leaves; the original workflow wrote "Ambiguous" for Artifact."""

CLASS_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "Er": "round smooth",
        "Ei": "in-between smooth",
        "Ec": "cigar-shaped",
        "Se": "edge-on disk",
        "Sd": "spiral with no bulge",
        "Sc": "spiral with just noticeable bulge",
        "Sb": "spiral with obvious bulge",
        "Sa": "spiral with dominant bulge",
        "SBd": "barred spiral with no bulge",
        "SBc": "barred spiral with just noticeable bulge",
        "SBb": "barred spiral with obvious bulge",
        "SBa": "barred spiral with dominant bulge",
        "A": "star or artifact",
    }
)
"""What each class is called for people."""

_FACE_ON = GROUPS["Spiral"][1:] + GROUPS["BarredSpiral"]

COARSE_LABELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **GROUPS,
        "completely_round_smooth": ("Er",),
        "in_between_smooth": ("Ei",),
        "cigar_shaped_smooth": ("Ec",),
        "elliptical": GROUPS["Elliptical"],
        "edge_on": ("Se",),
        "disk": ("Se", *_FACE_ON),
        "spiral": _FACE_ON,
        "spiral_clockwise": _FACE_ON,
        "spiral_anticlockwise": _FACE_ON,
        "star_or_artifact": ("A",),
        "merger": (),
        "star_or_dont_know": (),
        "smooth": GROUPS["Elliptical"],
        "features": ("Se", *_FACE_ON),
        "features, not edge-on": _FACE_ON,
        "features, not edge-on, no bar": GROUPS["Spiral"][1:],
        "features, not edge-on, bar": GROUPS["BarredSpiral"],
    }
)
"""Labels that are coarser than a class, and the leaves they stand for.

Those of other samples (Galaxy Zoo 1, the five clean classes), then the paths of the tree that end before a class, as
`galclass.catalog.voting` gives them. An empty tuple means that the label says nothing about the 13 classes: it trains
and scores nothing.
"""


@dataclass(frozen=True)
class Answer:
    """One answer: its column stem in gz2_hart16 and the question it leads to (None: the tree ends)."""

    column: str
    leads_to: str | None


@dataclass(frozen=True)
class Question:
    """One question of the Galaxy Zoo 2 tree with its answers in the order of the published columns."""

    name: str
    answers: tuple[Answer, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Column stems `<question>_<answer>`, e.g. t01_smooth_or_features_a01_smooth."""
        return tuple(f"{self.name}_{answer.column}" for answer in self.answers)


def _question(name: str, **answers: str | None) -> Question:
    return Question(name, tuple(Answer(column, leads_to) for column, leads_to in answers.items()))


QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        question.name: question
        for question in (
            _question(
                "t01_smooth_or_features",
                a01_smooth="t07_rounded",
                a02_features_or_disk="t02_edgeon",
                a03_star_or_artifact=None,
            ),
            _question("t02_edgeon", a04_yes="t09_bulge_shape", a05_no="t03_bar"),
            _question("t03_bar", a06_bar="t04_spiral", a07_no_bar="t04_spiral"),
            _question("t04_spiral", a08_spiral="t10_arms_winding", a09_no_spiral="t05_bulge_prominence"),
            _question(
                "t05_bulge_prominence",
                a10_no_bulge="t06_odd",
                a11_just_noticeable="t06_odd",
                a12_obvious="t06_odd",
                a13_dominant="t06_odd",
            ),
            _question("t06_odd", a14_yes="t08_odd_feature", a15_no=None),
            _question(
                "t07_rounded", a16_completely_round="t06_odd", a17_in_between="t06_odd", a18_cigar_shaped="t06_odd"
            ),
            _question(
                "t08_odd_feature",
                a19_ring=None,
                a20_lens_or_arc=None,
                a21_disturbed=None,
                a22_irregular=None,
                a23_other=None,
                a24_merger=None,
                a38_dust_lane=None,
            ),
            _question("t09_bulge_shape", a25_rounded="t06_odd", a26_boxy="t06_odd", a27_no_bulge="t06_odd"),
            _question(
                "t10_arms_winding",
                a28_tight="t11_arms_number",
                a29_medium="t11_arms_number",
                a30_loose="t11_arms_number",
            ),
            _question(
                "t11_arms_number",
                a31_1="t05_bulge_prominence",
                a32_2="t05_bulge_prominence",
                a33_3="t05_bulge_prominence",
                a34_4="t05_bulge_prominence",
                a36_more_than_4="t05_bulge_prominence",
                a37_cant_tell="t05_bulge_prominence",
            ),
        )
    }
)
"""The Galaxy Zoo 2 tree: 11 questions, 37 answers; the first key is the root."""

LETTERS: Mapping[str, str] = MappingProxyType(
    {
        **{"t07_rounded": "ric", "t09_bulge_shape": "rbn", "t05_bulge_prominence": "dcba"},
        **{"t10_arms_winding": "tml", "t11_arms_number": "1234+?", "t08_odd_feature": "rldiomu"},
    }
)
"""Letter of each answer in a gz2_class string, in the order of the question's answers."""

_GZ2_CLASS = re.compile(
    r"(?:(?P<artifact>A)"
    r"|E(?P<roundness>[ric])"
    r"|Se(?P<edge_on_bulge>[rbn])"
    r"|S(?P<bar>B?)(?P<bulge>[abcd])(?:(?P<arms>[1234+?])(?P<winding>[tml]))?)"
    r"(?:\((?P<odd>[rldiomu])\))?"
)


@dataclass(frozen=True)
class Gz2Class:
    """A parsed gz2_class string.

    Attributes
    ----------
    leaf : str
        One of `CLASSES`.
    edge_on_bulge : str or None
        r (rounded), b (boxy), n (none); edge-on disks only.
    arms, winding : str or None
        Number of arms (1 2 3 4 + ?) and winding (t m l); spirals with visible arms only.
    odd : str or None
        r ring, l lens or arc, d disturbed, i irregular, o other, m merger, u dust lane.
    """

    leaf: str
    edge_on_bulge: str | None = None
    arms: str | None = None
    winding: str | None = None
    odd: str | None = None


def parse_gz2_class(text: str) -> Gz2Class:
    """Parse a gz2_class string such as "SBc2m(r)".

    Raises
    ------
    MorphologyError
        If the text does not follow the grammar.
    """
    match = _GZ2_CLASS.fullmatch(text.strip())
    if match is None:
        raise MorphologyError(
            f"{text!r} is not a gz2_class string",
            expected="A, E + r|i|c, Se + r|b|n or S[B] + a|b|c|d (+ arms and winding), then an odd feature in brackets",
        )
    part = match.groupdict()
    if part["artifact"]:
        leaf = "A"
    elif part["roundness"]:
        leaf = "E" + part["roundness"]
    elif part["edge_on_bulge"]:
        leaf = "Se"
    else:
        leaf = "S" + part["bar"] + part["bulge"]
    return Gz2Class(leaf, part["edge_on_bulge"], part["arms"], part["winding"], part["odd"])


def leaves_of(label: str) -> tuple[str, ...]:
    """Return the leaves a label stands for: a class, a group, a coarse label or a gz2_class string.

    A class or coarse label is tried first, then the gz2_class grammar ("Sc" and "Er" mean the same in both).
    An empty tuple means that the label says nothing about the 13 classes.

    Raises
    ------
    MorphologyError
        If the label is none of these.
    """
    if label in CLASSES:
        return (label,)
    if label in COARSE_LABELS:
        return COARSE_LABELS[label]
    try:
        return (parse_gz2_class(label).leaf,)
    except MorphologyError as error:
        raise MorphologyError(
            f"unknown morphology label {label!r}",
            expected=f"a class ({' '.join(CLASSES)}), a gz2_class string, or one of {', '.join(COARSE_LABELS)}",
        ) from error


def group_of(leaf: str) -> str:
    """Return the group of a class.

    Raises
    ------
    MorphologyError
        If `leaf` is not one of `CLASSES`.
    """
    for group, leaves in GROUPS.items():
        if leaf in leaves:
            return group
    raise MorphologyError(f"unknown class {leaf!r}", expected=" ".join(CLASSES))


def gz2_class_from_fractions(fractions: Mapping[str, float]) -> str:
    """Make the gz2_class string from the plurality answer to each question; every question is taken as answered.

    For a model's fractions. A catalog's votes may end early: `galclass.catalog.voting.label_from_votes`.

    Parameters
    ----------
    fractions : mapping
        Debiased vote fraction in [0, 1] of every answer, by column stem (`Question.columns`); NaN counts as no votes.

    Returns
    -------
    str
        The class string of Willett et al. 2013, section 4.4: no confidence cut; the first of equal answers wins.
    """
    first = _plurality("t01_smooth_or_features", fractions)
    if first == 2:
        return "A"
    if first == 0:
        text = "E" + _letter("t07_rounded", fractions)
    elif _plurality("t02_edgeon", fractions) == 0:
        text = "Se" + _letter("t09_bulge_shape", fractions)
    else:
        text = "SB" if _plurality("t03_bar", fractions) == 0 else "S"
        text += _letter("t05_bulge_prominence", fractions)
        if _plurality("t04_spiral", fractions) == 0:
            text += _letter("t11_arms_number", fractions) + _letter("t10_arms_winding", fractions)
    if _plurality("t06_odd", fractions) == 0:
        text += f"({_letter('t08_odd_feature', fractions)})"
    return text


def _plurality(question: str, fractions: Mapping[str, float]) -> int:
    votes = [-1.0 if isnan(fractions[column]) else fractions[column] for column in QUESTIONS[question].columns]
    return votes.index(max(votes))


def _letter(question: str, fractions: Mapping[str, float]) -> str:
    return LETTERS[question][_plurality(question, fractions)]
