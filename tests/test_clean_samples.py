"""The five clean kinds: thresholds on the share of all voters."""

from __future__ import annotations

import numpy as np
import pytest

from galclass.clean_samples import CLEAN_ANSWERS, CLEAN_LABELS, clean_kind, shares_of_all_voters

SMOOTH, FEATURES, EDGE_ON, FACE_ON, SPIRAL, ROUND, BETWEEN, CIGAR = CLEAN_ANSWERS


def kinds(**rows: dict[str, float]) -> dict[str, str | None]:
    fractions = {stem: np.array([row.get(stem, 0.0) for row in rows.values()]) for stem in CLEAN_ANSWERS}
    found = clean_kind(fractions)
    return {name: CLEAN_LABELS[kind] if kind >= 0 else None for name, kind in zip(rows, found, strict=True)}


def test_each_kind_needs_the_share_of_all_voters() -> None:
    assert kinds(
        round={SMOOTH: 0.9, ROUND: 0.6, BETWEEN: 0.4},
        round_by_half_of_the_smooth={SMOOTH: 0.6, ROUND: 0.6, BETWEEN: 0.4},
        between={SMOOTH: 1.0, BETWEEN: 0.5, ROUND: 0.3},
        cigar={SMOOTH: 0.6, CIGAR: 1.0},
        edge_on={FEATURES: 0.9, EDGE_ON: 0.7, FACE_ON: 0.3},
        edge_on_by_most_of_few={FEATURES: 0.5, EDGE_ON: 0.9},
        spiral={FEATURES: 0.9, FACE_ON: 0.9, SPIRAL: 0.9},
        disk_without_arms={FEATURES: 0.9, FACE_ON: 0.9, SPIRAL: 0.5},
        nobody={},
    ) == {
        "round": "completely_round_smooth",
        "round_by_half_of_the_smooth": None,
        "between": "in_between_smooth",
        "cigar": "cigar_shaped_smooth",
        "edge_on": "edge_on",
        "edge_on_by_most_of_few": None,
        "spiral": "spiral",
        "disk_without_arms": None,
        "nobody": None,
    }


def test_a_question_nobody_was_asked_counts_as_no_votes() -> None:
    fractions = {stem: np.array([np.nan]) for stem in CLEAN_ANSWERS} | {SMOOTH: np.array([1.0])}
    assert clean_kind(fractions).tolist() == [-1]


def test_shares_are_multiplied_down_the_tree() -> None:
    fractions = {stem: np.array([0.5]) for stem in CLEAN_ANSWERS}
    shares = {stem: share.item() for stem, share in shares_of_all_voters(fractions).items()}
    assert shares == pytest.approx(
        dict(zip(CLEAN_ANSWERS, [0.5, 0.5, 0.25, 0.25, 0.125, 0.25, 0.25, 0.25], strict=True))
    )
