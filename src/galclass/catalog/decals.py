"""Readers of Galaxy Zoo's later names: GZ DECaLS volunteer tables, and the tables on the Hugging Face hub.

Both call a column `<question>[-<campaign>]_<answer>`; takes a raw table, gives votes under gz2_hart16 names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.columns import ROW, Columns, as_float, as_labels
from galclass.catalog.identifiers import ids_as_text
from galclass.catalog.positions import DEC_NAMES, RA_NAMES
from galclass.catalog.report import CatalogReport
from galclass.catalog.votes import clean_labels, label_by_votes
from galclass.morphology import QUESTIONS

_ANSWERS: Mapping[str, tuple[str, ...]] = {
    "t01_smooth_or_features_a01_smooth": ("smooth-or-featured_smooth",),
    "t01_smooth_or_features_a02_features_or_disk": ("smooth-or-featured_featured-or-disk",),
    "t01_smooth_or_features_a03_star_or_artifact": ("smooth-or-featured_artifact",),
    "t02_edgeon_a04_yes": ("disk-edge-on_yes",),
    "t02_edgeon_a05_no": ("disk-edge-on_no",),
    "t03_bar_a06_bar": ("bar_yes", "bar_strong", "bar_weak"),
    "t03_bar_a07_no_bar": ("bar_no",),
    "t04_spiral_a08_spiral": ("has-spiral-arms_yes",),
    "t04_spiral_a09_no_spiral": ("has-spiral-arms_no",),
    "t05_bulge_prominence_a10_no_bulge": ("bulge-size_none", "bulge-size_no"),
    "t05_bulge_prominence_a11_just_noticeable": ("bulge-size_small", "bulge-size_just-noticeable"),
    "t05_bulge_prominence_a12_obvious": ("bulge-size_obvious", "bulge-size_moderate"),
    "t05_bulge_prominence_a13_dominant": ("bulge-size_dominant", "bulge-size_large"),
    "t06_odd_a14_yes": ("something-odd_yes",),
    "t06_odd_a15_no": ("something-odd_no",),
    "t07_rounded_a16_completely_round": ("how-rounded_completely", "how-rounded_round"),
    "t07_rounded_a17_in_between": ("how-rounded_in-between",),
    "t07_rounded_a18_cigar_shaped": ("how-rounded_cigar-shaped", "how-rounded_cigar"),
    "t09_bulge_shape_a25_rounded": ("edge-on-bulge_rounded", "bulge-shape_round"),
    "t09_bulge_shape_a26_boxy": ("edge-on-bulge_boxy", "bulge-shape_boxy"),
    "t09_bulge_shape_a27_no_bulge": ("edge-on-bulge_none", "bulge-shape_no-bulge"),
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
"""gz2_hart16 stem -> the answers whose votes it sums.

