"""Losses for labels at any level of the tree."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from train.drawn_galaxies import write_prepared

from galclass.errors import TrainingError
from galclass.morphology import CLASSES, leaves_of
from galclass.train.conventions import own_kind, raw_kinds, widened_to_two
from galclass.train.dataset import TrainingData, class_weights, open_training_data, vote_reach
from galclass.train.losses import (
    Observation,
    Targets,
    class_loss,
    fine_loss,
    make_targets,
    observed_kinds,
    vote_loss,
    within_loss,
)
from galclass.train.networks import ClassesFromVotes


def targets(*labels: str) -> Targets:
    leaves = torch.tensor([[name in leaves_of(label) for name in CLASSES] for label in labels])
    count = len(labels)
    none, nothing = torch.full((count,), -1), torch.zeros_like(leaves)
    return Targets(leaves, torch.ones(count), none, torch.zeros(count, 37), torch.zeros(count, 11), nothing, nothing)


def test_fine_label_trains_minus_log_of_its_probability() -> None:
    logits = torch.zeros(1, 13)
    assert class_loss(logits, targets("Er"), None, 0.0).item() == pytest.approx(log(13))


def test_coarse_label_trains_minus_log_of_the_sum_of_its_leaves() -> None:
    logits = torch.zeros(2, 13)
    elliptical, spiral = class_loss(logits, targets("elliptical", "spiral"), None, 0.0).tolist()
    assert elliptical == pytest.approx(-log(3 / 13))
    assert spiral == pytest.approx(-log(8 / 13))


def test_coarse_label_leaves_the_split_between_its_leaves_alone() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0] + [0.0] * 10], requires_grad=True)
    class_loss(logits, targets("elliptical"), None, 0.0).sum().backward()
    step = logits.detach() - 0.01 * logits.grad
    before, after = torch.softmax(logits[0, :3], 0), torch.softmax(step[0, :3], 0)
    assert torch.softmax(step, 1)[0, :3].sum() > torch.softmax(logits, 1)[0, :3].sum()
    assert torch.allclose(before, after, atol=0.01)


def test_coarse_debiased_label_trains_minus_log_of_the_sum_of_its_leaves() -> None:
    rows = replace(targets("smooth", "Er", "merger"), fine=targets("smooth", "Er", "merger").leaves)
    logits = torch.randn(3, 13, generator=torch.Generator().manual_seed(1))
    probabilities = torch.softmax(logits, 1)
    smooth, one, nothing = fine_loss(logits, rows).tolist()
    assert smooth == pytest.approx(-log(probabilities[0, :3].sum()))
    assert one == pytest.approx(-log(probabilities[1, 0]))
    assert nothing == 0


def test_label_that_says_nothing_trains_nothing() -> None:
    logits = torch.randn(1, 13, requires_grad=True)
    loss = class_loss(logits, targets("merger"), None, 0.1)
    loss.sum().backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_smoothing_bounds_the_loss_of_a_wrong_label() -> None:
    logits = torch.tensor([[100.0] + [0.0] * 12])
    assert class_loss(logits, targets("Se"), None, 0.013).item() == pytest.approx(-log(0.001), rel=1e-3)


def test_observation_matrix_starts_near_the_surveys_word_and_is_stochastic() -> None:
    matrix = Observation(((0, 1, 2), (3,), tuple(range(4, 12)))).matrix()
    assert torch.allclose(matrix.sum(1), torch.ones(13))
    assert (matrix[:3, 0] > 0.95).all()
    assert (matrix[4:12, 2] > 0.95).all()
    assert torch.allclose(matrix[12], torch.full((3,), 1 / 3))


def test_observed_label_is_explained_by_what_the_survey_says_of_the_true_class() -> None:
    observation = Observation(((0, 1, 2), tuple(range(4, 12))))
    with torch.no_grad():
        observation.logits[4] = torch.tensor([0.0, 0.0])  # of face-on spirals the survey calls half elliptical
    sure_spiral = torch.tensor([[-50.0] * 4 + [5.0] + [-50.0] * 8])
    observed = targets("elliptical")
    through = replace(observed, observed=torch.tensor([0]))
    assert class_loss(sure_spiral, observed, observation, 0.0).item() > 50
    assert class_loss(sure_spiral, through, observation, 0.0).item() == pytest.approx(log(2), abs=1e-4)


def test_leaf_within_its_kind_leaves_the_kind_alone() -> None:
    logits = torch.linspace(-2, 2, 13).view(1, 13).requires_grad_()
    fine = targets("SBc2m")
    rows = replace(targets("merger"), fine=fine.leaves, within=torch.from_numpy(own_kind(fine.leaves.numpy())))
    within_loss(logits, rows).sum().backward()
    assert logits.grad[0, :4].abs().max() < 1e-6
    assert logits.grad[0, 4:12].sum().item() == pytest.approx(0, abs=1e-6)
    assert logits.grad[0, CLASSES.index("SBc")] < 0
    assert fine_loss(torch.zeros(1, 13), rows).item() == pytest.approx(log(13))


def test_edge_on_has_no_kind_to_choose_within() -> None:
    assert not own_kind(targets("Ser").leaves.numpy()).any()


def test_raw_kinds_follow_the_clean_thresholds() -> None:
    fractions = {
        "t01_smooth_or_features_a01_smooth": [0.9, 0.1, 0.1, 0.6],
        "t01_smooth_or_features_a02_features_or_disk": [0.1, 0.9, 0.9, 0.4],
        "t02_edgeon_a04_yes": [0.0, 0.7, 0.1, 0.0],
        "t02_edgeon_a05_no": [1.0, 0.3, 0.9, 1.0],
        "t04_spiral_a08_spiral": [0.0, 0.0, 0.8, 0.9],
        "t07_rounded_a16_completely_round": [0.1, 1.0, 0.0, 0.8],
        "t07_rounded_a17_in_between": [0.3, 0.0, 0.0, 0.1],
        "t07_rounded_a18_cigar_shaped": [0.6, 0.0, 0.0, 0.1],
    }
    table = pa.table({f"{stem}_weighted_fraction": values for stem, values in fractions.items()})
    found = [tuple(np.array(CLASSES)[row]) for row in raw_kinds(table, "here")]
    assert found == [("Ec",), ("Se",), leaves_of("spiral"), ()]
    with pytest.raises(TrainingError, match=r"no column .*weighted_fraction. Leave out here"):
        raw_kinds(table.drop_columns(table.column_names[:1]), "here")


def test_binary_labels_are_widened_to_smooth_or_not() -> None:
    wide = widened_to_two(targets("Ec", "SBc2m", "A", "merger").leaves.numpy())
    assert wide.sum(1).tolist() == [3, 10, 10, 0]
    assert wide[0, :3].all()
    assert not wide[1, :3].any()


def test_classes_follow_from_votes_down_the_tree() -> None:
    torch.manual_seed(0)
    head = ClassesFromVotes(torch.nn.Identity())
    logits = torch.randn(5, 37)
    probability = head(logits).exp()
    assert torch.allclose(probability.sum(1), torch.ones(5), atol=1e-5)
    smooth, bar = torch.softmax(logits[:, :3], 1), torch.softmax(logits[:, 5:7], 1)
    assert torch.allclose(probability[:, :3].sum(1), smooth[:, 0], atol=1e-5)
    assert torch.allclose(probability[:, 12], smooth[:, 2], atol=1e-5)
    barred, plain = probability[:, 8:12].sum(1), probability[:, 4:8].sum(1)
    assert torch.allclose(barred / (barred + plain), bar[:, 0], atol=1e-5)


def test_vote_loss_is_least_at_the_fractions_and_weighs_questions_by_reach() -> None:
    given = torch.full((1, 37), 0.0)
    given[0, :3] = torch.tensor([0.6, 0.3, 0.1])
    reach = torch.zeros(1, 11)
    reach[0, 0] = 1
    rows = replace(targets("merger"), votes=given, reach=reach)
    right = torch.zeros(1, 37)
    right[0, :3] = given[0, :3].log()
    entropy = -(given[0, :3] * given[0, :3].log()).sum()
    assert vote_loss(right, rows).item() == pytest.approx(entropy.item(), rel=1e-5)
    assert vote_loss(torch.zeros(1, 37), rows).item() > entropy.item()


def test_reach_follows_the_tree() -> None:
    votes = np.full((2, 37), np.nan, np.float32)
    votes[0] = 0
    votes[0, :3] = 0.2, 0.7, 0.1  # smooth, features, star
    votes[0, 3:5] = 0.1, 0.9  # edge-on yes, no
    reach = vote_reach(votes)
    questions = [name[:3] for name in ("t01", "t02", "t03", "t04", "t05", "t06", "t07", "t08", "t09", "t10", "t11")]
    found = dict(zip(questions, reach[0].round(3).tolist(), strict=True))
    assert (found["t01"], found["t02"], found["t07"]) == pytest.approx((1.0, 0.7, 0.2))
    assert (found["t03"], found["t09"]) == pytest.approx((0.63, 0.07))
    assert not reach[1].any()


@pytest.fixture
def mixed(tmp_path: Path) -> TrainingData:
    """Three Er for each Se."""
    write_prepared(tmp_path / "prepared", ["Er", "Er", "Er", "Sen"] * 6)
    return open_training_data(tmp_path / "prepared")


def test_balanced_weights_give_each_label_the_same_sum(mixed: TrainingData) -> None:
    rows = mixed.indices("train")
    weight = class_weights(mixed, rows, 1.0)[rows]
    round_ones = mixed.leaves[rows, 0]
    assert weight[round_ones].sum() == pytest.approx(weight[~round_ones].sum())
    assert weight.mean() == pytest.approx(1)
    assert np.all(class_weights(mixed, rows, 0.0) == 1)


def test_only_named_sources_are_observed(mixed: TrainingData) -> None:
    kinds, column = observed_kinds(mixed, ("drawn",))
    assert kinds == ((0,), (3,))
    assert set(column) == {0, 1}
    assert observed_kinds(mixed, ("elsewhere",))[0] == ()
    made = make_targets(mixed, np.ones(24, np.float32), column)
    assert made.rows(torch.tensor([3])).observed.item() == 1
