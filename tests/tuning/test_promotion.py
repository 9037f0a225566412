"""When a new version of a model becomes production."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_model import tiny_model, tiny_own_model

from galclass.database import Database, Registry, open_database
from galclass.database.model_figures import HELD_OUT
from galclass.database.models import ModelRecord
from galclass.errors import EvaluationError
from galclass.morphology import CLASSES
from galclass.scoring.fitted_ids import fitted_ids, with_base
from galclass.tuning.measure import difference
from galclass.tuning.promotion import MAX_HASHES, Registered, hashes_of, register, unseen_by


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'galclass.db'}", migrate=True) as opened:
        yield opened


def add(database: Database, seed: int, compare: object = "nothing is known", **options: object) -> Registered:
    return register(
        database, tiny_model(seed), name="mine", classes=CLASSES,
        compare=lambda old: compare, **options,  # type: ignore[arg-type, return-value]
    )  # fmt: skip


def production(database: Database) -> int | None:
    return Registry(database).points_at("mine", "production")


def answers(new: float, old: float, count: int = 400) -> tuple[dict[str, bool], dict[str, bool]]:
    """Which of so many objects two versions are right on: the first ones of each."""
    return tuple({str(n): n < share * count for n in range(count)} for share in (new, old))  # type: ignore[return-value]


def test_the_first_version_is_production_and_a_later_one_of_unknown_worth_is_not(database: Database) -> None:
    assert "not promoted" not in str(add(database, 0))
    assert production(database) == 1
    second = add(database, 1)
    assert production(database) == 1
    assert second.model.version == 2
    assert "not promoted: nothing is known; mine@production is unchanged" in str(second)
    assert "`galclass models alias mine production 2`" in str(second)
    assert "--promote" in str(second)


@pytest.mark.parametrize(
    ("new", "old", "promoted"),
    [(0.60, 0.50, True), (0.505, 0.50, True), (0.50, 0.50, False), (0.49, 0.50, False), (0.14, 0.50, False)],
)
def test_the_paired_difference_decides(database: Database, new: float, old: float, promoted: bool) -> None:
    add(database, 0)
    said = str(add(database, 1, answers(new, old)))
    assert production(database) == (2 if promoted else 1)
    assert ("not promoted" in said) != promoted


def test_a_gain_that_chance_makes_is_not_enough(database: Database) -> None:
    add(database, 0)
    draw = np.random.default_rng(0).permutation(40)
    gained = {str(n): bool(n < 21) for n in range(40)}, {str(n): bool(draw[n] < 20) for n in range(40)}
    add(database, 1, gained)
    assert production(database) == 1


def test_too_few_objects_decide_nothing(database: Database) -> None:
    add(database, 0)
    said = str(add(database, 1, answers(1.0, 0.0, 29)))
    assert "only 29 held-out objects" in said
    assert production(database) == 1


def test_models_of_other_classes_are_not_compared(database: Database) -> None:
    add(database, 0)

    def never(old: ModelRecord) -> str:
        raise AssertionError("compared")

    said = register(database, tiny_own_model(), name="mine", classes=("no ring", "ring"), compare=never)
    assert "its classes are not those of mine@1" in str(said)
    assert production(database) == 1


def test_what_is_told_explicitly_is_done(database: Database) -> None:
    add(database, 0)
    add(database, 1, promote=True)
    assert production(database) == 2
    add(database, 2, aliases=("production", "candidate"))
    assert production(database) == 3
    add(database, 3, aliases=())
    assert production(database) == 3


def test_the_same_bytes_again_change_nothing(database: Database) -> None:
    add(database, 0)
    add(database, 1, promote=True)
    assert "not promoted" not in str(add(database, 1))
    assert production(database) == 2
    add(database, 0)  # version 1 again: no newer version by chance
    assert production(database) == 2


def test_hashes_of_two_versions_have_in_common_what_both_kept_apart() -> None:
    first, second = ([f"object {n}" for n in range(start, start + 5000)] for start in (0, 1000))
    assert len(hashes_of(first)) == MAX_HASHES
    common = set(unseen_by({HELD_OUT: hashes_of(first)}, second))
    assert len(common) > 1000
    assert common <= set(first) & set(second)
    assert unseen_by({}, second) == []
    assert unseen_by({HELD_OUT: "damaged"}, second) == []


def test_objects_that_a_version_or_its_base_was_fitted_to_are_never_held_out() -> None:
    ids = [f"object {n}" for n in range(40)]
    base = {"fitted_ids": fitted_ids(ids[10:20])}
    trained = {"fitted_ids": with_base(fitted_ids(ids[:5]), base)}
    assert unseen_by({HELD_OUT: hashes_of(ids[5:30])}, ids, trained) == [*ids[5:10], *ids[20:30]]
    assert unseen_by({}, ids, trained) == [*ids[5:10], *ids[20:]]  # the record is complete
    assert unseen_by({}, ids, {"fitted_ids": with_base(fitted_ids(ids[:5]), {})}) == []
    assert unseen_by({HELD_OUT: []}, ids, trained) == []


def test_the_paired_interval_is_that_of_the_differences() -> None:
    new, old = {"a": True, "b": True, "c": False, "d": True, "x": True}, {"a": True, "b": False, "c": False, "d": False}
    found = difference(new, old)
    assert (found.objects, found.mean) == (4, 0.5)
    assert found.high - found.mean == pytest.approx(1.959964 * np.std([0, 1, 0, 1], ddof=1) / 2)
    with pytest.raises(EvaluationError, match="too few objects"):
        difference({"a": True}, old)
