"""Readers of other surveys' tables: Galaxy Zoo 1 and EFIGI.

Takes a raw table, returns object_id, asset_id, label and what else the survey says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.checks import leave_out
from galclass.catalog.columns import ROW, Columns, as_float, as_labels
from galclass.catalog.identifiers import ids_as_text
from galclass.catalog.positions import DEC_NAMES, RA_NAMES
from galclass.catalog.report import CatalogReport
from galclass.errors import CatalogError


def is_gz1(columns: Columns) -> bool:
    """Recognise a Galaxy Zoo 1 table by its votes or its flag."""
    return columns.has("objid", "p_el", "p_cs") or columns.has("dr7objid", "gz1_flag")


def read_gz1(columns: Columns, report: CatalogReport) -> Any:
    """Read Galaxy Zoo 1 (Lintott et al. 2011, tables 2 and 3; or a single flag column).

    The flags "spiral" and "elliptical" are clean debiased votes of 80 %. The survey's "spiral" counts edge-on disks
    too: where the votes are there, the largest of them says which; else the label is "disk".
    """
    id_name = str(columns.first("objid", "dr7objid"))
    ids = ids_as_text(columns.get(id_name), columns.at(id_name), report)
    bad: dict[int, tuple[str, str]] = {}
    votes = {name: as_float(columns.get(name), name, columns.where) for name in _GZ1_VOTES if columns.has(name)}
    for name, column in votes.items():
        _check_range(column, name, (0.0, np.inf if name == "nvote" else 1.0), "bad_votes", bad)
    labels = _gz1_labels(columns, len(ids), bad)
    data = {ROW: columns.get(ROW), "object_id": ids, "asset_id": ids, "label": labels}
    for name in (*RA_NAMES, *DEC_NAMES):
        if columns.has(name):
            data[columns.real_name(name)] = columns.get(name)
    return _without(pa.table({**data, **votes}), bad, columns.where, report)


_GZ1_VOTES = ("nvote", "p_el", "p_cw", "p_acw", "p_edge", "p_dk", "p_mg", "p_cs", "p_el_debiased", "p_cs_debiased")


def _check_range(
    column: Any, name: str, limits: tuple[float, float], code: str, bad: dict[int, tuple[str, str]]
) -> None:
    """Note the rows (from 0) of a column that lie outside what it can be, with code and reason."""
    values = column.to_numpy(zero_copy_only=False)
    low, high = limits
    with np.errstate(invalid="ignore"):
        outside = np.flatnonzero((values < low) | (values > high))
    for row in outside:
        expected = f">= {low:g}" if high == np.inf else f"{low:g} to {high:g}"
        bad.setdefault(int(row), (code, f"{name} is {values[row]:g}; expected {expected}"))


def _without(table: Any, bad: Mapping[int, tuple[str, str]], where: str, report: CatalogReport) -> Any:
    """Leave out rows with the code and reason of each; if most are so, the table is in other units."""
    if 2 * len(bad) > len(table):
        row, (_, reason) = next(iter(bad.items()))
        raise CatalogError(
            f"{len(bad)} of {len(table)} rows are out of range", where=f"{where}, row {row + 1}", got=reason
        )
    kept = np.ones(len(table), dtype=bool)
    for code in sorted({code for code, _ in bad.values()}):
        mask = np.array([bad.get(row, ("",))[0] == code for row in range(len(table))], dtype=bool)
        leave_out(table, mask, code, lambda row: bad[row][1], report)
        kept &= ~mask
    return table.filter(pa.array(kept)) if bad else table


def _gz1_labels(columns: Columns, count: int, bad: dict[int, tuple[str, str]]) -> Any:
    """Return the labels; rows whose flags say nothing that the survey can mean are added to `bad`."""
    if columns.has("gz1_flag"):
        flags = as_labels(columns.get("gz1_flag"), "gz1_flag", columns.where).to_pylist()
        names = {"spiral": "disk", "elliptical": "elliptical", "uncertain": None}
        for row, flag in enumerate(flags):
            if flag is not None and flag.lower() not in names:
                bad.setdefault(row, ("unknown_label", f"gz1_flag is {flag!r}; expected {', '.join(names)}"))
        return pa.array([names.get(flag.lower()) if flag else None for flag in flags], pa.string())
    columns.require(("spiral", "elliptical"))
    spiral, elliptical = (_flag(columns, name, bad) for name in ("spiral", "elliptical"))
    for both in np.flatnonzero(spiral & elliptical):
        bad.setdefault(int(both), ("two_classes", "spiral and elliptical are both 1"))
    kinds = np.array(["disk"] * count, dtype=object)
    if columns.has("p_cw", "p_acw", "p_edge"):
        votes = [as_float(columns.get(name), name, columns.where) for name in ("p_cw", "p_acw", "p_edge")]
        matrix = np.column_stack([column.to_numpy(zero_copy_only=False) for column in votes])
        names_of = np.array(["spiral_clockwise", "spiral_anticlockwise", "edge_on"], dtype=object)
        voted = np.nan_to_num(matrix)
        kinds = np.where(voted.max(axis=1) > 0, names_of[voted.argmax(axis=1)], "disk")  # nobody said which
    labels = np.full(count, None, dtype=object)
    labels[elliptical] = "elliptical"
    labels[spiral] = kinds[spiral]
    return pa.array(labels, pa.string())


def _flag(columns: Columns, name: str, bad: dict[int, tuple[str, str]]) -> Any:
    values = as_float(columns.get(name), name, columns.where)
    known = values.to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(~np.isnan(known) & (known != 0) & (known != 1)):
        bad.setdefault(int(row), ("unknown_label", f"{name} is {known[row]:g}; expected 0 or 1"))
    return pc.fill_null(pc.equal(values, 1.0), False).to_numpy(zero_copy_only=False)


_STAGES = (-6.0, 11.0)
"""EFIGI's types: compact elliptical to dwarf elliptical."""


def is_efigi(columns: Columns) -> bool:
    """Recognise EFIGI by its name column and an attribute."""
    return columns.has("pgcname", "t", "bulge_to_total")


def read_efigi(columns: Columns, report: CatalogReport) -> Any:
    """Read EFIGI attributes (Baillard et al. 2011), -1 (undetermined) as null.

    Label by the morphological type T: "elliptical" for T <= -4 and T = 11 (dwarf), "disk" for 0 <= T <= 9; lenticulars
    and irregulars (T = 10) have no counterpart among our classes: null.
    """
    ids = ids_as_text(columns.get("pgcname"), columns.at("pgcname"), report)
    types = as_float(columns.get("t"), "T", columns.where)
    bad: dict[int, tuple[str, str]] = {}
    _check_range(types, "T", _STAGES, "bad_type", bad)
    stage = types.to_numpy(zero_copy_only=False)
    labels = np.full(len(stage), None, dtype=object)
    labels[(stage <= -4) | (stage == 11)] = "elliptical"
    labels[(stage >= 0) & (stage <= 9)] = "disk"
    data = {ROW: columns.get(ROW), "object_id": ids, "asset_id": ids, "label": pa.array(labels, pa.string())}
    for name in columns.table.column_names:
        if name.lower() in ("pgcname", ROW):
            continue
        values = as_float(columns.get(name), name, columns.where)
        undetermined = pc.equal(values, -1.0) if name not in ("T", "T_inf", "T_sup") else pa.scalar(False)
        data[name] = pc.if_else(undetermined, pa.scalar(None, pa.float64()), values)
    return _without(pa.table(data), bad, columns.where, report)
