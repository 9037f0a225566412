"""The second panel of volunteers: voters per question, agreement, margin."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from galclass.evaluate.ceiling import VOTE_COLUMNS, clean_ceiling, second_panel, voters_by_question
from galclass.morphology import CLASSES


def row_of(classifications: int = 40, **fractions: float) -> dict[str, float]:
    """Votes that are zero but for the answers given (weighted and debiased alike)."""
    row = dict.fromkeys(VOTE_COLUMNS, 0.0) | {"total_classifications": float(classifications)}
    for stem, value in fractions.items():
        row[f"{stem}_weighted_fraction"] = row[f"{stem}_debiased"] = value
    return row


ROUND = {
    "t01_smooth_or_features_a01_smooth": 1.0,
    "t07_rounded_a16_completely_round": 1.0,
    "t06_odd_a15_no": 1.0,
}


def test_a_unanimous_vote_is_always_repeated() -> None:
    panel = second_panel([row_of(**ROUND)], panels=20)
    assert panel.leaf_agreement.tolist() == pytest.approx([1.0])
    assert panel.margin.tolist() == [1.0]
    assert panel.leaf_share[0, CLASSES.index("Er")] == pytest.approx(1.0)


def test_a_near_tie_is_repeated_about_half_of_the_time() -> None:
    tie = ROUND | {"t07_rounded_a16_completely_round": 0.51, "t07_rounded_a17_in_between": 0.49}
    panel = second_panel([row_of(**tie)], panels=2000, seed=1)
    assert panel.leaf_agreement[0] == pytest.approx(0.55, abs=0.1)
    assert panel.group_agreement[0] == pytest.approx(1.0)
    assert panel.margin[0] == pytest.approx(0.02)


def test_voters_follow_the_fractions_down_the_tree() -> None:
    row = row_of(
        50,
        t01_smooth_or_features_a01_smooth=0.2,
        t01_smooth_or_features_a02_features_or_disk=0.8,
        t02_edgeon_a04_yes=0.25,
        t02_edgeon_a05_no=0.75,
        t03_bar_a07_no_bar=1.0,
        t04_spiral_a08_spiral=0.5,
        t04_spiral_a09_no_spiral=0.5,
    )
    voters = voters_by_question(row)
    assert (voters["t01_smooth_or_features"], voters["t07_rounded"], voters["t02_edgeon"]) == (50, 10, 40)
    assert (voters["t09_bulge_shape"], voters["t03_bar"], voters["t04_spiral"], voters["t10_arms_winding"]) == (
        10,
        30,
        30,
        15,
    )


def test_questions_nobody_was_asked_keep_their_published_fractions() -> None:
    row = row_of(0, **ROUND) | {"t09_bulge_shape_a25_rounded_weighted_fraction": math.nan}
    assert second_panel([row], panels=5).leaf_agreement.tolist() == pytest.approx([1.0])


def test_real_volunteers_agree_with_themselves_often_but_not_always(sample_folder) -> None:
    with (sample_folder / "gz2_hart16.csv").open(newline="") as file:
        rows = [
            {name: float(row[name] or math.nan) for name in (*VOTE_COLUMNS, "total_classifications")}
            for _, row in zip(range(80), csv.DictReader(file), strict=False)
        ]
    panel = second_panel(rows, panels=40)
    assert 0.5 < panel.leaf_agreement.mean() < 0.95
    assert np.all(panel.group_agreement >= panel.leaf_agreement - 1e-9)
    confident = panel.margin > np.median(panel.margin)
    assert panel.leaf_agreement[confident].mean() > panel.leaf_agreement[~confident].mean()


def test_the_clean_ceiling_is_high_where_votes_are_clear_and_low_at_a_threshold() -> None:
    clear = row_of(**ROUND)
    close = row_of(
        t01_smooth_or_features_a01_smooth=1.0, t07_rounded_a16_completely_round=0.5, t07_rounded_a17_in_between=0.5
    )
    sure = clean_ceiling([clear] * 3, panels=50)
    assert sure.objects.tolist() == [3, 0, 0, 0, 0]
    assert sure.recall[0] == 1
    mixed = clean_ceiling([clear, close], panels=2000, seed=1)
    # Of the close one, half of the panels say round and half in between (a tie: neither); one label can be right.
    assert 1.4 < mixed.objects[0] < 1.6
    assert mixed.recall[:2].min() == 0 or mixed.recall[:2].max() == 1
    assert mixed.accuracy([1, 0, 0, 0, 0]) == mixed.recall[0]


def test_more_voters_leave_less_to_chance() -> None:
    close = row_of(
        t01_smooth_or_features_a01_smooth=1.0, t07_rounded_a16_completely_round=0.55, t07_rounded_a17_in_between=0.45
    )
    few, many = (clean_ceiling([close], panels=500, voters=voters) for voters in (10, 1000))
    assert few.objects[1] > 0.2
    assert many.objects[1] < 0.01


def test_an_object_without_votes_is_clean_for_no_panel() -> None:
    assert clean_ceiling([row_of(0)], panels=5, voters=None).objects.sum() == 0