Five bulge sizes become four: moderate counts as obvious, large as dominant; strong and weak bars are both bars.
Merging has no counterpart and keeps its own columns.
"""

_KINDS = (("count", ""), ("fraction", "_fraction"), ("debiased", "_debiased"))
_GZ2, _DECALS = ("-gz2",), ("", "-dr12", "-dr5", "-dr8")
_FIRST = "smooth-or-featured{}_smooth"


def is_gz_decals(columns: Columns) -> bool:
    """Recognise GZ DECaLS by its name column and first question."""
    return columns.has("iauname", "smooth-or-featured_smooth_fraction")


def read_gz_decals(columns: Columns, report: CatalogReport) -> Any:
    """Read a GZ DECaLS volunteer table (Walmsley et al. 2022); the label follows debiased votes, else raw ones."""
    ids = ids_as_text(columns.get("iauname"), columns.at("iauname"), report)
    votes = _votes(columns, ("",), len(ids))
    label = label_by_votes(votes, ("debiased", "fraction", "count"), len(ids), report)
    data = {ROW: columns.get(ROW), "object_id": ids, "asset_id": ids, "label": label}
    kept = [name for name in columns.table.column_names if name.startswith("merging_")]
    return pa.table({**data, **_positions(columns), **{name: columns.table[name] for name in kept}, **votes})


def is_gz_hub(columns: Columns) -> bool:
    """Recognise a table of the hub by its id and the first question of one of its campaigns."""
    return columns.has("id_str") and bool(_campaigns(columns, (*_GZ2, *_DECALS)))


def read_gz_hub(columns: Columns, report: CatalogReport) -> Any:
    """Read a table of the hub: counts of several campaigns side by side, each galaxy in one of them.

    The label is the table's own where it has one; else of Galaxy Zoo 2 one of the five clean classes by the published
    thresholds (raw fractions give no gz2_class), of the other campaigns what the votes say.
    """
    ids = ids_as_text(columns.get("id_str"), columns.at("id_str"), report)
    count = len(ids)
    gz2, decals = (_campaigns(columns, suffixes) for suffixes in (_GZ2, _DECALS))
    votes = _votes(columns, (*gz2, *decals), count)
    label = pa.nulls(count, pa.string())
    name = columns.first("gz2_class", "label")
    if name is not None:
        label = as_labels(columns.get(name), name, columns.where)
    else:
        label = _labels_by_campaign(_votes(columns, gz2, count), _votes(columns, decals, count), count, report)
    data = {ROW: columns.get(ROW), "object_id": ids, "asset_id": ids, "label": label}
    return pa.table({**data, **_positions(columns), **votes})


def _labels_by_campaign(gz2: Mapping[str, Any], decals: Mapping[str, Any], count: int, report: CatalogReport) -> Any:
    """Return the label of each galaxy by the rule of the campaign it is in; those in none count as unanswered once."""
    kinds = [kind for kind, _ in reversed(_KINDS)]
    in_decals = np.zeros(count, dtype=bool)
    for stem in QUESTIONS["t01_smooth_or_features"].columns:
        for name in (f"{stem}_{kind}" for kind in kinds):
            if name in decals:
                in_decals |= np.asarray(decals[name], dtype=np.float64) > 0
    if not gz2:
        in_decals[:] = True
    labels: list[str | None] = [None] * count
    for mask, votes in ((in_decals, decals), (~in_decals, gz2)):
        row_indices = np.flatnonzero(mask)
        few = {name: pc.take(column, pa.array(row_indices)) for name, column in votes.items()}
        if votes is decals:
            found = label_by_votes(few, kinds, len(row_indices), report, row_indices.tolist())
        else:
            found = clean_labels(few, len(row_indices), report, row_indices.tolist())
        for index, label in zip(row_indices, found.to_pylist(), strict=True):
            labels[index] = label
    return pa.array(labels, pa.string())


def _campaigns(columns: Columns, suffixes: Sequence[str]) -> list[str]:
    first = ("", "_fraction")
    return [one for one in suffixes if any(columns.has(_FIRST.format(one) + kind) for kind in first)]


def _positions(columns: Columns) -> dict[str, Any]:
    return {columns.real_name(name): columns.get(name) for name in (*RA_NAMES, *DEC_NAMES) if columns.has(name)}


def _votes(columns: Columns, campaigns: Sequence[str], count: int) -> dict[str, Any]:
    """Return the votes of all campaigns; an answer that a campaign does not offer has none."""
    votes: dict[str, Any] = {}
    for kind, suffix in _KINDS:
        for question in QUESTIONS.values():
            parts = [_of_campaign(columns, question.columns, campaign, suffix, count) for campaign in campaigns]
            there = [part for part in parts if part is not None]
            if not there:
                continue
            matrix = there[0]
            for part in there[1:]:  # a galaxy is in one campaign: the others have no votes for it
                unasked = ~(np.nansum(matrix, axis=1) > 0)
                matrix[unasked] = part[unasked]
            for stem, values in zip(question.columns, matrix.T, strict=True):
                votes[f"{stem}_{kind}"] = pa.array(values.astype(np.float32), from_pandas=True)
    return votes | _fractions_of_counts(votes)


def _of_campaign(columns: Columns, stems: Sequence[str], campaign: str, suffix: str, count: int) -> Any:
    """Return the votes for a question's answers, (count, answers); None if the campaign has not asked it."""
    matrix = np.zeros((count, len(stems)))
    found = False
    for index, stem in enumerate(stems):
        names = [_column(answer, campaign) + suffix for answer in _ANSWERS.get(stem, ())]
        there = [name for name in names if columns.has(name)]
        if there:
            parts = [as_float(columns.get(name), columns.real_name(name), columns.where) for name in there]
            matrix[:, index] = _sum([part.to_numpy(zero_copy_only=False) for part in parts], is_count=not suffix)
            found = True
    return matrix if found else None


def _sum(parts: Sequence[Any], *, is_count: bool) -> Any:
    """Add the votes for several answers; debiased fractions, each for itself in [0, 1], may add up to more than 1."""
    total = np.sum(parts, axis=0)
    with np.errstate(invalid="ignore"):
        fine = np.all([part <= 1 for part in parts], axis=0)
    return total if is_count else np.where(fine, np.minimum(total, 1), total)


def _column(answer: str, campaign: str) -> str:
    question, _, rest = answer.partition("_")
    return f"{question}{campaign}_{rest}"


def _fractions_of_counts(votes: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for question in QUESTIONS.values():
        names = [f"{stem}_count" for stem in question.columns]
        if names[0] not in votes or f"{question.columns[0]}_fraction" in votes:
            continue
        counts = np.column_stack([np.asarray(votes[name], dtype=np.float64) for name in names])
        with np.errstate(invalid="ignore", divide="ignore"):
            fractions = counts / counts.sum(axis=1, keepdims=True)
        for stem, values in zip(question.columns, fractions.T, strict=True):
            found[f"{stem}_fraction"] = pa.array(values.astype(np.float32), from_pandas=True)
    return found
