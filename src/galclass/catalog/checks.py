"""Checks of a read catalog: labels, ids that come twice, vote fractions, positions and their units."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf, pi
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.columns import ROW
from galclass.catalog.report import CatalogReport, RowFault
from galclass.errors import CatalogError, MorphologyError
from galclass.morphology import leaves_of

_FRACTION = re.compile(r"^t\d\d_.*_(fraction|weighted_fraction|debiased)$")
_TOLERANCE = 1e-4
_ENOUGH = 20  # so many positions that all look like another unit are no accident


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
            wrong[label] = f"unknown label {label!r}"
    if not wrong:
        return table
    labels = table["label"].to_pylist()
    mask = np.array([label in wrong for label in labels])
    return leave_out(table, mask, "unknown_label", lambda row: wrong[labels[row]], report)


def check_ids(table: Any, report: CatalogReport) -> Any:
    """Leave out rows without an id, and all but the first row of an object."""
    missing = table["object_id"].is_null().to_numpy()
    table = leave_out(table, missing, "no_id", lambda row: "no object id", report)
    if pc.count_distinct(table["object_id"]).as_py() == table.num_rows:
        return table
    ids, labels = table["object_id"].to_pylist(), table["label"].to_pylist()
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


def check_votes(table: Any, where: str, report: CatalogReport) -> None:
    """Find vote fractions outside [0, 1] and count the missing ones.

    Raises
    ------
    CatalogError
        If fractions look like percentages or lie outside [0, 1].
    """
    missing = 0
    for name in table.column_names:
        if not _FRACTION.match(name):
            continue
        missing += table[name].null_count
        extremes = pc.min_max(table[name]).as_py()
        low, high = extremes["min"], extremes["max"]
        if low is None or (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
            continue
        percent = low >= 0 and high <= 100 + _TOLERANCE
        raise CatalogError(
            "vote fractions look like percentages" if percent else "vote fractions lie outside [0, 1]",
            where=f"{where}, column {name}",
            expected="fractions in [0, 1]",
            got=f"{low:g} to {high:g}",
        )
    report.note("nan_votes", missing)


def check_positions(table: Any, where: str, units: dict[str, str]) -> Any:
    """Check that ra, dec are degrees and petroR90_r arcseconds, by the file's units or by their range.

    Raises
    ------
    CatalogError
        With every fault.
    """
    faults: list[str] = []
    expected = {"ra": ("deg", 0.0, 360.0), "dec": ("deg", -90.0, 90.0), "petroR90_r": ("arcsec", -inf, 3600.0)}
    for wanted, (unit, low, high) in expected.items():
        name = next((name for name in table.column_names if name.lower() == wanted.lower()), None)
        if name is None:
            continue
        if units.get(name, unit).removesuffix("rees").removesuffix("ree") != unit:  # "degrees" is deg
            faults.append(f"{name} is in {units[name]}; expected {unit}")
            continue
        kind = table[name].type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            faults.append(f"{name} is text such as {_example(table[name])!r}; expected numbers in {unit}")
            continue
        extremes = pc.min_max(table[name]).as_py()
        if extremes["min"] is not None and (extremes["min"] < low or extremes["max"] > high):
            faults.append(
                f"{name} runs from {extremes['min']:g} to {extremes['max']:g}; expected {low:g} to {high:g} {unit}"
            )
    faults += _suspicious(table) if not faults else []
    if faults:
        raise CatalogError("wrong positions or units\n  " + "\n  ".join(faults) + "\n ", where=where)
    return table


def _example(column: Any) -> Any:
    return next((str(value) for value in column.to_pylist() if value), None)


def _suspicious(table: Any) -> list[str]:
    names = {name.lower(): name for name in table.column_names}
    faults = []
    if {"ra", "dec"} <= set(names) and table.num_rows >= _ENOUGH:
        ra, dec = (pc.min_max(table[names[key]]).as_py() for key in ("ra", "dec"))
        radians = ra["max"] is not None and ra["max"] <= 2 * pi and max(abs(dec["min"]), abs(dec["max"])) <= pi / 2
        if radians and ra["max"] - ra["min"] > 1:
            faults.append(f"ra up to {ra['max']:g} and dec up to {dec['max']:g} look like radians; expected deg")
    if "petror90_r" in names:
        largest = pc.max(table[names["petror90_r"]]).as_py()
        if largest is not None and largest < 0.1:
            faults.append(f"petroR90_r up to {largest:g} looks like degrees; expected arcsec")
    return faults
