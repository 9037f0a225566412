"""Hashes of the ids that a model was fitted to."""

from __future__ import annotations

import pytest

from galclass.scoring import Scorer
from galclass.scoring import fitted_ids as module
from galclass.scoring.fitted_ids import (
    base_unknown,
    fitted_ids,
    fitted_of_test_split,
    recorded,
    remark_of,
    split_fitted,
    with_base,
    without_hashes,
)

IDS = [f"5877229817{n:04}" for n in range(300)]


@pytest.mark.parametrize("kept", [None, 3, {"count": 2}, {"count": 1, "sha256_32": 7}])
def test_a_model_without_a_record_tells_nothing(kept: object) -> None:
    assert split_fitted({"fitted_ids": kept}, IDS) is None
    assert split_fitted({}, IDS) is None


def test_a_sample_of_the_hashes_tells_which_objects_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORDED", 50)
    found = split_fitted({"fitted_ids": fitted_ids(IDS[:200])}, IDS)
    assert found is not None
    fitted, unknown = found
    assert len(fitted) == 50
    assert fitted < set(IDS[:200])
    others = set(IDS) - fitted - unknown
    assert others
    assert others < set(IDS[200:])


def test_one_hash_in_common_says_nothing_of_objects_that_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORDED", 50)
    trained = {"fitted_ids": fitted_ids(IDS[:200])}
    fitted, unknown = split_fitted(trained, IDS) or (set(), set())
    one = min(fitted)
    assert fitted_of_test_split(trained, [one, *IDS[200:]]) == {one}
    again = fitted_of_test_split(trained, [*sorted(fitted)[:9], *IDS[200:]])
    assert again == set(sorted(fitted)[:9]) | (unknown & set(IDS[200:]))


def test_a_new_split_concerns_a_models_own_ids_alone() -> None:
    record = with_base(fitted_ids(IDS[:100]), {"fitted_ids": fitted_ids(IDS[100:200])})
    trained = {"fitted_ids": with_base(fitted_ids(IDS[200:250]), {"fitted_ids": record})}
    assert fitted_of_test_split({"fitted_ids": record}, IDS) == set(IDS[:100])
    assert fitted_of_test_split(trained, IDS) == set(IDS[200:250])
    assert split_fitted(trained, IDS) == (set(IDS[:250]), set())
    without = {"fitted_ids": with_base(fitted_ids(IDS[:9]), {})}
    assert fitted_of_test_split(without, IDS) == set(IDS[:9])


def test_each_id_is_known_and_none_can_be_read() -> None:
    kept = fitted_ids(reversed(IDS[:200]))
    assert kept == fitted_ids(IDS[:200])
    assert split_fitted({"fitted_ids": kept}, IDS) == (set(IDS[:200]), set())
    assert IDS[0] not in str(kept)
    shown = without_hashes({"format": 2, "trained": {"seed": 0, "fitted_ids": kept}})
    assert shown == {"format": 2, "trained": {"seed": 0, "fitted_ids": {"count": 200}}}


def test_a_model_records_what_its_base_was_fitted_to() -> None:
    base = {"fitted_ids": fitted_ids(IDS[:200]) | {"remark": "others are not recognised"}}
    merged = {"fitted_ids": with_base(fitted_ids(IDS[150:250]), base), "base_sha256": "00"}
    assert split_fitted(merged, IDS) == (set(IDS[:250]), set())
    assert without_hashes({"trained": merged})["trained"]["fitted_ids"] == {"count": 250}
    assert not base_unknown(merged)
    assert remark_of(merged) == "others are not recognised"
    again = {"fitted_ids": with_base(fitted_ids(IDS[290:]), merged)}
    assert split_fitted(again, IDS) == (set(IDS[:250] + IDS[290:]), set())
    assert not base_unknown(again)


def test_a_base_without_a_record_is_not_forgotten() -> None:
    first = {"fitted_ids": with_base(fitted_ids(IDS[:10]), {})}
    assert split_fitted(first, IDS) == (set(IDS[:10]), set())
    assert base_unknown(first)
    assert base_unknown({"fitted_ids": with_base(fitted_ids(IDS[10:20]), first)})
    assert base_unknown({"fitted_ids": fitted_ids(IDS), "base_sha256": "00"})  # a head from before this was recorded
    assert not base_unknown({"fitted_ids": fitted_ids(IDS)})
    assert not base_unknown({})


@pytest.mark.parametrize(("own", "before"), [(200, 20), (20, 200)])
def test_of_a_sample_and_all_ids_only_the_common_range_is_known(
    monkeypatch: pytest.MonkeyPatch, own: int, before: int
) -> None:
    monkeypatch.setattr(module, "MAX_RECORDED", 50)
    base = {"fitted_ids": fitted_ids(IDS[300 - before :])}
    merged = {"fitted_ids": with_base(fitted_ids(IDS[:own]), base)}
    truth = set(IDS[:own] + IDS[300 - before :])
    found = split_fitted(merged, IDS)
    assert found is not None
    fitted, unknown = found
    assert len(fitted) == 50
    assert fitted < truth
    assert not truth - fitted - unknown
    assert set(IDS) - truth - unknown


def test_what_is_kept_beside_a_packaged_model_has_more_names_than_its_own_record() -> None:
    own = {"seed": 1, "fitted_ids": fitted_ids(IDS)}
    assert recorded(own, "0" * 64) is own
    kept = recorded(own, Scorer().sha256)
    assert kept["seed"] == 1
    assert kept["fitted_ids"]["count"] > 40_000
