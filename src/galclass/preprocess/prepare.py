"""The prepare stage: images and catalogs of one or several sources -> one store of cutouts with its index.

Takes the configuration (and what the download stage brought), gives the folder `prepared/` of the workspace:
`store.u8`, `index.parquet`, `places.parquet`, `rejects.parquet`, `prepared.json`. A second run does nothing; other
labels or splits rewrite the tables alone; other pixels or parameters make the cutouts again.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from galclass.catalog import CatalogColumns, CatalogReport, named_splits, read_catalog, split_by_object_id
from galclass.config import Config, PrepareConfig, SourceConfig
from galclass.download import iter_images, list_images, open_source
from galclass.errors import ConfigError, StoreError
from galclass.preprocess.cutouts import TRUNCATED, CutoutParameters
from galclass.preprocess.filling import Fill, fill
from galclass.preprocess.images import image_files
from galclass.preprocess.inputs import Input, chunks_of, fractions_of, inputs_sha256_of, pixels_sha256_of, plan_of
from galclass.preprocess.store import INDEX, REJECTS, StoreWriter, read_facts, write_facts, write_parquet
from galclass.preprocess.summary import PrepareSummary
from galclass.preprocess.tables import (
    count_flagged,
    count_labelled,
    index_and_rejects,
    join_sources,
    places_table,
    reasons,
    rejects_table,
)

PLACES = "places.parquet"


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
    inputs = [_read_rows(part, config.prepare) for part in inputs]
    rows = _chosen_rows(config, inputs)
    plan = plan_of(inputs, rows)
    pixels_sha256 = pixels_sha256_of(parameters, inputs, plan, config.images.max_decode_s)
    own = {
        "inputs_sha256": inputs_sha256,
        "pixels_sha256": pixels_sha256,
        "without_image": sum(part.without_image for part in inputs),
        "sources": [part.config.name for part in inputs],
        "columns": list(dict.fromkeys(name for part in inputs for name in part.columns)),
        "seed": config.seed,
        "split": fractions_of(config.prepare),
    }
    catalog_rejects = rejects_table(reject for part in inputs for reject in part.rejects)
    if facts is not None and facts.get("pixels_sha256") == pixels_sha256:
        places = pq.read_table(folder / PLACES)
        tables, counts = _tables(rows, places, catalog_rejects, config.prepare)
        write_facts(folder, facts | {"inputs_sha256": ""})  # stopped half way, the next run does this again
        for name, table in tables.items():
            write_parquet(table, folder / name)
        write_facts(folder, facts | own | counts)
        return _summary(folder, facts | own | counts, 0, begin)
    writer = StoreWriter(folder, parameters, len(plan), pixels_sha256)
    with closing(writer):
        chunks = [chunk for part in inputs for chunk in chunks_of(part, plan, config.images.max_decode_s)]
        cut = fill(writer, chunks, config.prepare.processes, progress, stream=iter_images)
        places = places_table(plan, writer.done)
        tables, counts = _tables(rows, places, catalog_rejects, config.prepare)
        writer.finish({**tables, PLACES: places}, own | counts)
    return _summary(folder, own | counts, cut, begin)


def _sources(config: Config) -> list[SourceConfig]:
    """Give the sources named in the configuration, or what the download stage brought."""
    wanted = config.prepare
    if wanted.sources:
        names = [source.name for source in wanted.sources]
        if len(set(names)) < len(names):
            raise ConfigError("two sources have the same name", where="prepare.sources", got=", ".join(names))
        return [_with_real_paths(source) for source in wanted.sources]
    if (wanted.images is None) != (wanted.catalog is None):
        raise ConfigError("images and catalog go together", where="prepare", advice="give both or neither")
    if wanted.images is not None and wanted.catalog is not None:
        found = SourceConfig("local", wanted.images, wanted.catalog, wanted.mapping, wanted.catalog_format)
        return [_with_real_paths(replace(found, frame_px=wanted.frame_px, stored_px=wanted.stored_px))]
    brought = open_source(config)
    mapping = str(brought.mapping) if brought.mapping else None
    return [
        SourceConfig(
            brought.name,
            str(brought.images),
            str(brought.catalog),
            mapping,
            brought.catalog_format,
            frame_px=wanted.frame_px or brought.frame_px,
            stored_px=wanted.stored_px or brought.stored_px,
        )
    ]


def _with_real_paths(source: SourceConfig) -> SourceConfig:
    """Fill in `~` and `${NAME}` in the paths of a source."""
    real: dict[str, str] = {}
    for key in ("images", "catalog", "mapping"):
        text = getattr(source, key)
        if text is None:
            continue
        real[key] = os.path.expanduser(os.path.expandvars(text))
        if "${" in real[key]:
            raise ConfigError("an environment variable is not set", where=f"prepare.sources {source.name}", got=text)
        if not Path(real[key]).exists():
            raise ConfigError("no such file or folder", where=f"prepare.sources {source.name}: {key}", got=real[key])
    return replace(source, **real)  # type: ignore[arg-type]  # the keys are those of text fields


def _open(source: SourceConfig) -> Input:
    path = Path(source.images)
    return Input(source, image_files(path, list_images(path)))


def _read_rows(part: Input, wanted: PrepareConfig) -> Input:
    """Read a source's catalog and keep the rows that have an image."""
    source, report = part.config, CatalogReport()
    columns = CatalogColumns(
        source.id_column, source.label_column, source.file_column, votes=source.votes, labels=source.labels
    )
    table = read_catalog(
        source.catalog, format=source.catalog_format, mapping=source.mapping, columns=columns, report=report
    )
    if wanted.max_rejects == 0:
        report.raise_rejects(source.catalog)
    files = pa.array([part.files.names.get(key) for key in table["asset_id"].to_pylist()], pa.string())
    table = table.append_column("file", files).append_column("source", pa.array([source.name] * len(table)))
    ids = pa.array([source.id_prefix + text for text in table["object_id"].to_pylist()], pa.string())
    table = table.set_column(table.column_names.index("object_id"), "object_id", ids)
    rejects = tuple(
        {
            "source": source.name,
            "object_id": fault.object_id,
            "code": fault.code,
            "reason": f"row {fault.row}: {fault.reason}",
        }
        for fault in report.rejects
    )
    rows = table.filter(pc.is_valid(table["file"]))
    if not len(rows):
        raise StoreError(
            "no image matches a catalog row",
            where=f"{source.images} and {source.catalog}",
            expected="image names without suffix that are asset ids",
            got=f"{len(part.files.names)} images, {len(table)} rows",
        )
    without_image = len(table) - len(rows)
    return replace(part, rows=rows, rejects=rejects, without_image=without_image, columns=report.columns)


