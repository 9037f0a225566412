"""The rows of the prepare stage: catalogs read and joined with files, and the objects chosen and split.

Takes opened sources, returns them with their rows, and one table of all objects to cut.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog import CatalogColumns, CatalogReport, named_splits, read_catalog, split_by_object_id
from galclass.config import Config, PrepareConfig, SourceConfig
from galclass.errors import StoreError
from galclass.image_files import shown
from galclass.image_files.keys import file_key, lost_zeros, row_key
from galclass.prepare.plan import Input, fractions_of
from galclass.prepare.store import write_parquet
from galclass.prepare.tables import join_sources, rejects_table

TOO_MANY = "too_many_rejects.parquet"
"""All rejects of a run that failed: for their number, or because no row was left."""
_NAMED = 3
"""Examples that a message has."""


def read_rows(part: Input, wanted: PrepareConfig, folder: Path) -> Input:
    """Read a source's catalog and keep the rows that have an image; where none is left, name all rejects in a file."""
    source, report = part.config, CatalogReport()
    table = read_catalog(
        source.catalog,
        format=source.catalog_format,
        mapping=source.mapping,
        columns=CatalogColumns.of(source),
        report=report,
    )
    if wanted.max_rejects == 0:
        report.raise_rejects(source.catalog)
    ids = pa.array([source.id_prefix + text for text in table["object_id"].to_pylist()], pa.string())
    table = table.set_column(table.column_names.index("object_id"), "object_id", ids)
    table = table.append_column("source", pa.array([source.name] * len(table), pa.string()))
    keys = [row_key(asset_id) for asset_id in table["asset_id"].to_pylist()]
    rows = _with_files(table, keys, part)
    faulty = _faulty_files(table, keys, part)
    rejects = [
        {
            "source": source.name,
            "object_id": fault.object_id,
            "code": fault.code,
            "reason": f"row {fault.row}: {fault.reason}",
        }
        for fault in report.rejects
    ]
    if not len(rows) and not faulty:
        raise _nothing_left(part, keys, report, folder, rejects_table(rejects))
    there = part.files.names.keys() | {file_key(fault.name) for fault in part.files.listing.faults}
    without_image = sum(key not in there for key in keys)
    remarks = tuple(f"{source.name}: {remark}" for remark in report.remarks)
    return replace(
        part, rows=rows, rejects=(*rejects, *faulty), without_image=without_image, columns=report.columns,
        remarks=remarks,
    )  # fmt: skip


def _with_files(table: pa.Table, keys: list[str | None], part: Input) -> pa.Table:
    """Assign its file to each catalog row; a row with several files comes once for each."""
    names = part.files.names
    found = [(row, file) for row, key in enumerate(keys) if key is not None for file in names.get(key, ())]
    rows = table.take(pa.array([row for row, _ in found], pa.int64()))
    return rows.append_column("file", pa.array([file for _, file in found], pa.string()))


def _faulty_files(table: pa.Table, keys: list[str | None], part: Input) -> list[dict[str, str | None]]:
    """Return the images that cannot be read as rejects, with the object they belong to where the catalog knows it."""
    faults = part.files.listing.faults
    if not faults:
        return []
    row_of = {key: row for row, key in enumerate(keys)}
    rejects = []
    for fault in faults:
        row = row_of.get(file_key(fault.name))
        known = {} if row is None else table.select(["object_id", "asset_id"]).slice(row, 1).to_pylist()[0]
        what = {"source": part.config.name, "file": shown(fault.name), "code": fault.code, "reason": fault.reason}
        rejects.append(what | known)
    return rejects


def text_remarks(names: list[str]) -> list[str]:
    """Return the remark on columns that became text."""
    return [f"of different types in the catalogs, now text: {', '.join(names)}"] if names else []


def chosen_rows(config: Config, inputs: list[Input]) -> tuple[pa.Table, list[str]]:
    """Join the sources' rows, keep at most `limit` of them, and split by object; name the columns that became text."""
    rows, as_text = join_sources([part.rows for part in inputs])
    limit = config.prepare.limit
    if limit is not None and limit < len(rows):
        ids = rows["object_id"].to_pylist()
        order = sorted(range(len(ids)), key=lambda k: hashlib.sha256(f"{config.seed}:limit:{ids[k]}".encode()).digest())
        rows = rows.take(sorted(order[:limit]))
    return _split_each_source(rows, [part.config for part in inputs], config), as_text


def _split_each_source(rows: pa.Table, sources: list[SourceConfig], config: Config) -> pa.Table:
    """Split each source by itself, so that adding one moves no object of another; the first source of an id wins.

    Objects that `split_ids` names are where it says.
    """
    parts = [(rows.filter(pc.equal(rows["source"], source.name)), source.validation) for source in sources]
    rows = pa.concat_tables(
        [
            split_by_object_id(part, fractions_of(config.prepare, validation), config.seed)
            for part, validation in parts
            if len(part)
        ]
    )
    first = named_splits(config.prepare.split_ids)
    for object_id, split in zip(rows["object_id"].to_pylist(), rows["split"].to_pylist(), strict=True):
        first.setdefault(object_id, split)
    column = pa.array([first[object_id] for object_id in rows["object_id"].to_pylist()], pa.string())
    return rows.set_column(rows.column_names.index("split"), "split", column).combine_chunks()


def _nothing_left(
    part: Input, keys: list[str | None], report: CatalogReport, folder: Path, rejects: pa.Table
) -> StoreError:
    source, file = part.config, folder / TOO_MANY
    if len(rejects):
        folder.mkdir(parents=True, exist_ok=True)
        write_parquet(rejects, file)
    unknown = [fault for fault in report.rejects if fault.code == "unknown_label"]
    if unknown and not keys:
        return StoreError(
            "no label of the catalog is known to training",
            where=source.catalog,
            got=unknown[0].reason,
            advice="fit a model of your own labels with `galclass finetune`, or say with prepare.labels which class "
            f"each stands for; {file} names every row",
        )
    return StoreError(
        "no image matches a catalog row",
        where=f"{source.images} and {source.catalog}",
        expected="image names without suffix that are asset ids"
        + (f", such as {', '.join(str(key) for key in keys[:_NAMED])}" if keys else ""),
        got=f"{len(part.files.entries)} images, {', '.join(list(part.files.names)[:_NAMED])}; {len(keys)} rows"
        + (f", {len(rejects)} rejected" if len(rejects) else ""),
        advice=lost_zeros((key for key in keys if key), part.files.names)
        or (f"{file} lists the rejected rows" if len(rejects) else None),
    )
