"""The label desk: which object comes next, how good the head is by now, and the ranked list of a class.

Takes the labels of a desk and the stored embeddings of a model; a head is fitted anew whenever a label came, which
takes milliseconds. Heads are kept in memory and made again when what they are made from changed.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from cachetools import LRUCache

from galclass.database.connection import Database
from galclass.database.desk_labels import DeskLabel, Votes, desk_labels, votes_of
from galclass.database.pools import KeptPool, Pools
from galclass.errors import TrainingError
from galclass.scoring.choosing import Choice, Labelled, can_fit, choose
from galclass.scoring.heads import FEWEST_LABELS, Estimate, Head, fit_head

_MAX_HEADS = 16
"""Most heads that are kept."""
_PENALTY_UP_TO = 100
"""Labels up to which each fit chooses its penalty; above, the one chosen last is kept for as many labels again."""


_RECENT = 100
"""The newest labels; those who gave them share the queue, so that two people do not look at the same objects."""


@dataclass(frozen=True)
class Next:
    """An object of the queue: why it is there, and what the head expects, by class; None before there is a head."""

    object_id: str
    reason: str
    probabilities: dict[str, float] | None


@dataclass(frozen=True)
class DeskState:
    """The progress of a desk.

    Attributes
    ----------
    counts : mapping of str to int
        Objects of each class on which the people agree, with those that have no embedding.
    votes : Votes
    labels : list of DeskLabel
        All, newest first.
    pool : int
        Objects with an embedding.
    queue : list of Next
    estimate : Estimate or None
        Of the head; None before there is one.
    refit_ms : float
        What fitting, ranking and choosing took.
    """

    counts: dict[str, int]
    votes: Votes
    labels: list[DeskLabel]
    pool: int
    queue: list[Next]
    estimate: Estimate | None
    refit_ms: float


@dataclass(frozen=True)
class Ranked:
    """An object of the ranked list: the probability of the class, and what people say (None: nobody yet)."""

    object_id: str
    probability: float
    label: str | None


class LabelDesk:
    """Chooses what is labelled next, by the embeddings of any model.

    Parameters
    ----------
    database : Database
        With a migrated schema.
    pools : Pools, optional
        Shared with others.
    """

    def __init__(self, database: Database, pools: Pools | None = None) -> None:
        self._database = database
        self._pools = pools or Pools(database)
        self.embeddings = self._pools.embeddings
        self._penalties: dict[tuple[str, str], tuple[int, float]] = {}
        self._fitting = threading.Lock()
        self._heads: LRUCache[tuple[str, str], tuple[object, Head]] = LRUCache(_MAX_HEADS)

    def state(
        self,
        model_sha256: str,
        desk: str,
        target: str,
        *,
        by: str,
        classes: Sequence[str] = (),
        count: int = 10,
        left_out: Collection[str] = (),
    ) -> DeskState:
        """Return a desk's progress and what a person should label next.

        Parameters
        ----------
        model_sha256 : str
        desk : str
        target : str
            The class that is looked for.
        by : str
            Objects that this person has labelled do not come again.
        classes : sequence of str
            Classes besides those that have labels.
        count : int
            Objects of the queue.
        left_out : collection of str
            Objects that this person skipped; they come when nothing else is left.
        """
        kept = self._pools.get(model_sha256)
        given = desk_labels(self._database, desk)
        votes = votes_of(given)
        started = perf_counter()
        head = self._head(kept, votes, (model_sha256, desk))
        names = _names(votes, (target, *classes))
        choices = _choose(kept, votes, given, names, target, by, left_out, count, head)
        queue = [_next(kept, choice, head) for choice in choices]
        took_ms = 1e3 * (perf_counter() - started)
        counts = Counter(votes.agreed.values())
        return DeskState(
            {name: counts[name] for name in names},
            votes,
            given,
            len(kept.pool.object_ids),
            queue,
            head.estimate if head else None,
            round(took_ms, 1),
        )

    def ranking(self, model_sha256: str, desk: str, target: str) -> list[Ranked]:
        """Return all objects of the pool by the probability of a class, the most probable first.

        Raises
        ------
        TrainingError
            If there are too few labels for a head of this class.
        """
        kept = self._pools.get(model_sha256)
        votes = votes_of(desk_labels(self._database, desk))
        head = self._head(kept, votes, (model_sha256, desk))
        if head is None or target not in head.classes:
            counts = Counter(votes.agreed.values())
            raise TrainingError(
                "too few labels to rank",
                where=desk,
                expected=f"{FEWEST_LABELS} of {target!r} and of another class",
                got=", ".join(f"{count} of {name!r}" for name, count in sorted(counts.items())) or "none",
            )
        values = head.probabilities(kept.pool.vectors)[:, head.classes.index(target)]
        order = np.argsort(-values, kind="stable")
        ids = kept.pool.object_ids
        return [Ranked(ids[row], round(float(values[row]), 4), votes.agreed.get(ids[row])) for row in order]

    def head(self, model_sha256: str, desk: str) -> tuple[Head, list[str]]:
        """Fit the head of a desk as it is saved: with its penalty chosen anew, prediction sets and flag.

        Returns it with the ids of the objects that it is fitted to.

        Raises
        ------
        TrainingError
            If there are too few labels, or their classes cannot stand in one model.
        """
        kept = self._pools.get(model_sha256)
        rows, names = _learnt(kept, votes_of(desk_labels(self._database, desk)), fewest=1)
        return fit_head(kept.pool.vectors[rows], names), [kept.pool.object_ids[row] for row in rows]

    def _head(self, kept: KeptPool, votes: Votes, key: tuple[str, str]) -> Head | None:
        rows, names = _learnt(kept, votes)
        if not can_fit(list(Counter(names).values())):
            return None
        learnt = kept.state, tuple(rows), tuple(names)
        with self._fitting:  # one at a time, and once for the same labels: a fit to thousands takes seconds
            known = self._heads.get(key)
            if known is None or known[0] != learnt:
                known = self._heads[key] = learnt, self._fit(kept, rows, names, key)
        return known[1]

    def _fit(self, kept: KeptPool, rows: list[int], names: list[str], key: tuple[str, str]) -> Head:
        at, penalty = self._penalties.get(key, (0, 0.0))
        known = _PENALTY_UP_TO < len(names) < 2 * at
        head = fit_head(kept.pool.vectors[rows], names, penalty=penalty if known else None, confidence=False)
        if not known:
            self._penalties[key] = (len(names), head.penalty)
        return head


def _learnt(kept: KeptPool, votes: Votes, fewest: int = FEWEST_LABELS) -> tuple[list[int], list[str]]:
    """Return rows and classes that a head learns from: those of classes with labels enough."""
    there = [(object_id, name) for object_id, name in sorted(votes.agreed.items()) if object_id in kept.rows]
    counts = Counter(name for _, name in there)
    used = [(kept.rows[object_id], name) for object_id, name in there if counts[name] >= fewest]
    return [row for row, _ in used], [name for _, name in used]


def _names(votes: Votes, wanted: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*wanted, *sorted(set(votes.agreed.values()))]))


def _choose(
    kept: KeptPool,
    votes: Votes,
    given: list[DeskLabel],
    names: list[str],
    target: str,
    by: str,
    left_out: Collection[str],
    count: int,
    head: Head | None,
) -> list[Choice]:
    rows, codes = [], []
    for object_id, name in votes.agreed.items():
        if object_id in kept.rows:
            rows.append(kept.rows[object_id])
            codes.append(names.index(name))
    labelled = Labelled(np.array(rows, dtype=np.int64), np.array(codes, dtype=np.int64))
    mine = {one.object_id for one in given if one.labelled_by == by} | votes.untold
    out = {kept.rows[object_id] for object_id in mine if object_id in kept.rows}
    skipped = [kept.rows[object_id] for object_id in left_out if object_id in kept.rows]
    use = head is not None and target in head.classes
    probabilities = head.probabilities(kept.pool.vectors) if head is not None and use else None
    index = head.classes.index(target) if head is not None and use else names.index(target)

    def chosen(left: set[int], people: int, share: int) -> list[Choice]:
        found = choose(
            kept.standardised, labelled, index, count * people, probabilities=probabilities, left_out=sorted(left)
        )
        return [one for n, one in enumerate(found) if n // 2 % people == share] or found  # two rankings take turns

    people = sorted({one.labelled_by for one in given[:_RECENT]} | {by})
    share = people.index(by)
    return (chosen(out | set(skipped), len(people), share) or chosen(out, 1, 0))[:count]


def _next(kept: KeptPool, choice: Choice, head: Head | None) -> Next:
    found = None
    if head is not None:
        values = head.probabilities(kept.pool.vectors[choice.row : choice.row + 1])[0]
        found = {name: round(float(value), 4) for name, value in zip(head.classes, values, strict=True)}
    return Next(kept.pool.object_ids[choice.row], choice.reason, found)