def _chosen_rows(config: Config, inputs: list[Input]) -> pa.Table:
    """Join the sources' rows, keep at most `limit` of them, and split by object."""
    rows = join_sources([part.rows for part in inputs])
    limit = config.prepare.limit
    if limit is not None and limit < len(rows):
        ids = rows["object_id"].to_pylist()
        order = sorted(range(len(ids)), key=lambda k: hashlib.sha256(f"{config.seed}:limit:{ids[k]}".encode()).digest())
        rows = rows.take(sorted(order[:limit]))
    return _split_each_source(rows, [part.config for part in inputs], config)


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
    rows: pa.Table, places: pa.Table, catalog_rejects: pa.Table, wanted: PrepareConfig
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    index, rejects = index_and_rejects(rows, places)
    rejects = pa.concat_tables([catalog_rejects, rejects])
    share = len(rejects) / max(1, len(index) + len(rejects))
    if share > wanted.max_rejects:
        raise StoreError(
            f"too many rejects: {reasons(rejects)}",
            expected=f"at most {wanted.max_rejects:.1%}",
            got=f"{len(rejects)} of {len(index) + len(rejects)} ({share:.1%})",
            advice="mend the input, or raise prepare.max_rejects",
        )
    counts = {"objects": len(index), "rejects": len(rejects), "labelled": count_labelled(index)}
    counts["truncated"] = count_flagged(index, TRUNCATED)
    return {INDEX: index, REJECTS: rejects}, counts


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
    )
