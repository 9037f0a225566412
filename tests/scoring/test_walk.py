from __future__ import annotations

import numpy as np
import pytest
from tiny_model import tiny_model

from galclass.morphology import CLASSES, GROUPS, group_of
from galclass.scoring import Scorer
from galclass.scoring.confidence import prediction_set
from galclass.scoring.signature_parts import Conformal
from galclass.scoring.walk import GROUP_OF, walk


def probabilities(**values: float) -> np.ndarray:
    return np.array([values.get(leaf, 0.0) for leaf in CLASSES])


def end(**values: float) -> str:
    return CLASSES[walk(probabilities(**values)[np.newaxis])[0]]


def walk_in_words(values: dict[str, float]) -> str:
    """The rule again, one comparison at a time."""

    def first_of_largest(branches: dict[str, float]) -> str:
        return max(branches, key=lambda name: branches[name])  # max keeps the first of equals

    def total(leaves: tuple[str, ...]) -> int:
        return sum(round(values[leaf] * 10**7) for leaf in leaves)

    unbarred = ("Sd", "Sc", "Sb", "Sa")
    barred = GROUPS["BarredSpiral"]
    root = {"smooth": GROUPS["Elliptical"], "features": ("Se", *unbarred, *barred), "artifact": ("A",)}
    first = first_of_largest({name: total(leaves) for name, leaves in root.items()})
    if first == "artifact":
        return "A"
    if first == "smooth":
        return first_of_largest({leaf: total((leaf,)) for leaf in GROUPS["Elliptical"]})
    if first_of_largest({"yes": total(("Se",)), "no": total(unbarred + barred)}) == "yes":
        return "Se"
    bar = first_of_largest({"bar": total(barred), "no bar": total(unbarred)})
    return first_of_largest({leaf: total((leaf,)) for leaf in (barred if bar == "bar" else unbarred)})


@pytest.mark.parametrize(
    ("values", "leaf"),
    [
        (
            {"Er": 0.4, "Sb": 0.2, "Sc": 0.15, "Sd": 0.15, "SBb": 0.1},
            "Sb",
        ),  # the most probable class lies elsewhere
        ({"A": 0.4, "Er": 0.3, "Ei": 0.3}, "Er"),
        ({"Er": 0.5, "Se": 0.5}, "Er"),
        ({"Se": 0.5, "SBa": 0.5}, "Se"),
        ({"Sa": 0.5, "SBa": 0.5}, "SBa"),
        ({"Sd": 0.25, "Sa": 0.25, "A": 0.5}, "Sd"),
        ({"A": 1.0}, "A"),
    ],
)
def test_the_larger_branch_wins_and_the_first_of_equal_ones(values: dict[str, float], leaf: str) -> None:
    assert end(**values) == leaf
    assert walk_in_words({name: values.get(name, 0.0) for name in CLASSES}) == leaf


def test_the_walk_is_the_rule_in_words_with_ties_too() -> None:
    random = np.random.default_rng(7)
    rows = np.concatenate([random.dirichlet(np.full(13, 0.4), 500), random.integers(0, 3, (500, 13)) / 26])
    found = [CLASSES[position] for position in walk(rows)]
    assert found == [walk_in_words(dict(zip(CLASSES, row.tolist(), strict=True))) for row in rows]


def test_stored_probabilities_give_the_class_they_were_stored_with() -> None:
    rows = np.random.default_rng(3).dirichlet(np.full(13, 0.3), 1000).astype(np.float32)
    stored = np.round(rows.astype(np.float64), 7)
    assert (walk(rows) == walk(stored)).all()


def test_every_class_has_its_group() -> None:
    assert [list(GROUPS)[position] for position in GROUP_OF] == [group_of(leaf) for leaf in CLASSES]
    assert GROUP_OF.shape == (13,)


def test_the_class_is_always_in_its_prediction_set() -> None:
    values = probabilities(Er=0.4, Sb=0.15, Sc=0.15, Sd=0.15, SBb=0.15).astype(np.float32)
    tight = Conformal("lac", 0.7)
    assert prediction_set(values, tight) == ("Er",)
    assert prediction_set(values, tight, "Sb") == ("Er", "Sb")
    assert prediction_set(values, tight, "Er") == ("Er",)
    assert prediction_set(values, None, "Sb") == ()


def test_class_and_group_of_a_record_never_contradict_each_other(galaxies: dict[str, bytes]) -> None:
    scorer = Scorer(tiny_model(conformal=Conformal("aps", 0.3)))
    found = scorer.score(list(galaxies.values()))
    for one in found:
        assert one.predicted_class is not None
        assert one.predicted_group == group_of(one.predicted_class)
        assert one.predicted_class in one.prediction_set
    assert any(one.predicted_class != max(one.by_class or {}, key=(one.by_class or {}).get) for one in found)  # type: ignore[arg-type]
