"""Readers of other surveys' tables: Galaxy Zoo 1, GZ DECaLS volunteers, EFIGI, and generic tables.

Takes a raw table, gives object_id, asset_id, label; vote columns under gz2_hart16 names where the question is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.columns import ROW, Columns, as_float
from galclass.catalog.gz2 import STEMS, label_by_votes
from galclass.catalog.identifiers import ids_as_text
from galclass.catalog.report import CatalogReport
from galclass.errors import CatalogError


@dataclass(frozen=True)
class CatalogColumns:
    """Which columns of a generic table mean what; None looks for the usual names.

    Attributes
    ----------
    id, label, file : str or None
        Object id; class, gz2_class or coarse label; image file (its name without suffix is the asset_id).
    votes : mapping of str to str
        Column -> gz2_hart16 name, e.g. {"p_smooth": "t01_smooth_or_features_a01_smooth_fraction"}.
    labels : mapping of str to str
        Label of the table -> class, gz2_class or coarse label; "" for labels that say nothing about our classes.
    """

    id: str | None = None
    label: str | None = None
    file: str | None = None
    votes: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


_ID_NAMES = ("object_id", "dr7objid", "objid", "galaxy_id", "galaxyid", "iauname", "asset_id", "id", "image", "name")
_LABEL_NAMES = ("label", "class_name", "gz2_class", "gz2class", "class", "morphology")
_FILE_NAMES = ("file", "filename", "path", "image_file")


def read_generic(columns: Columns, report: CatalogReport, chosen: CatalogColumns) -> Any:
    """Read a table of any make; columns that mean nothing to us are handed on as they are."""
    columns.require([name for name in (chosen.id, chosen.label, chosen.file, *chosen.votes) if name])
    id_name = chosen.id or columns.first(*_ID_NAMES)
    if id_name is None:
        columns.require(["object_id"])
    file_name = chosen.file or columns.first(*_FILE_NAMES, "asset_id")
    label_name = chosen.label or columns.first(*_LABEL_NAMES)
    ids = ids_as_text(columns.get(str(id_name)), columns.where, report)
    data = {ROW: columns.get(ROW), "object_id": ids, "asset_id": _assets(columns, file_name, ids, report)}
    data["label"] = _labels(columns.get(label_name), chosen.labels) if label_name else pa.nulls(len(ids), pa.string())
    for source, target in chosen.votes.items():
        data[target] = as_float(columns.get(source), source, columns.where)
    used = {str(name).lower() for name in (id_name, file_name, label_name, *chosen.votes) if name} | {ROW}
    for name in columns.table.column_names:
        if name.lower() not in used and name not in data:
            data[name] = columns.table[name]
    if not label_name:
        data["label"] = label_by_votes({n: _chunk(c) for n, c in data.items()}, "debiased", len(ids))
    return pa.table(data)


def _chunk(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _assets(columns: Columns, file_name: str | None, ids: Any, report: CatalogReport) -> Any:
    if file_name is None:
        return ids
    if file_name.lower() == "asset_id":
        return ids_as_text(columns.get(file_name), columns.where, report)
    names = columns.get(file_name).to_pylist()
    return pa.array([None if name is None else PurePosixPath(str(name)).stem for name in names], pa.string())


def _text(column: Any) -> Any:
    text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _labels(column: Any, renamed: Mapping[str, str]) -> Any:
    text = _text(column)
    if not renamed:
        return text
    return pa.array([renamed.get(label, label) or None for label in text.to_pylist()], pa.string())


def is_gz1(columns: Columns) -> bool:
    """Tell a Galaxy Zoo 1 table by its votes or its flag."""
    return columns.has("objid", "p_el", "p_cs") or columns.has("dr7objid", "gz1_flag")


def read_gz1(columns: Columns, report: CatalogReport) -> Any:
    """Read Galaxy Zoo 1 (Lintott et al. 2011, tables 2 and 3; or a single flag column).

    The flags "spiral" and "elliptical" are clean debiased votes of 80 %. The survey's "spiral" counts edge-on disks
    too: where the votes are there, the largest of them says which; else the label is "disk".
    """
    ids = ids_as_text(columns.get(str(columns.first("objid", "dr7objid"))), columns.where, report)
    data = {ROW: columns.get(ROW), "object_id": ids, "asset_id": ids, "label": _gz1_labels(columns, len(ids))}
    for name in ("ra", "dec"):
        if columns.has(name):
            data[name] = _degrees(columns.get(name), hours=name == "ra", where=columns.where)
    for name in ("nvote", "p_el", "p_cw", "p_acw", "p_edge", "p_dk", "p_mg", "p_cs", "p_el_debiased", "p_cs_debiased"):
        if columns.has(name):
            data[name] = as_float(columns.get(name), name, columns.where)
    return pa.table(data)


def _gz1_labels(columns: Columns, count: int) -> Any:
    if columns.has("gz1_flag"):
        flags = columns.get("gz1_flag").to_pylist()
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
        kinds = names_of[np.nan_to_num(matrix).argmax(axis=1)]
    labels = np.full(count, None, dtype=object)
    labels[elliptical] = "elliptical"
    labels[spiral] = kinds[spiral]
    return pa.array(labels, pa.string())


def _flag(columns: Columns, name: str) -> Any:
    values = as_float(columns.get(name), name, columns.where)
    return pc.fill_null(pc.equal(values, 1.0), False).to_numpy(zero_copy_only=False)


def _degrees(column: Any, *, hours: bool, where: str) -> Any:
    """Give degrees from numbers (degrees already) or sexagesimal text, hours for ra."""
    if pa.types.is_time(column.type):  # what a CSV reader makes of HH:MM:SS
        column = pc.cast(column, pa.string())
    if not pa.types.is_string(column.type):
        return as_float(column, "ra" if hours else "dec", where)
    values = []
    for text in column.to_pylist():
        parts = [float(part) for part in text.strip().lstrip("+-").split(":")] if text else []
        if text and len(parts) != 3:
            raise CatalogError("not sexagesimal", where=where, expected="HH:MM:SS.S or DD:MM:SS.S", got=text)
        size = sum(part / 60**power for power, part in enumerate(parts)) * (15 if hours else 1)
        values.append(None if not text else -size if text.strip().startswith("-") else size)
    return pa.array(values, pa.float64())


def is_gz_decals(columns: Columns) -> bool:
    """Tell GZ DECaLS by its name column and first question."""
    return columns.has("iauname", "smooth-or-featured_smooth_fraction")


_DECALS: Mapping[str, tuple[str, ...]] = {
    "t01_smooth_or_features_a01_smooth": ("smooth-or-featured_smooth",),
    "t01_smooth_or_features_a02_features_or_disk": ("smooth-or-featured_featured-or-disk",),
    "t01_smooth_or_features_a03_star_or_artifact": ("smooth-or-featured_artifact",),
    "t02_edgeon_a04_yes": ("disk-edge-on_yes",),
    "t02_edgeon_a05_no": ("disk-edge-on_no",),
    "t03_bar_a06_bar": ("bar_yes", "bar_strong", "bar_weak"),
    "t03_bar_a07_no_bar": ("bar_no",),
    "t04_spiral_a08_spiral": ("has-spiral-arms_yes",),
    "t04_spiral_a09_no_spiral": ("has-spiral-arms_no",),
    "t05_bulge_prominence_a10_no_bulge": ("bulge-size_none",),
    "t05_bulge_prominence_a11_just_noticeable": ("bulge-size_small",),
    "t05_bulge_prominence_a12_obvious": ("bulge-size_obvious", "bulge-size_moderate"),
    "t05_bulge_prominence_a13_dominant": ("bulge-size_dominant", "bulge-size_large"),
    "t07_rounded_a16_completely_round": ("how-rounded_completely", "how-rounded_round"),
    "t07_rounded_a17_in_between": ("how-rounded_in-between",),
    "t07_rounded_a18_cigar_shaped": ("how-rounded_cigar-shaped",),
    "t09_bulge_shape_a25_rounded": ("edge-on-bulge_rounded",),
    "t09_bulge_shape_a26_boxy": ("edge-on-bulge_boxy",),
    "t09_bulge_shape_a27_no_bulge": ("edge-on-bulge_none",),
    "t10_arms_winding_a28_tight": ("spiral-winding_tight",),
    "t10_arms_winding_a29_medium": ("spiral-winding_medium",),
    "t10_arms_winding_a30_loose": ("spiral-winding_loose",),
    "t11_arms_number_a31_1": ("spiral-arm-count_1",),
    "t11_arms_number_a32_2": ("spiral-arm-count_2",),
    "t11_arms_number_a33_3": ("spiral-arm-count_3",),
    "t11_arms_number_a34_4": ("spiral-arm-count_4",),
    "t11_arms_number_a36_more_than_4": ("spiral-arm-count_more-than-4",),
    "t11_arms_number_a37_cant_tell": ("spiral-arm-count_cant-tell",),
}
"""gz2_hart16 stem -> GZ DECaLS answers whose votes it sums.

