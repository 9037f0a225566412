"""Readers of other surveys' tables: Galaxy Zoo 1 and EFIGI.

Takes a raw table, gives object_id, asset_id, label and what else the survey says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.columns import ROW, Columns, as_float, as_labels
from galclass.catalog.identifiers import ids_as_text
from galclass.catalog.report import CatalogReport
from galclass.errors import CatalogError


def is_gz1(columns: Columns) -> bool:
    """Tell a Galaxy Zoo 1 table by its votes or its flag."""
    return columns.has("objid", "p_el", "p_cs") or columns.has("dr7objid", "gz1_flag")


def read_gz1(columns: Columns, report: CatalogReport) -> Any:
    """Read Galaxy Zoo 1 (Lintott et al. 2011, tables 2 and 3; or a single flag column).

    The flags "spiral" and "elliptical" are clean debiased votes of 80 %. The survey's "spiral" counts edge-on disks
    too: where the votes are there, the largest of them says which; else the label is "disk".
    """
    id_name = str(columns.first("objid", "dr7objid"))
    ids = ids_as_text(columns.get(id_name), columns.at(id_name), report)
    data = {ROW: columns.get(ROW), "object_id": ids, "asset_id": ids, "label": _gz1_labels(columns, len(ids))}
    for name in ("ra", "dec"):
        if columns.has(name):
            data[name] = columns.get(name)
    for name in ("nvote", "p_el", "p_cw", "p_acw", "p_edge", "p_dk", "p_mg", "p_cs", "p_el_debiased", "p_cs_debiased"):
        if columns.has(name):
            data[name] = as_float(columns.get(name), name, columns.where)
    return pa.table(data)


def _gz1_labels(columns: Columns, count: int) -> Any:
    if columns.has("gz1_flag"):
        flags = as_labels(columns.get("gz1_flag"), "gz1_flag", columns.where).to_pylist()
        names = {"spiral": "disk", "elliptical": "elliptical", "uncertain": None}
        unknown = sorted({str(flag) for flag in flags if flag not in names and flag is not None})
        if unknown:
            raise CatalogError(f"unknown flags: {', '.join(unknown)}", where=columns.where, expected=", ".join(names))
        return pa.array([names.get(flag) for flag in flags], pa.string())
    columns.require(("spiral", "elliptical"))
    spiral, elliptical = (_flag(columns, name) for name in ("spiral", "elliptical"))
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


def _flag(columns: Columns, name: str) -> Any:
    values = as_float(columns.get(name), name, columns.where)
    return pc.fill_null(pc.equal(values, 1.0), False).to_numpy(zero_copy_only=False)


def is_efigi(columns: Columns) -> bool:
    """Tell EFIGI by its name column and an attribute."""
    return columns.has("pgcname", "t", "bulge_to_total")


def read_efigi(columns: Columns, report: CatalogReport) -> Any:
    """Read EFIGI attributes (Baillard et al. 2011), -1 (undetermined) as null.

    Label by the morphological type T: "elliptical" for T <= -4 and T = 11 (dwarf), "disk" for 0 <= T <= 9; lenticulars
    and irregulars (T = 10) have no counterpart among our classes: null.
    """
    ids = ids_as_text(columns.get("pgcname"), columns.at("pgcname"), report)
    types = as_float(columns.get("t"), "T", columns.where)
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
    return pa.table(data)
