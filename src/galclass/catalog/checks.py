"""Checks of a read catalog: labels, duplicate ids, impossible votes."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.columns import ROW
from galclass.catalog.report import CatalogReport, RowFault
from galclass.errors import CatalogError, MorphologyError
from galclass.image_names import BAD_ID, MAX_ID_CHARACTERS, fault_of_id
from galclass.morphology import CLASSES, COARSE_LABELS, QUESTIONS, leaves_of

ENOUGH = 20
"""So many positions that all look like another unit are no accident."""

_FRACTION = re.compile(r"^t\d\d_.*_(fraction|weighted_fraction|debiased)$")
_COUNT = re.compile(r"^t\d\d_.*_(count|weight)$")
_TOLERANCE = 1e-4
_ONE_PLACE_DEG = 10 / 3600
"""Positions of one object in two releases of a survey differ by less."""
_ROUNDING = 0.02
"""So much may the fractions of a question be above 1 in all: published ones have three digits."""


def leave_out(table: Any, mask: Any, code: str, reason: Callable[[int], str], report: CatalogReport) -> Any:
    """Take rows out of a table and write down why."""
    for index in np.flatnonzero(mask):
        row = int(index)
        report.rejects.append(RowFault(code, table[ROW][row].as_py(), table["object_id"][row].as_py(), reason(row)))
    return table.filter(pa.array(~mask)) if mask.any() else table


def check_labels(table: Any, report: CatalogReport) -> Any:
    """Leave out rows whose label is not a class, a gz2_class or a coarse label."""
    wrong: dict[str, str] = {}
    for label in pc.unique(table["label"]).to_pylist():
        try:
            if label is not None:
                leaves_of(label)
        except MorphologyError:
            wrong[label] = f"unknown label {label!r}{_nearest(label)}"
    if not wrong:
        return table
    labels = table["label"].to_pylist()
    mask = np.array([label in wrong for label in labels])
    return leave_out(table, mask, "unknown_label", lambda row: wrong[labels[row]], report)


def _nearest(label: str) -> str:
    """Suggest a label; only case may decide between two of other meaning ("Spiral" is a group, "spiral" face-on)."""
    known = (*CLASSES, *COARSE_LABELS)
    text = label.lower().replace(" ", "_").replace("-", "_")
    close = [name for name in known if name.lower() == text] or difflib.get_close_matches(label, known, n=1)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def check_ids(table: Any, report: CatalogReport) -> Any:
    """Leave out rows without a valid id, and repeated rows of an object; ids are compared in NFC.

    Of several rows the first with a label stays; where two have different labels, or lie far apart on the sky, none
    does: which one is right cannot be known.
    """
    missing = table["object_id"].is_null().to_numpy()
    table = leave_out(table, missing, "no_id", lambda row: "no object id", report)
    table = _without_bad_ids(table, report)
    keys = pc.utf8_normalize(table["object_id"], form="NFC")
    if pc.count_distinct(keys).as_py() == table.num_rows:
        return table
    ids, labels, rows = keys.to_pylist(), table["label"].to_pylist(), table[ROW].to_pylist()
    first: dict[str, int] = {}
    different: dict[str, dict[str, int]] = defaultdict(dict)
    for index, (object_id, label) in enumerate(zip(ids, labels, strict=True)):
        if label is not None and labels[first.get(object_id, index)] is None:
            first[object_id] = index
        first.setdefault(object_id, index)
        if label is not None:
            different[object_id].setdefault(label, rows[index])
    two = np.array([len(different[object_id]) > 1 for object_id in ids], dtype=bool)
    elsewhere = _elsewhere(table, ids)
    apart = np.array([object_id in elsewhere for object_id in ids], dtype=bool) & ~two
    one = np.array([first[object_id] != index for index, object_id in enumerate(ids)], dtype=bool) & ~two & ~apart

    def classes(row: int) -> str:
        words = " and ".join(f"{label!r} in row {number}" for label, number in list(different[ids[row]].items())[:3])
        return f"{ids[row]} is {words}"

    def positions(row: int) -> str:
        there, other = elsewhere[ids[row]]
        return f"{ids[row]} has different positions in row {rows[there]} and row {rows[other]}"

    leave_out(table, two, "two_classes", classes, report)
    leave_out(table, apart, "two_positions", positions, report)
    leave_out(table, one, "duplicate_id", lambda row: f"{ids[row]} occurs twice", report)
    return table.filter(pa.array(~(one | two | apart)))


def _without_bad_ids(table: Any, report: CatalogReport) -> Any:
    ids = table["object_id"]
    short = pc.less_equal(pc.utf8_length(ids), MAX_ID_CHARACTERS)
    plain = pc.and_(short, pc.match_substring_regex(ids, "^[ -~]+$"))  # most tables have no others
    others = np.flatnonzero(~plain.to_numpy())
    found = zip(others.tolist(), map(fault_of_id, ids.take(others).to_pylist()), strict=True)
    faults = {row: fault for row, fault in found if fault}
    wrong = np.zeros(table.num_rows, dtype=bool)
    wrong[list(faults)] = True
    return leave_out(table, wrong, BAD_ID, lambda row: f"not an object id: {faults[row]}", report)


def _elsewhere(table: Any, ids: list[str]) -> dict[str, tuple[int, int]]:
    """Return the ids that have two positions more than `_ONE_PLACE_DEG` apart, with the indices of two such rows."""
    if not {"ra", "dec"} <= set(table.column_names):
        return {}
    ra, dec = (table[name].to_numpy() for name in ("ra", "dec"))
    first: dict[str, int] = {}
    found: dict[str, tuple[int, int]] = {}
    for index in np.flatnonzero(np.isfinite(ra) & np.isfinite(dec)):
        there = first.setdefault(ids[index], int(index))
        east = abs((ra[index] - ra[there] + 180) % 360 - 180) * np.cos(np.radians(dec[index]))
        if max(east, abs(dec[index] - dec[there])) > _ONE_PLACE_DEG:
            found.setdefault(ids[index], (there, int(index)))
    return found


def check_votes(table: Any, where: str, report: CatalogReport) -> Any:
    """Leave out rows whose votes are invalid.

    That is fractions outside [0, 1], raw fractions of a question that add up to more than 1, negative counts, counts
    with a fraction.

    Raises
    ------
    CatalogError
        If most rows are so: fractions in percent, or counts that are fractions.
    """
    bad: dict[int, tuple[str, float]] = {}
    known = np.zeros(table.num_rows, dtype=bool)
    missing = 0
    for name in table.column_names:
        is_fraction = _FRACTION.match(name) is not None
        if not is_fraction and not _COUNT.match(name):
            continue
        missing += table[name].null_count if is_fraction else 0
        values = pc.cast(table[name], pa.float64(), safe=False).to_numpy()
        known |= ~np.isnan(values)
        for row in np.flatnonzero(_no_vote(values, name)):
            bad.setdefault(int(row), (name, float(values[row])))
    for name, total in _sums(table):
        for row in np.flatnonzero(total > 1 + _ROUNDING):
            bad.setdefault(int(row), (name, float(total[row])))
    report.note("nan_votes", missing)
    if 2 * len(bad) > known.sum():
        name, value = next(iter(bad.values()))
        if name not in table.column_names:
            what, expected = _fault(name, value)
            raise CatalogError(what, where=f"{where}, columns {name}", expected=expected, got=f"{value:g}")
        extremes = pc.min_max(table[name]).as_py()
        what, expected = _fault(name, extremes["max"] if extremes["min"] >= 0 else extremes["min"])
        got = f"{extremes['min']:g} to {extremes['max']:g}"
        raise CatalogError(what, where=f"{where}, column {name}", expected=expected, got=got)
    mask = np.isin(np.arange(table.num_rows), list(bad))
    return leave_out(table, mask, "bad_votes", lambda row: _reason(*bad[row]), report)


def _no_vote(values: Any, name: str) -> Any:
    with np.errstate(invalid="ignore"):
        if _FRACTION.match(name):
            return (values < -_TOLERANCE) | (values > 1 + _TOLERANCE)
        negative = (values < 0) | np.isinf(values)
        return negative | (values != np.floor(values)) & ~np.isnan(values) if name.endswith("_count") else negative


def _sums(table: Any) -> Iterator[tuple[str, Any]]:
    """Yield the sum of a question's raw fractions, (rows,), as "<question>_*_<kind>"; debiased ones need not be 1."""
    for question in QUESTIONS.values():
        for kind in ("fraction", "weighted_fraction"):
            names = [f"{stem}_{kind}" for stem in question.columns if f"{stem}_{kind}" in table.column_names]
            if len(names) > 1:
                parts = [pc.cast(table[name], pa.float64(), safe=False).to_numpy() for name in names]
                yield f"{question.name}_*_{kind}", np.nansum(parts, axis=0)


def _fault(name: str, value: float) -> tuple[str, str]:
    if "*" in name:
        return "vote fractions of one question add up to more than 1", "at most 1"
    if not _FRACTION.match(name):
        if value >= 0:
            return "vote counts look like fractions", "whole numbers"
        return "vote counts are negative", "whole numbers >= 0"
    percent = 0 <= value <= 100 * (1 + _TOLERANCE)
    return ("vote fractions look like percentages" if percent else "vote fractions lie outside [0, 1]"), "[0, 1]"


def _reason(name: str, value: float) -> str:
    what, expected = _fault(name, value)
    return f"{name} is {value:g}: {what}, expected {expected}"
