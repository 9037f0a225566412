"""Probabilities of statements about a galaxy's votes, exact and differentiable.

Votes on a question follow a Dirichlet-multinomial distribution, and those who choose an answer go on to the next
question. Takes the parameters (alpha) of each question, returns probabilities of events over the counts of `VOTERS`
volunteers: "at least half of them chose smooth and then round", "more chose artifact than anything else". The sums run
over the possible counts, so the only approximation is the number of volunteers; nothing is sampled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from galclass.catalog.raw_counts import VOTERS
from galclass.clean_samples import CLEAN_SHARES

LARGEST: tuple[str, ...] = ("smooth", "features", "artifact", "odd", "not_odd")
"""Candidates for the largest of the 37 shares of all voters: no answer has more votes than the one that leads to it."""


def log_rising(alpha: Tensor, count: int) -> Tensor:
    """Return log of alpha (alpha + 1) ... (alpha + k - 1) for k = 0..count: (n,) -> (n, count + 1)."""
    steps = torch.arange(count, dtype=alpha.dtype, device=alpha.device)
    return functional.pad(torch.cumsum(torch.log(alpha[:, None] + steps), 1), (1, 0))


def _log_choose(count: int, like: Tensor) -> Tensor:
    """Return log of i over k, -inf where k > i, (count + 1, count + 1)."""
    table = [[math.log(math.comb(i, k)) if k <= i else -math.inf for k in range(count + 1)] for i in range(count + 1)]
    return torch.tensor(table, dtype=like.dtype, device=like.device)


def passed_on(reached: Tensor, alpha: Tensor, others: Tensor) -> Tensor:
    """Return the distribution of how many choose an answer, from that of how many reach the question.

    Parameters
    ----------
    reached : (n, count + 1)
        Probability that 0..count volunteers reach the question; need not sum to 1.
    alpha, others : (n,)
        Parameter of the answer, and the sum of those of the other answers.

    Returns
    -------
    (n, count + 1)
        Probability that 0..count of them choose the answer.
    """
    count = reached.shape[1] - 1
    index = torch.arange(count + 1, device=alpha.device)
    missed = (index[:, None] - index).clamp(min=0)  # i - k of i who are asked
    log_p = log_rising(alpha, count)[:, None, :] + log_rising(others, count)[:, missed]
    log_p = log_p - log_rising(alpha + others, count)[:, :, None] + _log_choose(count, alpha)
    return torch.einsum("ni,nik->nk", reached, log_p.exp())


def asked(alpha: Tensor, others: Tensor, count: int = VOTERS) -> Tensor:
    """Return the distribution of how many of `count` volunteers, all asked, choose an answer, (n, count + 1)."""
    everybody = torch.zeros(len(alpha), count + 1, dtype=alpha.dtype, device=alpha.device)
    everybody[:, count] = 1.0
    return passed_on(everybody, alpha, others)


def at_least(share: float, count: int = VOTERS) -> int:
    """Return the smallest number of `count` volunteers that is at least this share of them."""
    return math.ceil(share * count - 1e-9)


def _of(alphas: Tensor, answer: int) -> tuple[Tensor, Tensor]:
    return alphas[:, answer], alphas.sum(1) - alphas[:, answer]


def _from(counts: Tensor, least: int) -> Tensor:
    """Set the probability of counts below `least` to 0."""
    kept = torch.arange(counts.shape[1], device=counts.device) >= least
    return counts * kept


def clean_probabilities(alphas: Mapping[str, Tensor]) -> Tensor:
    """Return the probability that the votes make a galaxy clean for each kind of `CLEAN_LABELS`, (n, 5).

    Parameters
    ----------
    alphas : mapping of (n, answers)
        Dirichlet parameters by question.
    """
    first, edge_on = alphas["t01_smooth_or_features"], alphas["t02_edgeon"]
    least = {name: at_least(share) for name, share in CLEAN_SHARES.items()}
    smooth = _from(asked(*_of(first, 0)), least["smooth"])
    featured = _from(asked(*_of(first, 1)), least["features"])
    rounded = alphas["t07_rounded"]
    kinds = [passed_on(smooth, *_of(rounded, answer))[:, least["shape"] :].sum(1) for answer in range(3)]
    kinds.append(passed_on(featured, *_of(edge_on, 0))[:, least["edge_on"] :].sum(1))
    face_on = _from(passed_on(featured, *_of(edge_on, 1)), least["not_edge_on"])
    kinds.append(passed_on(face_on, *_of(alphas["t04_spiral"], 0))[:, least["spiral"] :].sum(1))
    return torch.stack(kinds, 1)


def largest_probabilities(alphas: Mapping[str, Tensor]) -> Tensor:
    """Return the probability that each of `LARGEST` has the largest share of voters; the first wins ties, (n, 5)."""
    first = alphas["t01_smooth_or_features"]
    answers = [asked(*_of(first, answer)) for answer in range(3)]
    odd = asked(*_of(alphas["t06_odd"], 0))
    upto = torch.cumsum(odd, 1)
    half = VOTERS // 2 + 1  # more than half: the larger of odd and not odd always has it
    low = functional.pad(upto, (1, 0))[:, : VOTERS + 1 - half].flip(1)  # P(odd < VOTERS - k) for k = half..VOTERS
    kinds = [(answer[:, half:] * (upto[:, half:] - low)).sum(1) for answer in answers]
    tails = torch.stack(answers).sum(0).flip(1).cumsum(1).flip(1)
    below = 1 - tails[:, half:]  # P(every answer has fewer than k): above half they exclude each other
    kinds += [(odd[:, half:] * below).sum(1), (odd.flip(1)[:, half:] * below).sum(1)]
    return torch.stack(kinds, 1)


def plurality_of_three(alphas: Tensor, count: int = VOTERS) -> Tensor:
    """Return the probability that each of three answers has the most of `count` votes; the first wins ties, (n, 3)."""
    index = torch.arange(count + 1, device=alphas.device)
    i, j = index[:, None], index[None, :]
    k = (count - i - j).clamp(min=0)
    factorial = torch.lgamma(index.to(alphas.dtype) + 1)
    rising = [log_rising(alphas[:, answer], count) - factorial for answer in range(3)]
    log_p = rising[0][:, :, None] + rising[1][:, None, :] + rising[2][:, k]
    log_p = log_p + factorial[count] - log_rising(alphas.sum(1), count)[:, count, None, None]
    p = log_p.exp() * (i + j <= count)
    most = torch.stack([(i >= j) & (i >= k), (j > i) & (j >= k), (k > i) & (k > j)])
    return torch.einsum("nij,aij->na", p, most.to(p.dtype))


def log_votes(counts: Tensor, alphas: Tensor) -> Tensor:
    """Return log P(counts) of one question, Dirichlet-multinomial; counts need not be whole, (n, answers) -> (n,).

    A row without votes has log P 0.
    """
    total, concentration = counts.sum(1), alphas.sum(1)
    orders = torch.lgamma(total + 1) - torch.lgamma(counts + 1).sum(1)
    answers = (torch.lgamma(counts + alphas) - torch.lgamma(alphas)).sum(1)
    return orders + torch.lgamma(concentration) - torch.lgamma(concentration + total) + answers
