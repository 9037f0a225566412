"""Vote columns of a table as arrays, and the labels that follow from them.

Takes columns under gz2_hart16 names, returns labels by `galclass.catalog.voting`, and counts those that end early.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.columns import Columns, as_float
from galclass.catalog.report import CatalogReport
from galclass.catalog.voting import CLASS_QUESTIONS, label_from_votes
from galclass.clean_samples import CLEAN_LABELS, clean_kind
from galclass.morphology import QUESTIONS

VOTE_KINDS = ("count", "weight", "fraction", "weighted_fraction", "debiased", "flag")
STEMS = tuple(column for question in QUESTIONS.values() for column in question.columns)
RAW_KINDS = ("weighted_fraction", "fraction", "weight", "count")
"""Kinds of votes that are not debiased, the best first."""


def vote_columns() -> tuple[str, ...]:
    """Return the names of all columns of votes that gz2_hart16 has."""
    return tuple(f"{stem}_{kind}" for stem in STEMS for kind in VOTE_KINDS)


def gz2_votes(columns: Columns) -> dict[str, Any]:
    """Return the vote columns that a table has under gz2_hart16 names, as float32; a blank is null."""
    votes = {}
    for stem in STEMS:
        for kind in VOTE_KINDS:
            name = f"{stem}_{kind}"
            if columns.has(name):
                votes[name] = _as_float32(columns, name)
    return votes


def _as_float32(columns: Columns, name: str) -> Any:
    column = columns.chunks(name)
    if column.type == pa.float32() and not pc.any(pc.is_nan(column)).as_py():
        return column
    return pc.cast(as_float(columns.get(name), name, columns.where), pa.float32(), safe=False)


def label_by_votes(
    votes: Mapping[str, Any],
    kinds: Sequence[str],
    count: int,
    report: CatalogReport,
    row_indices: Sequence[int] | None = None,
) -> Any:
    """Return a label for each row, as deep as its votes go; null where nobody answered.

    Parameters
    ----------
    votes : mapping of str to array (count,)
        Columns `<stem>_<kind>`; a column that is not there is unknown for all rows.
    kinds : sequence of str
        Which votes to take, in the order of preference; a row takes the first in which its first question has an
        answer.
    count : int
        Number of rows.
    report : CatalogReport
        Gets the labels that end early, and those that are from raw votes.
    row_indices : sequence of int, optional
        Indices of the rows in the table, from 0; left out, the rows are the whole table.

    Returns
    -------
    pyarrow.Array of str, (count,)
    """
    labels: list[str | None] = [None] * count
    ends: list[str | None] = [None] * count
    from_raw: list[int] = []
    row_indices = range(count) if row_indices is None else row_indices
    for kind in kinds:
        matrix = _fractions(votes, kind, count)
        if matrix is None:
            continue
        for row, values in enumerate(matrix.tolist()):
            if labels[row] is None:
                voted = label_from_votes(dict(zip(STEMS, values, strict=True)))
                labels[row], ends[row] = voted.label, voted.stopped_at
                if voted.label is not None and kind in RAW_KINDS:
                    from_raw.append(row_indices[row] + 1)
    report.end_early({index + 1: end for index, end in zip(row_indices, ends, strict=True) if end is not None})
    report.note_rows("label_from_raw_votes", from_raw)
    return pa.array(labels, pa.string())


def _fractions(votes: Mapping[str, Any], kind: str, count: int) -> Any:
    """Return the fractions of a kind, (count, 37), NaN where unknown; None if the first question has no column."""
    names = [f"{stem}_{kind}" for stem in STEMS]
    if not any(name in votes for name in names[: len(QUESTIONS["t01_smooth_or_features"].answers)]):
        return None
    matrix = np.full((count, len(STEMS)), np.nan)
    for index, name in enumerate(names):
        if name in votes:
            matrix[:, index] = np.asarray(votes[name], dtype=np.float64)
    if kind in ("count", "weight"):
        start = 0
        for question in QUESTIONS.values():
            part = slice(start, start + len(question.answers))
            with np.errstate(invalid="ignore", divide="ignore"):
                matrix[:, part] /= matrix[:, part].sum(axis=1, keepdims=True)
            start = part.stop
    return matrix


def filled_labels(labels: Any, votes: Mapping[str, Any], kinds: Sequence[str], report: CatalogReport) -> Any:
    """Return published labels, or the label derived from the row's votes if there is none."""
    missing = np.flatnonzero(labels.is_null().to_numpy(zero_copy_only=False)).tolist()
    if not missing:
        return labels
    rows = pa.array(missing)
    few = {name: pc.take(column, rows) for name, column in votes.items()}
    found = label_by_votes(few, kinds, len(missing), report, missing)
    values = labels.to_pylist()
    for row, label in zip(missing, found.to_pylist(), strict=True):
        values[row] = label
    return pa.array(values, pa.string())


def clean_labels(
    votes: Mapping[str, Any], count: int, report: CatalogReport, row_indices: Sequence[int] | None = None
) -> Any:
    """Return the clean class (one of five) of each row by raw votes, null where they are clean for none.

    Parameters
    ----------
    votes : mapping of str to array (count,)
        Columns `<stem>_<kind>`; the best kind of `RAW_KINDS` that is there counts.
    count : int
        Number of rows.
    report : CatalogReport
        Gets the rows that have no class although somebody voted, and those on which nobody did.
    row_indices : sequence of int, optional
        Indices of the rows in the table, from 0; left out, the rows are the whole table.
    """
    found = (_fractions(votes, kind, count) for kind in RAW_KINDS)
    matrix = next((one for one in found if one is not None), np.full((count, len(STEMS)), np.nan))
    kinds = clean_kind(dict(zip(STEMS, matrix.T, strict=True)))
    note_unclean(kinds, matrix[:, : len(QUESTIONS[CLASS_QUESTIONS[0]].answers)], report, row_indices)
    return pa.array([CLEAN_LABELS[kind] if kind >= 0 else None for kind in kinds], pa.string())


def note_unclean(kinds: Any, first: Any, report: CatalogReport, row_indices: Sequence[int] | None = None) -> None:
    """Count the rows without a clean class: those with votes, and those on which nobody voted.

    Parameters
    ----------
    kinds : array (count,)
        Index into `CLEAN_LABELS`, or -1.
    first : array (count, 3)
        Fractions or shares of the first question, NaN where unknown.
    report : CatalogReport
        Gets them.
    row_indices : sequence of int, optional
        As for `clean_labels`.
    """
    rows = np.arange(1, len(kinds) + 1) if row_indices is None else np.asarray(row_indices, dtype=np.int64) + 1
    voted = np.nansum(first, axis=1) > 0
    report.note_rows("no_clean_class", rows[(kinds < 0) & voted].tolist())
    report.end_early(dict.fromkeys(rows[(kinds < 0) & ~voted].tolist(), CLASS_QUESTIONS[0]))
