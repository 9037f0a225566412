"""The training data: rows of the prepared folder with their targets and weights.

Takes the workspace's `prepared/` folder, returns arrays aligned with its index; writes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galclass.catalog.raw_counts import raw_counts
from galclass.config import TrainConfig
from galclass.errors import ConfigError, MorphologyError, TrainingError
from galclass.morphology import CLASSES, QUESTIONS, leaves_of
from galclass.prepare.store import Store
from galclass.scoring.fitted_ids import ids_sha256
from galclass.train.raw_votes import largest_kind

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TrainingData:
    """Rows of the index with targets; all arrays have one entry per index row.

    Attributes
    ----------
    store : Store
        The pixels; its rows are the index rows.
    object_id, label, source, split : tuple of str
        As in the index; an absent label is "".
    leaves : bool, (n, 13)
        The classes a label stands for; all False: none.
    votes : float32, (n, 37)
        Debiased fractions, NaN where absent.
    counts : float32, (n, 37)
        Raw votes, 0 where absent.
    largest : int64, (n,)
        Index into `galclass.train.events.LARGEST` of the largest of 37 shares; -1 where unknown.
    survey_class : tuple of str
        An observation source's label for the object, in its own words; "" where it has none.
    """

    store: Store
    object_id: tuple[str, ...]
    label: tuple[str, ...]
    source: tuple[str, ...]
    split: tuple[str, ...]
    leaves: NDArray[np.bool_]
    votes: NDArray[np.float32]
    counts: NDArray[np.float32]
    largest: NDArray[np.int64]
    survey_class: tuple[str, ...]

    @property
    def size_px(self) -> int:
        """Side of the model's input."""
        return int(self.store.parameters.size_px)

    @property
    def has_votes(self) -> NDArray[np.bool_]:
        """Which rows carry debiased vote fractions, (n,)."""
        return ~np.isnan(self.votes[:, 0])

    def indices(self, split: str, *, raw: bool = False) -> NDArray[np.int64]:
        """Return the index rows of a split with an informative label or debiased votes (with `raw`: or raw votes)."""
        chosen = np.array([name == split for name in self.split], dtype=bool)
        says = self.leaves.any(1) | self.has_votes
        if raw:
            says |= (
                (self.counts.sum(1) > 0) | (self.largest >= 0) | np.array([text != "" for text in self.survey_class])
            )
        return np.flatnonzero(chosen & says)

    def split_sha256(self, split: str) -> str:
        """Return the sha256 of the split's object ids, sorted, one per line."""
        return ids_sha256(one for one, name in zip(self.object_id, self.split, strict=True) if name == split)

    def sha256(self) -> str:
        """Return a sha256 over everything training depends on: ids, labels, splits, images, how they were cut."""
        table = self.store.index
        kept = [name for name in ("object_id", "label", "split", "source", "sha256") if name in table.column_names]
        digest = hashlib.sha256(str(self.store.parameters.sha256).encode())
        for name in kept:
            digest.update(json.dumps([name, table.column(name).to_pylist()]).encode())
        drawn = {name: self.store.facts[name] for name in ("frames", "hdu") if name in self.store.facts}
        if drawn:  # folders made before these were recorded keep their hash
            digest.update(json.dumps(drawn, sort_keys=True).encode())
        digest.update(np.nan_to_num(self.votes, nan=-1.0).tobytes())
        return digest.hexdigest()

    def raw_sha256(self) -> str:
        """Return a sha256 over the raw votes and the labels about them."""
        said = "\n".join(self.survey_class).encode() if any(self.survey_class) else b""
        return hashlib.sha256(self.counts.tobytes() + self.largest.tobytes() + said).hexdigest()


def open_training_data(prepared: Path) -> TrainingData:
    """Read a prepared folder.

    Raises
    ------
    TrainingError
        If the folder is missing or its index has no objects.
    """
    if not (prepared / "index.parquet").is_file():
        raise TrainingError("nothing is prepared here", where=str(prepared), advice="run `galclass prepare` first")
    return training_data(Store.open(prepared), where=str(prepared))


def training_data(store: Store, *, where: str = "index") -> TrainingData:
    """Align a store's index with targets, checking labels and splits."""
    table = store.index
    if table.num_rows == 0:
        raise TrainingError(
            "no objects are prepared", where=where, advice="look at rejects.parquet, then prepare again"
        )
    label = _texts(table, "label")
    return TrainingData(
        store=store,
        object_id=_texts(table, "object_id"),
        label=label,
        source=_texts(table, "source"),
        split=_texts(table, "split"),
        leaves=_leaves(label, where),
        votes=_votes(table),
        counts=raw_counts(table),
        largest=largest_kind(table),
        survey_class=_texts(table, "survey_class"),
    )


