"""The gz2_class grammar, the question tree and the class tables."""

from __future__ import annotations

import csv
import math

import pytest

from galclass.errors import MorphologyError
from galclass.morphology import (
    CLASS_NAMES,
    CLASSES,
    COARSE_LABELS,
    GROUPS,
    QUESTIONS,
    Gz2Class,
    group_of,
    gz2_class_from_fractions,
    leaves_of,
    parse_gz2_class,
)


@pytest.mark.parametrize(
    "text", ["", "E", "Ex", "S", "SB", "Se", "Sx2m", "Sc2", "Scm2", "SBc2m(z)", "Er(r", "A2m", "sc"]
)
def test_text_outside_the_grammar_is_refused_with_the_text_in_the_message(text: str) -> None:
    with pytest.raises(MorphologyError, match="not a gz2_class string"):
        parse_gz2_class(text)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("A", Gz2Class("A")),
        ("Er", Gz2Class("Er")),
        ("Ei(o)", Gz2Class("Ei", odd="o")),
        ("Sen(u)", Gz2Class("Se", edge_on_bulge="n", odd="u")),
        ("Seb", Gz2Class("Se", edge_on_bulge="b")),
        ("Sa", Gz2Class("Sa")),
        ("SBc2m(r)", Gz2Class("SBc", arms="2", winding="m", odd="r")),
        ("Sc+l", Gz2Class("Sc", arms="+", winding="l")),
        ("SBd?t", Gz2Class("SBd", arms="?", winding="t")),
    ],
)
def test_every_part_of_a_class_string_is_read(text: str, parsed: Gz2Class) -> None:
    assert parse_gz2_class(text) == parsed


def test_classes_are_partitioned_by_the_groups_in_order() -> None:
    assert tuple(leaf for leaves in GROUPS.values() for leaf in leaves) == CLASSES
    assert set(CLASS_NAMES) == set(CLASSES)
    assert [group_of(leaf) for leaf in ("Ec", "Se", "SBa", "A")] == ["Elliptical", "Spiral", "BarredSpiral", "Artifact"]


def test_an_unknown_class_has_no_group() -> None:
    with pytest.raises(MorphologyError, match="unknown class 'Sz'"):
        group_of("Sz")


def test_coarse_labels_stand_for_known_leaves() -> None:
    assert all(leaf in CLASSES for leaves in COARSE_LABELS.values() for leaf in leaves)
    assert leaves_of("spiral") == ("Sd", "Sc", "Sb", "Sa", "SBd", "SBc", "SBb", "SBa")
    assert leaves_of("merger") == ()
    assert leaves_of("SBb2m") == ("SBb",)


def test_an_unknown_label_names_itself_and_what_is_known() -> None:
    with pytest.raises(MorphologyError, match="unknown morphology label 'whale'.*spiral_clockwise"):
        leaves_of("whale")


def test_the_tree_has_11_questions_and_37_answers_and_every_branch_ends() -> None:
    assert len(QUESTIONS) == 11
    assert sum(len(question.answers) for question in QUESTIONS.values()) == 37
    for question in QUESTIONS.values():
        for answer in question.answers:
            seen, name = {question.name}, answer.leads_to
            while name is not None:
                assert name not in seen
                seen.add(name)
                name = QUESTIONS[name].answers[0].leads_to


def test_plurality_of_the_debiased_fractions_gives_the_published_class(sample_folder) -> None:
    columns = [column for question in QUESTIONS.values() for column in question.columns]
    with (sample_folder / "gz2_hart16.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    same = sum(
        gz2_class_from_fractions({name: float(row[f"{name}_debiased"] or math.nan) for name in columns})
        == row["gz2_class"]
        for row in rows
    )
    assert same >= 0.99 * len(rows)  # ties are the rest
