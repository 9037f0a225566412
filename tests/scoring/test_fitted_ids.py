"""Hashes of the ids that a model was fitted to."""

from __future__ import annotations

import pytest

from galclass.scoring import fitted_ids as module
from galclass.scoring.fitted_ids import fitted_ids, split_fitted, without_hashes

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


def test_each_id_is_known_and_none_can_be_read() -> None:
    kept = fitted_ids(reversed(IDS[:200]))
    assert kept == fitted_ids(IDS[:200])
    assert split_fitted({"fitted_ids": kept}, IDS) == (set(IDS[:200]), set())
    assert IDS[0] not in str(kept)
    shown = without_hashes({"format": 2, "trained": {"seed": 0, "fitted_ids": kept}})
    assert shown == {"format": 2, "trained": {"seed": 0, "fitted_ids": {"count": 200}}}
