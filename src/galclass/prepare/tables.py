"""The tables of a prepared folder: where each cutout is, which object it shows, what was left out and why.

Takes the wanted rows and the journal, returns `pyarrow.Table`s: slots (one row a file), index (one row an
object) and rejects (one row an object or catalog row that is left out).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from galclass.errors import StoreError
from galclass.image_files import shown
from galclass.prepare.chunks import FLAG
from galclass.prepare.duplicates import pixel_hashes, sort_out, taken

LEADING_COLUMNS = ("object_id", "asset_id", "label", "split", "source", "sha256", "row", "flags")
PLACES_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("source", "file", "sha256", "pixels_sha256", "code", "reason", "flags")]
    + [("row", pa.int64())]
)
REJECTS_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("source", "object_id", "asset_id", "file", "code", "reason")]
)


def places_table(files: Iterable[tuple[str, str]], journal: Mapping[int, Mapping[str, Any]]) -> pa.Table:
    """Return one row a slot of the pixel file: source, file, hashes, code and reason (null: a cutout is there), row.

    The hashes of the pixels are null: `with_pixel_hashes` fills them in.
    """
    sha256s: list[str | None] = []
    rejects: dict[int, tuple[str, str]] = {}
    flags: dict[int, str] = {}
    names = list(files)
    for first in sorted(journal):
        line = journal[first]
        found = {shown(key): (code, reason) for key, code, reason in line["rejects"] if code != FLAG}
        noted = {shown(key): reason for key, code, reason in line["rejects"] if code == FLAG}
        for slot, sha256 in enumerate(line["sha256"], start=first):
            sha256s.append(sha256)
            if names[slot][1] in found:
                rejects[slot] = found[names[slot][1]]
            if names[slot][1] in noted:
                flags[slot] = noted[names[slot][1]]
    if len(sha256s) != len(names):
        raise StoreError("the journal does not cover the store", expected=len(names), got=len(sha256s))
    columns = {
        "source": [source for source, _ in names],
        "file": [file for _, file in names],
        "sha256": sha256s,
        "pixels_sha256": pa.nulls(len(names), pa.string()),
        "code": [rejects[slot][0] if slot in rejects else None for slot in range(len(names))],
        "reason": [rejects[slot][1] if slot in rejects else None for slot in range(len(names))],
        "flags": [flags.get(slot) for slot in range(len(names))],
        "row": list(range(len(names))),
    }
    return pa.table(columns, schema=PLACES_SCHEMA)


def with_pixel_hashes(slots: pa.Table, pixels: Path, bytes_per_cutout: int) -> pa.Table:
    """Fill in the hashes of cutouts that may be equal, and the columns that the slots of an older version lack."""
    good = pc.is_null(slots["code"]).to_pylist()
    hashes = pixel_hashes(pixels, (len(slots), bytes_per_cutout), good)
    missing = dict.fromkeys(PLACES_SCHEMA.names, pa.nulls(len(slots), pa.string()))
    columns = missing | {name: slots[name] for name in slots.column_names}
    return pa.table(columns | {"pixels_sha256": pa.array(hashes, pa.string())}).select(PLACES_SCHEMA.names)


@dataclass(frozen=True)
class Tables:
    """The tables of a prepared folder.

    Attributes
    ----------
    index : pyarrow.Table
        `LEADING_COLUMNS`, then votes; in the order of the pixel file.
    rejects : pyarrow.Table
        The objects that are left out, and images that cannot be read.
    files : set of (source, file)
        The files with an object in the index.
    repeated, kept_groups : int
        Rows left out because they repeat what is there; images that several objects share and keep.
    """

    index: pa.Table
    rejects: pa.Table
    files: set[tuple[str, str]]
    repeated: int
    kept_groups: int


def tables_of(rows: pa.Table, slots: pa.Table, *, keep_duplicates: bool) -> Tables:
    """Join the wanted rows to their slots.

    Parameters
    ----------
    rows : pyarrow.Table
        object_id, asset_id, label, split, source, file, then votes; one row an object and file.
    slots : pyarrow.Table
        From `with_pixel_hashes`.
    keep_duplicates : bool
        Whether objects may share an image; then they share its split.
    """
    at = pc.index_in(_key(rows), value_set=_key(slots)).combine_chunks()
    here = pc.take(slots, at)
    for name in ("sha256", "pixels_sha256", "row", "code", "reason", "flags"):
        rows = rows.append_column(name, here[name])
    bad = pc.is_valid(rows["code"])
    rejects = rows.filter(bad).select(REJECTS_SCHEMA.names).cast(REJECTS_SCHEMA)
    good = rows.filter(pc.invert(bad)).drop_columns(["code", "reason"]).combine_chunks()
    found = sort_out(good, keep=keep_duplicates)
    if found.rejects:
        rejects = pa.concat_tables([rejects, _duplicates(good, found.rejects)])
    good = _with_splits(good, found.split_of)
    good = good.filter(taken((*found.rejects, *found.repeated), len(good)))
    files = set(zip(good["source"].to_pylist(), good["file"].to_pylist(), strict=True))
    good = good.drop_columns(["file", "pixels_sha256"]).sort_by("row")
    votes = [name for name in good.column_names if name not in LEADING_COLUMNS]
    index = good.select([*LEADING_COLUMNS, *votes])
    return Tables(index, rejects, files, len(found.repeated), found.kept_groups)


def _duplicates(rows: pa.Table, rejects: Mapping[int, tuple[str, str]]) -> pa.Table:
    slots = sorted(rejects)
    left_out = rows.take(pa.array(slots, pa.int64()))
    for number, name in enumerate(("code", "reason")):
        left_out = left_out.append_column(name, pa.array([rejects[at][number] for at in slots], pa.string()))
    return left_out.select(REJECTS_SCHEMA.names).cast(REJECTS_SCHEMA)


def _with_splits(rows: pa.Table, split_of: Mapping[str, str]) -> pa.Table:
    if not split_of:
        return rows
    own = zip(rows["object_id"].to_pylist(), rows["split"].to_pylist(), strict=True)
    column = pa.array([split_of.get(object_id, split) for object_id, split in own], pa.string())
    return rows.set_column(rows.column_names.index("split"), "split", column)


def count_labelled(index: pa.Table) -> int:
    """Count the objects of an index that have a label or votes to train on."""
    known = pc.is_valid(index["label"])
    first = "t01_smooth_or_features_a01_smooth_debiased"  # where the trainer looks
    if first in index.column_names:
        known = pc.or_(known, pc.is_valid(index[first]))
    return int(pc.sum(known).as_py() or 0)


def count_flagged(index: pa.Table, flag: str) -> int:
    """Count the objects of an index that have a flag."""
    return int(pc.sum(pc.equal(index["flags"], flag)).as_py() or 0)


def rejects_table(rejects: Iterable[Mapping[str, str | None]]) -> pa.Table:
    """Return catalog rows that are left out as a table."""
    return pa.Table.from_pylist([dict(reject) for reject in rejects], schema=REJECTS_SCHEMA)


def join_sources(tables: list[pa.Table]) -> tuple[pa.Table, list[str]]:
    """Put the rows of several sources under each other; a column that a source lacks is null there.

    Returns
    -------
    pyarrow.Table
        The rows of all.
    list of str
        Columns that became text, since they cannot be one column otherwise: numbers in one catalog, words in another.

    Raises
    ------
    StoreError
        If such a column holds lists or other values that cannot be text.
    """
    names = dict.fromkeys(name for table in tables for name in table.column_names)
    as_text = [name for name in names if not _go_together(name, tables)]
    texts = [_with_text(table, as_text) for table in tables]
    return pa.concat_tables(texts, promote_options="permissive").combine_chunks(), as_text


def _go_together(name: str, tables: list[pa.Table]) -> bool:
    parts = [table.select([name]) for table in tables if name in table.column_names]
    if len({part.schema.field(0).type for part in parts}) == 1:
        return True
    try:
        pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException:  # by type, or by a value that the wider type does not hold
        return False
    return True


def _with_text(table: pa.Table, names: list[str]) -> pa.Table:
    for index, name in enumerate(table.column_names):
        if name in names:
            table = table.set_column(index, name, _text(table[name], name))
    return table


def _text(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    try:
        return pc.cast(column, pa.string())
    except pa.ArrowException as error:
        raise StoreError(
            f"the catalogs have columns '{name}' of incompatible types",
            where="prepare.sources",
            expected="numbers or text",
            got=column.type,
            advice="rename the column in one of the catalogs, or leave it out",
        ) from error


def reasons(rejects: pa.Table) -> str:
    """Name each code with its count and one example."""
    examples = {code: (file or object_id, reason) for code, file, object_id, reason in zip(
        *(rejects[name].to_pylist() for name in ("code", "file", "object_id", "reason")), strict=True)}  # fmt: skip
    counts = Counter(rejects["code"].to_pylist())
    return "; ".join(f"{count} {code} ({': '.join(map(str, examples[code]))})" for code, count in counts.most_common())


def _key(table: pa.Table) -> Any:
    return pc.binary_join_element_wise(table["source"], table["file"], "\n")
