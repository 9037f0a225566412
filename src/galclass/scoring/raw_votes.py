"""From predicted raw votes to fractions with bounds: how a panel of volunteers would vote on the same image.

Takes a question's mean fractions and concentration (a Dirichlet-multinomial distribution), returns the 5 and 95 %
quantiles of the fraction among so many volunteers, exactly, from the beta-binomial terms. How many are asked follows
from the predicted votes on the preceding questions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from galclass.morphology import Question
from galclass.scoring.labels import in_order

FloatArray = NDArray[np.float64]

TAIL = 0.05
"""Probability that may lie below the low bound, and above the high one."""

_LEAST, _MOST = 1e-9, 1e3
"""Range of a concentration: outside, the bounds hardly change; inside, no product over `MAX_VOTERS` terms overflows."""
_ROWS = 16
"""Images whose terms are in memory at a time: each takes some 40 kB."""


class VotePanel:
    """The volunteers to whom a galaxy is shown.

    Parameters
    ----------
    questions : sequence of Question
        From the signature; an answer leads to the next question.
    voters : int
        Volunteers in the panel; all of them are asked the questions to which no answer leads.
    """

    def __init__(self, questions: Sequence[Question], voters: int) -> None:
        columns = [column for question in questions for column in question.columns]
        numbers = {question.name: number for number, question in enumerate(questions)}
        self._voters = voters
        self._question_of = np.array([numbers[question.name] for question in questions for _ in question.answers])
        self._steps: list[tuple[int, list[tuple[int, int]]]] = []
        for question in in_order(questions):
            before = [
                (numbers[other.name], columns.index(stem))
                for other in questions
                for answer, stem in zip(other.answers, other.columns, strict=True)
                if answer.leads_to == question.name
            ]
            self._steps.append((numbers[question.name], before))

    def reach(self, votes: FloatArray) -> FloatArray:
        """Return the predicted share of the panel that is asked each question.

        Parameters
        ----------
        votes : float64, (n, answers)
            Mean fraction of each answer among those asked.

        Returns
        -------
        float64, (n, questions), in [0, 1]
        """
        found = np.ones((len(votes), len(self._steps)))
        for question, before in self._steps:
            if before:
                found[:, question] = sum(found[:, other] * votes[:, column] for other, column in before)
        return np.clip(found, 0, 1)

    def bounds(self, votes: FloatArray, concentrations: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the 5 and 95 % quantiles of the fraction of those asked who choose each answer.

        Parameters
        ----------
        votes : float64, (n, answers)
            Mean fraction of each answer among those asked.
        concentrations : float64, (n, questions), above 0
            Sum of the parameters of each question's Dirichlet distribution.

        Returns
        -------
        low, high : float64, (n, answers), in [0, 1]
            Counts of whole volunteers over the number asked, the nearest whole number to reach times voters and at
            least 1: at most 5 % lie below low, at most 5 % above high. Widened, if necessary, to include the mean.
        """
        parts = [
            self._some_bounds(votes[start : start + _ROWS], concentrations[start : start + _ROWS])
            for start in range(0, len(votes), _ROWS)
        ]
        if not parts:
            return votes, votes
        low, high = (np.concatenate(side) for side in zip(*parts, strict=True))
        return np.minimum(low, votes), np.maximum(high, votes)

    def _some_bounds(self, votes: FloatArray, concentrations: FloatArray) -> tuple[FloatArray, FloatArray]:
        asked = np.maximum(np.rint(self.reach(votes) * self._voters), 1)[:, self._question_of]
        spread = np.clip(concentrations, _LEAST, _MOST)[:, self._question_of]
        alpha = np.maximum(votes * spread, _LEAST)
        below = _cumulative(asked, alpha, np.maximum(spread - alpha, _LEAST), int(asked.max(initial=1)))
        total = below[..., -1:]
        low = np.count_nonzero(below <= TAIL * total, axis=2) / asked
        high = np.count_nonzero(below < (1 - TAIL) * total, axis=2) / asked
        return low, high


def _cumulative(asked: FloatArray, alpha: FloatArray, others: FloatArray, most: int) -> FloatArray:
    """Return P(at most k of those asked) but for a factor, (n, answers, most + 1), from ratios of terms."""
    k = np.arange(most, dtype=np.float64)
    left = np.maximum(asked[..., None] - k, 0)
    ratio = left * (alpha[..., None] + k)
    left += others[..., None] - 1
    np.maximum(left, _LEAST, out=left)  # beyond those asked the term is 0 already
    left *= k + 1
    ratio /= left
    terms = np.ones((*asked.shape, most + 1))
    np.cumprod(ratio, axis=-1, out=terms[..., 1:])
    found: FloatArray = np.cumsum(terms, axis=-1, out=terms)
    return found
