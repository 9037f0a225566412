"""The tables of a prepared folder: where each cutout is, which object it shows, what was left out and why.

Takes the wanted rows and the journal, gives `pyarrow.Table`s: places (one row a file), index (one row an
object) and rejects (one row an object or catalog row that is left out).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from galclass.errors import StoreError
from galclass.preprocess.chunks import FLAG

LEADING_COLUMNS = ("object_id", "asset_id", "label", "split", "source", "sha256", "row", "flags")
PLACES_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("source", "file", "sha256", "code", "reason", "flags")] + [("row", pa.int64())]
)
REJECTS_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("source", "object_id", "asset_id", "file", "code", "reason")]
)


def places_table(files: Iterable[tuple[str, str]], journal: Mapping[int, Mapping[str, Any]]) -> pa.Table:
    """Give one row a place of the pixel file: source, file, sha256, code and reason (null: a cutout is there), row."""
    sha256s: list[str | None] = []
    rejects: dict[int, tuple[str, str]] = {}
    flags: dict[int, str] = {}
    names = list(files)
    for first in sorted(journal):
        line = journal[first]
        found = {key: (code, reason) for key, code, reason in line["rejects"] if code != FLAG}
        noted = {key: reason for key, code, reason in line["rejects"] if code == FLAG}
        for place, sha256 in enumerate(line["sha256"], start=first):
            sha256s.append(sha256)
            if names[place][1] in found:
                rejects[place] = found[names[place][1]]
            if names[place][1] in noted:
                flags[place] = noted[names[place][1]]
    if len(sha256s) != len(names):
        raise StoreError("the journal does not cover the store", expected=len(names), got=len(sha256s))
    columns = {
        "source": [source for source, _ in names],
        "file": [file for _, file in names],
        "sha256": sha256s,
        "code": [rejects[place][0] if place in rejects else None for place in range(len(names))],
        "reason": [rejects[place][1] if place in rejects else None for place in range(len(names))],
        "flags": [flags.get(place) for place in range(len(names))],
        "row": list(range(len(names))),
    }
    return pa.table(columns, schema=PLACES_SCHEMA)


def index_and_rejects(rows: pa.Table, places: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Join the wanted rows to their places.

    Parameters
    ----------
    rows : pyarrow.Table
        object_id, asset_id, label, split, source, file, then votes.
    places : pyarrow.Table
        From `places_table`.

    Returns
    -------
    index : pyarrow.Table
        `LEADING_COLUMNS`, then votes; in the order of the pixel file.
    rejects : pyarrow.Table
        The objects whose file gave no cutout.
    """
    if "flags" not in places.column_names:  # an older version wrote them
        places = places.append_column("flags", pa.nulls(len(places), pa.string()))
    at = pc.index_in(_key(rows), value_set=_key(places)).combine_chunks()
    here = pc.take(places, at)
    for name in ("sha256", "row", "code", "reason", "flags"):
        rows = rows.append_column(name, here[name])
    bad = pc.is_valid(rows["code"])
    rejects = rows.filter(bad).select(REJECTS_SCHEMA.names).cast(REJECTS_SCHEMA)
    good = rows.filter(pc.invert(bad)).drop_columns(["code", "reason", "file"]).sort_by("row")
    votes = [name for name in good.column_names if name not in LEADING_COLUMNS]
    return good.select([*LEADING_COLUMNS, *votes]), rejects


def count_labelled(index: pa.Table) -> int:
    """Count the objects of an index that have a label or votes to train on."""
    known = pc.is_valid(index["label"])
    for name in index.column_names:
        if name.endswith("_debiased"):
            known = pc.or_(known, pc.is_valid(index[name]))
    return int(pc.sum(known).as_py() or 0)


def count_flagged(index: pa.Table, flag: str) -> int:
    """Count the objects of an index that have a flag."""
    return int(pc.sum(pc.equal(index["flags"], flag)).as_py() or 0)


def rejects_table(rejects: Iterable[Mapping[str, str | None]]) -> pa.Table:
    """Give catalog rows that are left out as a table."""
    return pa.Table.from_pylist([dict(reject) for reject in rejects], schema=REJECTS_SCHEMA)


def join_sources(tables: list[pa.Table]) -> pa.Table:
    """Put the rows of several sources under each other; a column that a source lacks is null there."""
    try:
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise StoreError(f"columns of two catalogs have different types: {error}", where="prepare.sources") from error


def reasons(rejects: pa.Table) -> str:
    """Name each code with its count and one example."""
    examples = {code: (file or object_id, reason) for code, file, object_id, reason in zip(
        *(rejects[name].to_pylist() for name in ("code", "file", "object_id", "reason")), strict=True)}  # fmt: skip
    counts = Counter(rejects["code"].to_pylist())
    return "; ".join(f"{count} {code} ({': '.join(map(str, examples[code]))})" for code, count in counts.most_common())


def _key(table: pa.Table) -> Any:
    return pc.binary_join_element_wise(table["source"], table["file"], "\n")