Five bulge sizes become four: moderate counts as obvious, large as dominant; strong and weak bars are both bars.
Merging has no counterpart and keeps its own columns.
"""


def read_gz_decals(columns: Columns, report: CatalogReport) -> Any:
    """Read a GZ DECaLS volunteer table (Walmsley et al. 2022); the label follows debiased votes, else raw ones."""
    ids = ids_as_text(columns.get("iauname"), columns.where, report)
    data = {ROW: columns.get(ROW), "object_id": ids, "asset_id": ids, "label": pa.nulls(len(ids), pa.string())}
    for name in ("ra", "dec"):
        if columns.has(name):
            data[name] = as_float(columns.get(name), name, columns.where)
    votes: dict[str, Any] = {}
    for stem, answers in _DECALS.items():
        for kind, suffix in (("count", ""), ("fraction", "_fraction"), ("debiased", "_debiased")):
            names = [answer + suffix for answer in answers if columns.has(answer + suffix)]
            if names:
                votes[f"{stem}_{kind}"] = _sum(columns, names)
    data["label"] = _decals_labels(votes, len(ids), report)
    for name in columns.table.column_names:
        if name.startswith("merging_"):
            data[name] = columns.table[name]
    return pa.table({**data, **votes})


def _sum(columns: Columns, names: list[str]) -> Any:
    arrays = [as_float(columns.get(name), name, columns.where) for name in names]
    total = arrays[0]
    for array in arrays[1:]:
        total = pc.add(total, array)
    return pc.cast(total, pa.float32())


def _decals_labels(votes: dict[str, Any], count: int, report: CatalogReport) -> Any:
    absent = {stem: 0.0 for stem in STEMS if stem not in _DECALS} | {"t06_odd_a15_no": 1.0}
    by_kind = {}
    for kind in ("debiased", "fraction"):
        filled = {f"{stem}_{kind}": pa.array(np.full(count, value)) for stem, value in absent.items()}
        filled |= {f"{stem}_{kind}": pa.nulls(count, pa.float64()) for stem in _DECALS if f"{stem}_{kind}" not in votes}
        by_kind[kind] = label_by_votes({**filled, **votes}, kind, count)
    labels = pc.coalesce(by_kind["debiased"], by_kind["fraction"])
    report.note(
        "label_from_raw_votes", pc.sum(pc.and_(pc.is_null(by_kind["debiased"]), pc.is_valid(labels))).as_py() or 0
    )
    return labels


def is_efigi(columns: Columns) -> bool:
    """Tell EFIGI by its name column and an attribute."""
    return columns.has("pgcname", "t", "bulge_to_total")


def read_efigi(columns: Columns, report: CatalogReport) -> Any:
    """Read EFIGI attributes (Baillard et al. 2011), -1 (undetermined) as null.

    Label by the morphological type T: "elliptical" for T <= -4 and T = 11 (dwarf), "disk" for 0 <= T <= 9; lenticulars
    and irregulars (T = 10) have no counterpart among our classes: null.
    """
    ids = ids_as_text(columns.get("pgcname"), columns.where, report)
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
