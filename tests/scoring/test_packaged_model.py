"""The packaged model predicts raw votes: it opens, keeps its promises of form, and says what it was made of."""

from __future__ import annotations

import json

import pytest

from galclass.scoring import Scorer


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer()


def test_class_and_group_follow_from_votes_with_intervals(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    found = scorer.score(list(galaxies.values()), object_ids=list(galaxies))
    assert {one.error for one in found} == {None}
    for one in found:
        assert one.predicted_class in one.prediction_set
        assert len(one.raw_vote_fractions) == len(one.vote_fractions) == 37
        assert all(0 <= low <= share <= high <= 1 for share, low, high in one.raw_vote_fractions.values())
    assert len({one.predicted_class for one in found}) > 1


def test_the_file_names_no_folder_of_whoever_trained_it(scorer: Scorer) -> None:
    trained = json.dumps(scorer.signature.trained)
    assert '"workspace": "workspace/bars_heads"' in trained
    assert "/home/" not in trained
    assert "/tmp" not in trained
