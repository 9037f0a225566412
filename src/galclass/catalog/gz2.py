"""Readers of the Galaxy Zoo 2 family: gz2_hart16, zoo2MainSpecz, the Stripe 82 tables, Kaggle's Galaxy Challenge.

Takes a raw table, returns object_id, asset_id, label and the votes under gz2_hart16 names
(`<question>_<answer>_{count,weight,fraction,weighted_fraction,debiased,flag}`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.columns import ROW, Columns, as_float, as_labels
from galclass.catalog.files import FILE_NAMES, asset_keys, file_keys
from galclass.catalog.identifiers import ids_as_text
from galclass.catalog.positions import DEC_NAMES, RA_NAMES
from galclass.catalog.report import CatalogReport, RowFault
from galclass.catalog.votes import STEMS, VOTE_KINDS, clean_labels, filled_labels, gz2_votes, note_unclean
from galclass.clean_samples import CLEAN_ANSWERS, CLEAN_LABELS, clean_kind_of_shares
from galclass.morphology import QUESTIONS

_ID_NAMES = ("dr7objid", "objid", "dr8objid")
_KAGGLE_IDS = ("galaxyid", "galaxy_id")
_KEPT = ("sample", "total_classifications", "total_votes", "petroR90_r")


def is_gz2(columns: Columns) -> bool:
    """Recognise a Galaxy Zoo 2 vote table by its first question."""
    return columns.first(*_ID_NAMES) is not None and any(columns.has(f"{STEMS[0]}_{kind}") for kind in VOTE_KINDS)


def read_gz2(columns: Columns, report: CatalogReport) -> Any:
    """Read gz2_hart16 and any subset of its columns; raw votes alone yield the five clean classes."""
    id_name = columns.first(*_ID_NAMES)
    if id_name is None:
        columns.require(["dr7objid"])
    ids = ids_as_text(columns.get(str(id_name)), columns.at(str(id_name)), report)
    file_name = columns.first(*FILE_NAMES)
    assets = pa.nulls(len(ids), pa.string())
    if columns.has("asset_id"):
        assets = asset_keys(columns, "asset_id", report)
    elif file_name is not None:
        assets = file_keys(columns, file_name, report)
    return _with_votes(columns, ids, assets, report)


def is_zoo2_main_specz(columns: Columns) -> bool:
    """Recognise the original workflow's catalog by its two ids and its class."""
    return columns.has("dr7objid", "specobjid", "gz2class")


def read_zoo2_main_specz(columns: Columns, report: CatalogReport) -> Any:
    """Read zoo2MainSpecz: images are `<specobjid>.jpg`; rows without a spectrum (specobjid <= 0) are dropped."""
    columns.require(("dr7objid", "specobjid", "gz2class"))
    ids = ids_as_text(columns.get("dr7objid"), columns.at("dr7objid"), report)
    spectra = ids_as_text(columns.get("specobjid"), columns.at("specobjid"), report)
    table = _with_votes(columns, ids, spectra, report)
    missing = pc.fill_null(pc.match_substring_regex(spectra, r"^(-|0*$)"), True)
    for index in np.flatnonzero(missing.to_numpy(zero_copy_only=False)):
        row = table[ROW][int(index)].as_py()
        report.dropped.append(RowFault("no_spectrum", row, ids[int(index)].as_py(), "specobjid <= 0"))
    return table.filter(pc.invert(missing))


def _with_votes(columns: Columns, ids: Any, assets: Any, report: CatalogReport) -> Any:
    data: dict[str, Any] = {ROW: columns.get(ROW), "object_id": ids, "asset_id": assets}
    votes = gz2_votes(columns)
    name = columns.first("gz2_class", "gz2class", "label")
    published = as_labels(columns.get(name), name, columns.where) if name else pa.nulls(len(ids), pa.string())
    if not any(f"{stem}_debiased" in votes for stem in QUESTIONS["t01_smooth_or_features"].columns):
        data["label"] = pc.coalesce(published, clean_labels(votes, len(ids), report))
    else:
        data["label"] = filled_labels(published, votes, ("debiased",), report)
    for name in (*_KEPT, *RA_NAMES, *DEC_NAMES):
        if columns.has(name):
            data[columns.real_name(name)] = columns.get(name)
    return pa.table({**data, **votes})


def is_kaggle(columns: Columns) -> bool:
    """Recognise the Galaxy Challenge's solutions by their first columns."""
    return columns.has("Class1.1", "Class1.2", "Class1.3") and columns.first(*_KAGGLE_IDS) is not None


def read_kaggle(columns: Columns, report: CatalogReport) -> Any:
    """Read training_solutions_rev1, or some of its questions: probabilities weighted by those of the questions before.

    Votes are given as fractions of each question (`_weighted_fraction`; null where not reached). The label is one
    of the five clean classes by the published thresholds, else null: the raw fractions do not give a gz2_class. A
    table without the questions that the thresholds look at has no labels.

    Raises
    ------
    CatalogError
        If there is no id, or a question lacks some of its answers.
    """
    answers_of = {question: [f"Class{number}.{k}" for k in range(1, len(question.answers) + 1)]
                  for number, question in enumerate(QUESTIONS.values(), start=1)}  # fmt: skip
    there = {question: names for question, names in answers_of.items() if columns.has(names[0])}
    id_name = columns.first(*_KAGGLE_IDS) or _KAGGLE_IDS[0]
    columns.require([id_name, *(name for names in there.values() for name in names)])
    ids = ids_as_text(columns.get(id_name), columns.at(id_name), report)
    given = {name: _floats(columns, name) for names in there.values() for name in names}
    with np.errstate(invalid="ignore"):  # in percent, or no shares: handed on as they are, for the check of votes
        wrong = np.any([(values < -1e-4) | (values > 1 + 1e-4) for values in given.values()], axis=0)
    votes: dict[str, Any] = {}
    shares: dict[str, Any] = {}
    for question, names in there.items():
        answers = [given[name] for name in names]
        total = np.sum(answers, axis=0)
        for stem, values in zip(question.columns, answers, strict=True):
            shares[stem] = values
            with np.errstate(invalid="ignore", divide="ignore"):
                fraction = np.where(wrong, values, np.where(total > 0, values / total, np.nan))
            votes[f"{stem}_weighted_fraction"] = pa.array(fraction.astype(np.float32), from_pandas=True)
    known = all(stem in shares for stem in CLEAN_ANSWERS)
    labels = _clean_label(shares, report) if known else pa.nulls(len(ids), pa.string())
    return pa.table({ROW: columns.get(ROW), "object_id": ids, "asset_id": ids, "label": labels, **votes})


def _floats(columns: Columns, name: str) -> Any:
    return as_float(columns.get(name), name, columns.where).to_numpy(zero_copy_only=False)


def _clean_label(shares: dict[str, Any], report: CatalogReport) -> Any:
    kinds = clean_kind_of_shares(shares)
    first = np.column_stack([shares[stem] for stem in QUESTIONS["t01_smooth_or_features"].columns])
    note_unclean(kinds, first, report)
    return pa.array([CLEAN_LABELS[kind] if kind >= 0 else None for kind in kinds], pa.string())
