"""Read any known catalog into one table format: object_id, asset_id, label, then votes and the survey's other columns.

Takes a file (and for Galaxy Zoo 2 its filename mapping), returns a `pyarrow.Table`; faulty rows are named, not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.checks import check_ids, check_labels, check_votes, leave_out
from galclass.catalog.columns import ROW, Columns
from galclass.catalog.decals import is_gz_decals, is_gz_hub, read_gz_decals, read_gz_hub
from galclass.catalog.files import asset_keys
from galclass.catalog.generic import CatalogColumns, handed_on, read_generic, renamed_labels
from galclass.catalog.gz2 import is_gz2, is_kaggle, is_zoo2_main_specz, read_gz2, read_kaggle, read_zoo2_main_specz
from galclass.catalog.identifiers import ids_as_text
from galclass.catalog.positions import with_positions
from galclass.catalog.report import CatalogReport
from galclass.catalog.surveys import is_efigi, is_gz1, read_efigi, read_gz1
from galclass.catalog.tables import RawTable, read_raw
from galclass.errors import CatalogError

_Reader = tuple[Callable[[Columns], bool], Callable[[Columns, CatalogReport], Any]]

_READERS: Mapping[str, _Reader] = {
    "kaggle": (is_kaggle, read_kaggle),
    "zoo2MainSpecz": (is_zoo2_main_specz, read_zoo2_main_specz),
    "gz2_hart16": (is_gz2, read_gz2),
    "gz1": (is_gz1, read_gz1),
    "gz_decals": (is_gz_decals, read_gz_decals),
    "gz_hub": (is_gz_hub, read_gz_hub),
    "efigi": (is_efigi, read_efigi),
}
FORMATS = ("auto", *_READERS, "generic")
"""Names for `format`; "auto" takes the first reader that knows the columns, else "generic"."""


def read_catalog(
    path: Path | str,
    format: str = "auto",
    mapping: Path | str | None = None,
    *,
    columns: CatalogColumns | None = None,
    report: CatalogReport | None = None,
    any_label: bool = False,
) -> Any:
    """Read a catalog.

    Parameters
    ----------
    path : path
        Text (.csv, .tsv, .txt, .dat; .csv and .tsv also .gz), Parquet, Arrow, FITS, VOTable or ECSV.
    format : str
        One of `FORMATS`.
    mapping : path, optional
        gz2_filename_mapping (objid, sample, asset_id): gives the asset_id of each object.
    columns : CatalogColumns, optional
        Which columns mean what, and which table of a file with several.
    report : CatalogReport, optional
        Gets the rows left out and notes. Without it a faulty row is an error.
    any_label : bool
        Keep labels that are no class, gz2_class or coarse label.

    Returns
    -------
    pyarrow.Table
        object_id (text, unique), asset_id (text: image file name without suffix), label (text or null), then the
        survey's columns: sample, ra, dec (deg), votes under gz2_hart16 names (fractions in [0, 1]; null: no vote).

    Raises
    ------
    CatalogError
        For a missing file or column, ids that went through floats, wrong units, fractions outside [0, 1]; and for
        duplicate ids, two classes of one object, unknown labels, missing ids or files, unless there is a `report`.
    """
    path, where = Path(path), str(path)
    findings = report if report is not None else CatalogReport()
    chosen = columns or CatalogColumns()
    raw = read_raw(path, text_columns=chosen.names, table=chosen.table)
    if not raw.table.num_rows:
        raise CatalogError("the table has no rows", where=where, got=", ".join(raw.table.column_names[:12]))
    _note_file(raw, findings)
    units = _units(raw.table)
    numbered = raw.table.append_column(ROW, pa.array(range(1, raw.table.num_rows + 1), pa.int64()))
    table = _read(Columns(numbered, where, raw.aside), format, chosen, findings)
    if mapping is not None:
        table = _join_mapping(table, Path(mapping), findings)
    table = _with_composed_assets(table)
    table = check_votes(table, where, findings)
    if not any_label:
        table = check_labels(table, findings)
    table = with_positions(table, where, units, (chosen.ra, chosen.dec), findings)
    table = check_ids(
        table, findings
    )  # last: of two rows of an object one that is faulty otherwise is not the one kept
    findings.settle(dict(zip(table[ROW].to_pylist(), table["label"].to_pylist(), strict=True)))
    if report is None:
        findings.raise_rejects(where)
    return table.drop_columns([ROW])


def _note_file(raw: RawTable, report: CatalogReport) -> None:
    kinds = {"list": "several values per row"}
    unread = (f"{name} (not read: {kinds.get(kind, kind)})" for name, kind in raw.left_out.items())
    report.columns = (*raw.table.column_names, *unread)
    if len(raw.others) > 1:
        report.table = f"{raw.chosen} of {', '.join(raw.others)}"
    report.note("comment_lines", raw.comments)
    report.note("repeated_headers", raw.repeated_headers)


def _with_composed_assets(table: Any) -> Any:
    """Return the table with asset ids in Unicode's composed form, as file names are compared; object ids stay."""
    index = table.column_names.index("asset_id")
    return table.set_column(index, "asset_id", pc.utf8_normalize(table["asset_id"], form="NFC"))


