"""Checks of a read catalog: labels, ids that come twice, votes that are no votes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.columns import ROW
from galclass.catalog.report import CatalogReport, RowFault
from galclass.errors import CatalogError, MorphologyError
from galclass.morphology import CLASSES, COARSE_LABELS, leaves_of

ENOUGH = 20
"""So many positions that all look like another unit are no accident."""

_FRACTION = re.compile(r"^t\d\d_.*_(fraction|weighted_fraction|debiased)$")
_COUNT = re.compile(r"^t\d\d_.*_(count|weight)$")
_TOLERANCE = 1e-4


def leave_out(table: Any, mask: Any, code: str, reason: Callable[[int], str], report: CatalogReport) -> Any:
    """Take rows out of a table and write down why."""
    for index in np.flatnonzero(mask):
        row = int(index)
        report.rejects.append(RowFault(code, table[ROW][row].as_py(), table["object_id"][row].as_py(), reason(row)))
    return table.filter(pa.array(~mask)) if mask.any() else table


def check_labels(table: Any, report: CatalogReport) -> Any:
    """Leave out rows whose label is no class, gz2_class or coarse label."""
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
    """Leave out rows without an id, and all but the first row of an object; ids are compared in NFC."""
    missing = table["object_id"].is_null().to_numpy()
    table = leave_out(table, missing, "no_id", lambda row: "no object id", report)
    keys = pc.utf8_normalize(table["object_id"], form="NFC")
    if pc.count_distinct(keys).as_py() == table.num_rows:
        return table
    ids, labels = keys.to_pylist(), table["label"].to_pylist()
    first: dict[str, int] = {}
    for index, object_id in enumerate(ids):
        first.setdefault(object_id, index)
    repeated = np.array([first[object_id] != index for index, object_id in enumerate(ids)], dtype=bool)
    two = np.array([repeated[i] and labels[i] != labels[first[ids[i]]] for i in range(len(ids))], dtype=bool)
    one = repeated & ~two
    reasons = {
        "two_classes": lambda row: f"{ids[row]} is {labels[first[ids[row]]]!r} before and {labels[row]!r} here",
        "duplicate_id": lambda row: f"{ids[row]} comes twice",
    }
    for code, mask in (("two_classes", two), ("duplicate_id", one)):
        leave_out(table, mask, code, reasons[code], report)
    return table.filter(pa.array(~repeated)) if repeated.any() else table


def check_votes(table: Any, where: str, report: CatalogReport) -> Any:
    """Leave out rows whose votes are none: fractions outside [0, 1], negative counts, counts with a fraction.

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
    report.note("nan_votes", missing)
    if 2 * len(bad) > known.sum():
        name, _ = next(iter(bad.values()))
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


def _fault(name: str, value: float) -> tuple[str, str]:
    if not _FRACTION.match(name):
        if value >= 0:
            return "vote counts look like fractions", "whole numbers"
        return "vote counts are negative", "whole numbers >= 0"
    percent = 0 <= value <= 100 * (1 + _TOLERANCE)
    return ("vote fractions look like percentages" if percent else "vote fractions lie outside [0, 1]"), "[0, 1]"


def _reason(name: str, value: float) -> str:
    what, expected = _fault(name, value)
    return f"{name} is {value:g}: {what}, expected {expected}"
