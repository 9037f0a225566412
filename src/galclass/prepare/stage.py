"""The prepare stage: images and catalogs of one or several sources -> one store of cutouts with its index.

Takes the configuration (and what the download stage brought), returns the folder `prepared/` of the workspace:
`store.u8`, `index.parquet`, `places.parquet`, `rejects.parquet`, `prepared.json`. A second run does nothing; other
labels or splits rewrite the tables alone; other pixels or parameters make the cutouts again.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from galclass.catalog import CatalogColumns, CatalogReport, named_splits, read_catalog, split_by_object_id
from galclass.config import Config, PrepareConfig, SourceConfig
from galclass.cutouts.extract import TRUNCATED, CutoutParameters
from galclass.download.configured import configured_sources
from galclass.errors import ConfigError, StoreError
from galclass.image_files import Listing, Skipped, list_images, shown
from galclass.image_files.keys import file_key, image_files, lost_zeros, row_key
from galclass.prepare.filling import Fill, fill
from galclass.prepare.near import NEAR_DUPLICATES, near_duplicates, near_remarks
from galclass.prepare.plan import Input, chunks_of, fractions_of, inputs_sha256_of, pixels_sha256_of, plan_of
from galclass.prepare.store import INDEX, PIXELS, REJECTS, StoreWriter, read_facts, write_facts, write_parquet
from galclass.prepare.summary import FileCounts, PrepareSummary
from galclass.prepare.tables import (
    Tables,
    count_flagged,
    count_labelled,
    join_sources,
    places_table,
    reasons,
    rejects_table,
    tables_of,
    with_pixel_hashes,
)

PLACES = "places.parquet"
TOO_MANY = "too_many_rejects.parquet"
"""All rejects of a run that failed for their number."""
_NAMED = 3
"""Examples that a message has."""


def prepare(config: Config, progress: bool = True, *, fill: Fill = fill) -> PrepareSummary:
    """Fill the prepared folder of the workspace.

    Parameters
    ----------
    config : Config
        `config.prepare` names sources, or one folder and catalog; with neither the download stage is asked.
    progress : bool
        Show a bar on the terminal.
    fill : callable
        What makes the cutouts of the chunks: over this machine's cores, or another function that does the same.

    Raises
    ------
    ConfigError, CatalogError, ArchiveError
        For wrong settings, catalogs and archives.
    StoreError
        If no image matches, the disk is too small, or more than `max_rejects` of the files are rejected.
    """
    begin = time.monotonic()
    folder = config.workspace_path / "prepared"
    parameters = CutoutParameters(config.prepare.size_px, config.prepare.crop_fraction)
    inputs = [_open(source) for source in _sources(config)]
    inputs_sha256 = inputs_sha256_of(config, parameters, inputs)
    facts = read_facts(folder)
    if facts is not None and facts.get("inputs_sha256") == inputs_sha256:
        return _summary(folder, facts, 0, begin)
    inputs = [_read_rows(part, config.prepare, folder) for part in inputs]
    rows, as_text = _chosen_rows(config, inputs)
    plan = plan_of(inputs, rows)
    pixels_sha256 = pixels_sha256_of(parameters, inputs, plan, config.images)
    own = {
        "inputs_sha256": inputs_sha256,
        "pixels_sha256": pixels_sha256,
        "without_image": sum(part.without_image for part in inputs),
        "sources": [part.config.name for part in inputs],
        "columns": list(dict.fromkeys(name for part in inputs for name in part.columns)),
        "remarks": [*(remark for part in inputs for remark in part.remarks), *_text_remarks(as_text)],
        "seed": config.seed,
        "split": fractions_of(config.prepare),
    }
    input_rejects = rejects_table(reject for part in inputs for reject in part.rejects)
    if facts is not None and facts.get("pixels_sha256") == pixels_sha256:
        slots = with_pixel_hashes(pq.read_table(folder / PLACES), folder / PIXELS, int(facts["bytes_per_cutout"]))
        tables, counts = _tables(
            rows, slots, input_rejects, config, inputs, (folder / PIXELS, int(facts["bytes_per_cutout"]))
        )
        write_facts(folder, facts | {"inputs_sha256": ""})  # stopped half way, the next run does this again
        for name, table in {**tables, PLACES: slots}.items():
            write_parquet(table, folder / name)
        write_facts(folder, facts | own | counts)
        return _summary(folder, facts | own | counts, 0, begin)
    writer = StoreWriter(folder, parameters, len(plan), pixels_sha256)
    with closing(writer):
        chunks = [chunk for part in inputs for chunk in chunks_of(part, plan, config.images)]
        cut = fill(writer, chunks, config.prepare.processes, progress)
        slots = with_pixel_hashes(places_table(plan, writer.done), writer.partial, writer.bytes_per_cutout)
        tables, counts = _tables(rows, slots, input_rejects, config, inputs, (writer.partial, writer.bytes_per_cutout))
        writer.finish({**tables, PLACES: slots}, own | counts)
    return _summary(folder, own | counts, cut, begin)


def _sources(config: Config) -> list[SourceConfig]:
    """Return the sources of the configuration, all of whose files are there."""
    wanted = config.prepare
    if not wanted.sources and (wanted.images is None) != (wanted.catalog is None):
        raise ConfigError("images and catalog go together", where="prepare", advice="set both or neither")
    sources = configured_sources(config)
    for source in sources:
        for key in ("images", "catalog", "mapping"):
            path = getattr(source, key)
            if path is not None:
                _check_there(path, f"prepare.sources {source.name}", key)
    return sources


def _check_there(path: str, where: str, key: str) -> None:
    if "${" in path:
        raise ConfigError("an environment variable is not set", where=where, got=path)
    if not Path(path).exists():
        raise ConfigError("no such file or folder", where=f"{where}: {key}", got=path)


def _open(source: SourceConfig) -> Input:
    return Input(source, image_files(list_images(Path(source.images))))


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


def _read_rows(part: Input, wanted: PrepareConfig, folder: Path) -> Input:
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


def _text_remarks(names: list[str]) -> list[str]:
    return [f"of different types in the catalogs, now text: {', '.join(names)}"] if names else []


def _chosen_rows(config: Config, inputs: list[Input]) -> tuple[pa.Table, list[str]]:
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


def _tables(
    rows: pa.Table,
    slots: pa.Table,
    input_rejects: pa.Table,
    config: Config,
    inputs: list[Input],
    pixels: tuple[Path, int],
) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    wanted = config.prepare
    made = tables_of(rows, slots, keep_duplicates=wanted.duplicates == "keep")
    index, rejects = made.index, pa.concat_tables([input_rejects, made.rejects])
    share = len(rejects) / max(1, len(index) + len(rejects))
    too_many = config.workspace_path / "prepared" / TOO_MANY
    if share > wanted.max_rejects:
        write_parquet(rejects, too_many)
        raise StoreError(
            f"too many rejects: {reasons(rejects)}",
            where=str(too_many),
            expected=f"at most {wanted.max_rejects:.1%}",
            got=f"{len(rejects)} of {len(index) + len(rejects)} ({share:.1%})",
            advice="fix the input, or raise prepare.max_rejects; this file lists them all",
        )
    too_many.unlink(missing_ok=True)
    near = near_duplicates(pixels[0], (len(slots), pixels[1]), index)
    counts = {
        "near": near.facts(),
        "objects": len(index),
        "rejects": len(rejects),
        "labelled": count_labelled(index),
        "truncated": count_flagged(index, TRUNCATED),
        "repeated": made.repeated,
        "kept_groups": made.kept_groups,
        "files": asdict(_file_counts(rows, rejects, made, inputs)),
    }
    return {INDEX: index, REJECTS: rejects, NEAR_DUPLICATES: near.pairs}, counts


def _file_counts(rows: pa.Table, rejects: pa.Table, made: Tables, inputs: list[Input]) -> FileCounts:
    """Count what became of every file that was seen, each count by itself: a test adds them up."""
    listings = [part.files.listing for part in inputs]
    wanted = set(zip(rows["source"].to_pylist(), rows["file"].to_pylist(), strict=True))
    rejected = zip(rejects["source"].to_pylist(), rejects["file"].to_pylist(), rejects["code"].to_pylist(), strict=True)
    left_out = Counter((source, file) for source, file, _ in rejected if file is not None)
    skipped = Skipped()
    for listing in listings:
        skipped.update(listing.skipped)
    return FileCounts(
        seen=sum(listing.seen for listing in listings),
        prepared=len(made.files),
        rejected=len(left_out.keys() - made.files) + _repeated_names(listings),
        repeated=len(wanted - made.files - left_out.keys()),
        unused=sum((part.config.name, file) not in wanted for part in inputs for file in part.files.entries),
        skipped=skipped.total,
        skipped_files=str(skipped),
        lost=tuple(name for listing in listings for name in listing.lost()),
    )


def _repeated_names(listings: list[Listing]) -> int:
    """Count the members of archives that have the name of another member: a file and a reject each."""
    return sum(len(listing.faults) - len({shown(fault.name) for fault in listing.faults}) for listing in listings)


def _summary(folder: Path, facts: dict[str, Any], cut: int, begin: float) -> PrepareSummary:
    seconds = time.monotonic() - begin
    return PrepareSummary(
        folder,
        facts["objects"],
        facts["rejects"],
        facts["without_image"],
        cut,
        seconds,
        facts.get("labelled"),
        tuple(facts.get("columns", ())),
        facts.get("truncated", 0),
        facts.get("repeated", 0),
        facts.get("kept_groups", 0),
        FileCounts.from_facts(facts.get("files")),
        (*facts.get("remarks", ()), *near_remarks(facts.get("near"))),
    )
