"""The reader of generic tables: columns as the user specifies or by the usual names.

Takes a raw table, returns object_id, asset_id, label, votes under gz2_hart16 names, and the other columns as they are.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.columns import ROW, Columns, as_float, as_labels, plain_label
from galclass.catalog.files import FILE_NAMES, asset_keys, file_keys, without_suffixes
from galclass.catalog.identifiers import ids_as_text, plain_text_or_numbers
from galclass.catalog.report import CatalogReport
from galclass.catalog.text import LABEL_COLUMNS
from galclass.catalog.votes import RAW_KINDS, filled_labels, gz2_votes, label_by_votes, vote_columns
from galclass.errors import CatalogError

if TYPE_CHECKING:
    from galclass.config import PrepareConfig, SourceConfig


@dataclass(frozen=True)
class CatalogColumns:
    """Which columns of a table mean what; None looks for the usual names.

    Attributes
    ----------
    id, label, file : str or None
        Object id; class, gz2_class or coarse label; image file (its name without suffix is the asset_id).
    votes : mapping of str to str
        Column -> gz2_hart16 name, e.g. {"p_smooth": "t01_smooth_or_features_a01_smooth_fraction"}.
    labels : mapping of str to str
        Label of the table -> class, gz2_class or coarse label; "" for labels that say nothing about our classes.
    ra, dec : str or None
        Position: degrees, or sexagesimal text.
    table : str or None
        Which table of a file with several: number or name; None takes the first.
    """

    id: str | None = None
    label: str | None = None
    file: str | None = None
    votes: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ra: str | None = None
    dec: str | None = None
    table: str | None = None

    @classmethod
    def of(cls, settings: PrepareConfig | SourceConfig) -> CatalogColumns:
        """Return what a section of the configuration says."""
        return cls(
            id=settings.id_column,
            label=settings.label_column,
            file=settings.file_column,
            votes=settings.votes,
            labels=settings.labels,
            ra=settings.ra_column,
            dec=settings.dec_column,
            table=settings.table,
        )

    @property
    def names(self) -> frozenset[str]:
        """Columns that are text whatever they look like."""
        return frozenset(name.strip() for name in (self.id, self.label, self.file) if name)

    @property
    def is_generic(self) -> bool:
        """Whether the user says what the columns of a generic table mean."""
        return bool(self.names or self.votes or self.labels)


_ID_NAMES = (
    *("object_id", "dr7objid", "objid", "galaxy_id", "galaxyid", "iauname", "id_str", "asset_id", "id"),
    *("image", "name"),
)
_RESERVED = frozenset({"object_id", "asset_id", "label", "source", "sha256", "row", "file", "code", "reason"})
"""Names of the prepared index that a column of the user's may not take."""


def read_generic(columns: Columns, report: CatalogReport, chosen: CatalogColumns) -> Any:
    """Read a generic table; unknown columns are passed through unchanged."""
    named = (chosen.id, chosen.label, chosen.file, chosen.ra, chosen.dec, *chosen.votes)
    columns.require([name for name in named if name])
    id_name, file_name = id_and_file_names(columns, chosen)
    label_name = chosen.label or columns.first(*LABEL_COLUMNS)
    ids, assets = ids_and_assets(columns, id_name, file_name, chosen.id is None, report)
    data = {ROW: columns.get(ROW), "object_id": ids, "asset_id": assets, "label": None}
    _check_targets(chosen.votes)
    votes: dict[str, Any] = gz2_votes(columns)
    for source, target in chosen.votes.items():
        votes[target] = as_float(columns.get(source), columns.real_name(source), columns.where)
    kinds = ("debiased", *RAW_KINDS)
    if label_name:
        text = as_labels(columns.get(label_name), label_name, columns.where)
        data["label"] = renamed_labels(filled_labels(text, votes, kinds, report), chosen.labels)
    else:
        data["label"] = label_by_votes(votes, kinds, len(ids), report)
    used = {str(name).strip().lower() for name in (id_name, file_name, label_name, *chosen.votes, *votes) if name} | {
        ROW
    }
    for name in columns.table.column_names:
        if name.lower() not in used:
            data[f"catalog_{name}" if name in _RESERVED else name] = handed_on(columns.table[name], columns.where)
    return pa.table({**data, **votes})


def _check_targets(votes: Mapping[str, str]) -> None:
    """Check that columns are renamed to columns that votes can have."""
    known = vote_columns()
    unknown = [name for name in votes.values() if name not in known]
    if not unknown:
        return
    close = difflib.get_close_matches(unknown[0], known, n=1)
    raise CatalogError(
        f"unknown column of votes: {', '.join(unknown)}",
        where="votes",
        expected="a name of gz2_hart16, e.g. t01_smooth_or_features_a01_smooth_fraction",
        advice=f"did you mean {close[0]}?" if close else None,
    )


def handed_on(column: Any, where: str) -> Any:
    """Return a column so that it can be concatenated with other sources': text as text, without dictionaries."""
    try:
        return plain_text_or_numbers(column, where)
    except CatalogError:  # bytes that mean nothing here
        return pc.cast(pa.nulls(len(column)), pa.string())


def id_and_file_names(columns: Columns, chosen: CatalogColumns) -> tuple[str | None, str | None]:
    """Return the columns of ids and of image files, as the user specifies or by their usual names.

    Raises
    ------
    CatalogError
        If there is neither.
    """
    columns.require([name for name in (chosen.id, chosen.file) if name])
    id_name, file_name = chosen.id or columns.first(*_ID_NAMES), chosen.file or columns.first(*FILE_NAMES)
    if id_name is None and file_name is None:
        columns.require(["object_id"], advice="name the column of ids with id_column (--id-column on the command line)")
    return id_name, file_name


def ids_and_assets(
    columns: Columns, id_name: str | None, file_name: str | None, by_usual_name: bool, report: CatalogReport
) -> tuple[Any, Any]:
    """Return object ids and the keys of their image files, row by row; null where a row has none."""
    if id_name is None or (by_usual_name and id_name == "image"):  # a table of files: their names are the ids
        ids = file_keys(columns, str(id_name or file_name), report)
        return ids, file_keys(columns, file_name, report) if file_name else ids
    ids = ids_as_text(columns.get(id_name), columns.at(id_name), report)
    if file_name is not None:
        return ids, file_keys(columns, file_name, report)
    return ids, asset_keys(columns, "asset_id", report) if columns.has("asset_id") else without_suffixes(ids)


def renamed_labels(labels: Any, renamed: Mapping[str, str]) -> Any:
    """Return labels under the names that the user gave them; "" is no label. "1.0" is "1" here, TRUE is True."""
    if not renamed or pa.types.is_null(labels.type):
        return labels
    names = {plain_label(name): label for name, label in renamed.items()} | dict(renamed)
    found = {label: names.get(label, names.get(plain_label(label), label)) or None for label in
             pc.unique(labels).to_pylist() if label is not None}  # fmt: skip
    return pa.array([found.get(label) for label in labels.to_pylist()], pa.string())