def require_trainable(data: TrainingData, where: str, *, raw: bool = False) -> None:
    """Check that both splits have labelled rows of at least two kinds; with `raw`, that both have rows to train on.

    Raises
    ------
    TrainingError
        Naming the split and its labels.
    """
    if not (any(data.label) or data.has_votes.any() or raw):
        raise _no_labels(data, where)
    for split in ("train", "validation"):
        rows = data.indices(split, raw=raw)
        if not len(rows):
            raise TrainingError(
                f"the {split} split has no labelled objects", where=where, advice="prepare more objects"
            )
    if raw:
        return
    rows = data.indices("train")
    kinds = Counter(tuple(np.flatnonzero(leaves)) for leaves in data.leaves[rows] if leaves.any())
    if len(kinds) < 2:
        only = data.label[rows[0]]
        raise TrainingError(
            "the training split has one class only",
            where=where,
            expected="at least two different labels",
            got=f"{len(rows)} x {only!r}",
            advice="prepare objects of other classes too",
        )


def _no_labels(data: TrainingData, where: str) -> TrainingError:
    from galclass.prepare.tables import LEADING_COLUMNS

    others = [name for name in data.store.index.column_names if name not in LEADING_COLUMNS]
    return TrainingError(
        "no prepared object has a label",
        where=where,
        got=f"a catalog with the further columns {', '.join(others[:12])}" if others else "a catalog of ids alone",
        advice="name the catalog's column of labels with label_column in [[prepare.sources]] and prepare again",
    )


def repeated_rows(data: TrainingData, rows: NDArray[np.int64], config: TrainConfig) -> NDArray[np.int64]:
    """Repeat rows within an epoch as in `train.repeats` (names of sources or labels)."""
    times = np.ones(len(rows), dtype=np.int64)
    known = set(data.source) | set(data.label)
    for text in config.repeats:
        name, equals, count = text.rpartition("=")
        if not equals or not count.isdigit():
            raise ConfigError(f"{text!r} repeats nothing", where="train.repeats", expected="NAME=K, K a whole number")
        if name not in known:
            raise ConfigError(f"no source or label {name!r}", where="train.repeats", expected=", ".join(sorted(known)))
        named = [data.source[row] == name or data.label[row] == name for row in rows]
        times[np.array(named)] = int(count)
    return np.repeat(rows, times)


def class_weights(data: TrainingData, rows: NDArray[np.int64], balance: float) -> NDArray[np.float32]:
    """Weight each index row by how rare its label is among `rows`; mean 1 over `rows`, one weight per index row.

    A kind of label is the set of classes it stands for; its weight is its frequency to the power of -balance.
    """
    weights = np.ones(len(data.label), dtype=np.float64)
    code = data.leaves @ (1 << np.arange(len(CLASSES)))
    kinds, counts = np.unique(code[rows], return_counts=True)
    for kind, count in zip(kinds, counts, strict=True):
        weights[code == kind] = float(count) ** -balance
    scaled: NDArray[np.float64] = weights / weights[rows].mean()
    return scaled.astype(np.float32)


def vote_reach(votes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of voters who reach each question by the debiased fractions, (n, 11); 0 without votes."""
    column = {name: position for position, name in enumerate(_vote_columns())}
    fractions = np.nan_to_num(votes)
    reach = np.zeros((len(votes), len(QUESTIONS)), dtype=np.float32)
    order = list(QUESTIONS)
    reach[:, 0] = ~np.isnan(votes[:, 0])
    for name in _asking_order():
        for stem, answer in zip(QUESTIONS[name].columns, QUESTIONS[name].answers, strict=True):
            if answer.leads_to is not None:
                reach[:, order.index(answer.leads_to)] += reach[:, order.index(name)] * fractions[:, column[stem]]
    return reach.clip(0, 1)


def _asking_order() -> tuple[str, ...]:
    """Return the questions ordered so that each comes after all that lead to it."""
    leading = {name: {a.leads_to for a in question.answers} - {None} for name, question in QUESTIONS.items()}
    order: list[str] = []
    while len(order) < len(QUESTIONS):
        waiting = [name for name in QUESTIONS if name not in order]
        order += [name for name in waiting if not any(name in leading[other] for other in waiting)]
    return tuple(order)


def _vote_columns() -> tuple[str, ...]:
    return tuple(stem for question in QUESTIONS.values() for stem in question.columns)


def _texts(table: pa.Table, name: str) -> tuple[str, ...]:
    if name not in table.column_names:
        return ("",) * int(table.num_rows)
    values: list[str | None] = table.column(name).to_pylist()
    return tuple("" if value is None else value for value in values)


def _leaves(labels: tuple[str, ...], where: str) -> NDArray[np.bool_]:
    known: dict[str, list[bool]] = {"": [False] * len(CLASSES)}
    for label in sorted(set(labels) - {""}):
        try:
            leaves = leaves_of(label)
        except MorphologyError as error:
            raise TrainingError(
                f"unknown label {label!r} in the index", where=where, expected=error.expected
            ) from error
        known[label] = [name in leaves for name in CLASSES]
    return np.array([known[label] for label in labels], dtype=bool)


def _votes(table: pa.Table) -> NDArray[np.float32]:
    votes = np.full((table.num_rows, len(_vote_columns())), np.nan, dtype=np.float32)
    for position, stem in enumerate(_vote_columns()):
        if f"{stem}_debiased" in table.column_names:
            column = table.column(f"{stem}_debiased").to_numpy().astype(np.float32)
            votes[:, position] = column
    return votes