def _read(columns: Columns, format: str, chosen: CatalogColumns, report: CatalogReport) -> Any:
    if format not in FORMATS:
        raise CatalogError(f"unknown catalog format {format!r}", where=columns.where, expected=", ".join(FORMATS))
    if format == "auto" and not chosen.is_generic:
        format = next((name for name, (knows, _) in _READERS.items() if knows(columns)), "generic")
    if format in ("auto", "generic"):
        return read_generic(columns, report, chosen)
    given = [name for name, value in (("id", chosen.id), ("label", chosen.label), ("file", chosen.file),
                                      ("votes", chosen.votes)) if value]  # fmt: skip
    if given:
        raise CatalogError(
            f"the format {format} has its own columns; set for this table: {', '.join(given)}",
            where=columns.where, advice='leave them out, or set the format "generic"',
        )  # fmt: skip
    knows, read = _READERS[format]
    if not knows(columns):
        _require_of(format, columns)
    table = _with_own_positions(read(columns, report), columns, chosen)
    if table["asset_id"].null_count == table.num_rows:
        table = table.set_column(table.column_names.index("asset_id"), "asset_id", table["object_id"])
    if chosen.labels:
        label = renamed_labels(table["label"], chosen.labels)
        table = table.set_column(table.column_names.index("label"), "label", label)
    for index, name in enumerate(table.column_names):
        table = table.set_column(index, name, handed_on(table[name], columns.where))
    return table


def _with_own_positions(table: Any, columns: Columns, chosen: CatalogColumns) -> Any:
    """Add the columns of positions that the user named, where the format's reader does not know them."""
    names = [name for name in (chosen.ra, chosen.dec) if name]
    columns.require(names)
    for name in map(columns.real_name, names):
        if name not in table.column_names:
            indices = pc.subtract(table[ROW], 1)
            table = table.append_column(name, pc.take(columns.table[name], indices))
    return table


_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "kaggle": ("GalaxyID", "Class1.1", "Class1.2", "Class1.3"),
    "zoo2MainSpecz": ("dr7objid", "specobjid", "gz2class"),
    "gz1": ("objid", "p_el", "p_cs", "spiral", "elliptical"),
    "gz_decals": ("iauname", "smooth-or-featured_smooth_fraction"),
    "gz_hub": ("id_str", "smooth-or-featured-gz2_smooth"),
    "efigi": ("PGCname", "T", "Bulge_to_Total"),
}


def _require_of(format: str, columns: Columns) -> None:
    if format == "gz2_hart16":
        columns.require(["dr7objid"] if columns.first("dr7objid", "objid") is None else [])
        if columns.first("gz2_class", "gz2class") is None:
            columns.require(["gz2_class"])
    else:
        columns.require(_REQUIRED[format])


def _join_mapping(table: Any, path: Path, report: CatalogReport) -> Any:
    raw = read_raw(path)
    columns = Columns(raw.table, str(path), raw.aside)
    id_name = columns.first("objid", "object_id", "dr7objid", "id") or "objid"
    columns.require((id_name, "asset_id"))
    keys = pc.utf8_normalize(ids_as_text(columns.get(id_name), columns.at(id_name), report), form="NFC")
    assets = asset_keys(columns, "asset_id", report)
    pairs = pa.table({"key": keys, "asset": assets}).group_by("key").aggregate([("asset", "count_distinct")])
    report.note("mapping_repeats", len(keys) - len(pairs))
    report.note("mapping_conflicts", pc.sum(pc.greater(pairs["asset_count_distinct"], 1)).as_py() or 0)
    wanted = pc.utf8_normalize(table["object_id"], form="NFC")
    report.note(
        "unused_mapping_rows", pc.sum(pc.invert(pc.is_in(keys, value_set=wanted.combine_chunks()))).as_py() or 0
    )
    found = pc.index_in(wanted, value_set=keys)
    column = pc.take(assets, found.combine_chunks())
    table = table.set_column(table.column_names.index("asset_id"), "asset_id", column)
    missing = table["asset_id"].is_null().to_numpy()
    return leave_out(table, missing, "no_asset_id", lambda row: "the mapping has no file for this object", report)


def _units(table: Any) -> dict[str, str]:
    """Return the units that a FITS or VOTable reader left in the schema."""
    metadata = {field.name: field.metadata or {} for field in table.schema}
    return {name: facts[b"unit"].decode() for name, facts in metadata.items() if b"unit" in facts}
