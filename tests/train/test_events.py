"""Probabilities of events over votes, against brute force over drawn votes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import betabinom, dirichlet_multinomial

from galclass.catalog.raw_counts import VOTERS
from galclass.clean_samples import clean_kind_of_shares
from galclass.train.events import (
    LARGEST,
    asked,
    at_least,
    clean_probabilities,
    largest_probabilities,
    log_rising,
    log_votes,
    passed_on,
    plurality_of_three,
)

ALPHAS = {
    "t01_smooth_or_features": [[9.0, 7.0, 0.5], [1.0, 12.0, 0.2], [14.0, 1.5, 0.4], [3.0, 3.0, 3.0]],
    "t02_edgeon": [[3.0, 5.0], [9.0, 0.8], [1.0, 1.0], [0.3, 8.0]],
    "t04_spiral": [[6.0, 1.0], [1.0, 1.0], [1.0, 1.0], [5.0, 0.5]],
    "t06_odd": [[4.0, 9.0], [1.0, 6.0], [5.0, 5.0], [12.0, 2.0]],
    "t07_rounded": [[4.0, 2.0, 0.1], [1.0, 1.0, 1.0], [0.5, 9.0, 1.0], [2.0, 2.0, 6.0]],
}
ROWS, DRAWS = 4, 200_000


def alphas() -> dict[str, torch.Tensor]:
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in ALPHAS.items()}


def drawn(rng: np.random.Generator, name: str, row: int, voters: NDArray[np.int64]) -> NDArray[np.int64]:
    return rng.multinomial(voters, rng.dirichlet(ALPHAS[name][row], DRAWS))


def tree(row: int) -> dict[str, NDArray[np.float64]]:
    """Draw votes down the tree and give shares of all voters."""
    rng = np.random.default_rng(row)
    first = drawn(rng, "t01_smooth_or_features", row, np.full(DRAWS, VOTERS))
    edge_on = drawn(rng, "t02_edgeon", row, first[:, 1])
    spiral = drawn(rng, "t04_spiral", row, edge_on[:, 1])
    rounded = drawn(rng, "t07_rounded", row, first[:, 0])
    odd = drawn(rng, "t06_odd", row, np.full(DRAWS, VOTERS))
    columns = {
        "t01_smooth_or_features_a01_smooth": first[:, 0],
        "t01_smooth_or_features_a02_features_or_disk": first[:, 1],
        "t01_smooth_or_features_a03_star_or_artifact": first[:, 2],
        "t02_edgeon_a04_yes": edge_on[:, 0],
        "t02_edgeon_a05_no": edge_on[:, 1],
        "t04_spiral_a08_spiral": spiral[:, 0],
        "t07_rounded_a16_completely_round": rounded[:, 0],
        "t07_rounded_a17_in_between": rounded[:, 1],
        "t07_rounded_a18_cigar_shaped": rounded[:, 2],
        "odd": odd[:, 0],
        "not_odd": odd[:, 1],
    }
    return {name: counts / VOTERS for name, counts in columns.items()}


@pytest.mark.parametrize("row", range(ROWS))
def test_clean_kinds_happen_as_often_as_they_are_drawn(row: int) -> None:
    kinds = clean_kind_of_shares(tree(row))
    seen = np.bincount(kinds[kinds >= 0], minlength=5) / DRAWS
    found = clean_probabilities(alphas())[row].numpy()
    assert np.allclose(found, seen, atol=5 * math.sqrt(0.25 / DRAWS))
    assert found.max() > 0.001


@pytest.mark.parametrize("row", range(ROWS))
def test_largest_share_is_drawn_as_often(row: int) -> None:
    shares = tree(row)
    first = [name for name in shares if name.startswith("t01")]
    order = np.stack([shares[name] for name in (*first, "odd", "not_odd")], 1)
    seen = np.bincount(order.argmax(1), minlength=len(LARGEST)) / DRAWS
    found = largest_probabilities(alphas())[row].numpy()
    assert np.allclose(found, seen, atol=5 * math.sqrt(0.25 / DRAWS))


def test_largest_shares_exclude_each_other_and_leave_nothing_out() -> None:
    assert np.allclose(largest_probabilities(alphas()).sum(1).numpy(), 1)


@pytest.mark.parametrize("row", range(ROWS))
def test_plurality_is_drawn_as_often(row: int) -> None:
    votes = drawn(np.random.default_rng(row), "t01_smooth_or_features", row, np.full(DRAWS, VOTERS))
    seen = np.bincount(votes.argmax(1), minlength=3) / DRAWS
    found = plurality_of_three(alphas()["t01_smooth_or_features"])[row].numpy()
    assert np.allclose(found, seen, atol=5 * math.sqrt(0.25 / DRAWS))
    assert found.sum() == pytest.approx(1)


def test_votes_have_the_probability_of_the_dirichlet_multinomial() -> None:
    counts = np.array([[30, 14, 1], [0, 45, 0], [10, 10, 10], [0, 0, 0]])
    pairs = zip(counts, ALPHAS["t01_smooth_or_features"], strict=True)
    expected = [dirichlet_multinomial.logpmf(n, a, n.sum()) for n, a in pairs]
    found = log_votes(torch.tensor(counts, dtype=torch.float64), alphas()["t01_smooth_or_features"])
    assert np.allclose(found.numpy(), expected)


def test_no_votes_say_nothing_and_have_no_gradient() -> None:
    alpha = torch.tensor([[2.0, 3.0]], requires_grad=True)
    log_p = log_votes(torch.zeros(1, 2), alpha)
    log_p.sum().backward()
    assert log_p.item() == 0
    assert alpha.grad is not None
    assert torch.equal(alpha.grad, torch.zeros(1, 2))


def test_who_is_asked_answers_as_the_beta_binomial_says() -> None:
    found = asked(torch.tensor([2.0, 0.3], dtype=torch.float64), torch.tensor([5.0, 0.2], dtype=torch.float64), 12)
    expected = [betabinom.pmf(range(13), 12, a, b) for a, b in ((2.0, 5.0), (0.3, 0.2))]
    assert np.allclose(found.numpy(), expected)


def test_nobody_who_is_not_asked_answers() -> None:
    reached = torch.tensor([[0.25, 0.0, 0.75]], dtype=torch.float64)
    found = passed_on(reached, torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    assert np.allclose(found.numpy(), [[0.25 + 0.75 / 3, 0.25, 0.25]])


def test_rising_factorials() -> None:
    found = log_rising(torch.tensor([0.5], dtype=torch.float64), 3).exp()
    assert np.allclose(found.numpy(), [[1, 0.5, 0.5 * 1.5, 0.5 * 1.5 * 2.5]])


@pytest.mark.parametrize(("share", "least"), [(0.5, 23), (0.4, 18), (0.602, 28), (0.715, 33), (0.619, 28)])
def test_threshold_in_votes(share: float, least: int) -> None:
    assert at_least(share) == least


def test_gradients_of_events_are_those_of_differences() -> None:
    def event(values: torch.Tensor) -> torch.Tensor:
        given = alphas() | {"t01_smooth_or_features": values}
        return torch.log(clean_probabilities(given)[:, 0]) + torch.log(largest_probabilities(given)[:, 1])

    assert torch.autograd.gradcheck(event, alphas()["t01_smooth_or_features"].requires_grad_())
