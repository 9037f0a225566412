"""The prepare stage: images and catalogs of one or several sources -> one store of cutouts with its index.

Takes the configuration (and what the download stage brought), returns the folder `prepared/` of the workspace:
`store.u8`, `index.parquet`, `places.parquet`, `rejects.parquet`, `prepared.json`. A second run does nothing; other
labels or splits rewrite the tables alone; other pixels or parameters make the cutouts again.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from galclass.config import Config, SourceConfig
from galclass.cutouts.extract import TRUNCATED, CutoutParameters
from galclass.download.configured import configured_sources
from galclass.errors import ConfigError, StoreError
from galclass.folder_lock import alone_in
from galclass.image_files import Listing, Skipped, list_images, shown
from galclass.image_files.keys import image_files
from galclass.prepare.filling import Fill, fill
from galclass.prepare.near import NEAR_DUPLICATES, near_duplicates, near_remarks
from galclass.prepare.plan import Input, chunks_of, fractions_of, inputs_sha256_of, pixels_sha256_of, plan_of
from galclass.prepare.rows import TOO_MANY, chosen_rows, read_rows, text_remarks
from galclass.prepare.store import INDEX, PIXELS, PLACES, REJECTS, StoreWriter, whole_facts, write_facts, write_parquet
from galclass.prepare.summary import FileCounts, PrepareSummary
from galclass.prepare.tables import (
    Tables,
    count_flagged,
    count_labelled,
    places_table,
    reasons,
    rejects_table,
    tables_of,
    with_pixel_hashes,
)


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
        If no image matches, the disk is too small, more than `max_rejects` of the files are rejected, or another
        process prepares the same folder.
    """
    begin = time.monotonic()
    folder = config.workspace_path / "prepared"
    inputs = [_open(source) for source in _sources(config)]
    refused = StoreError(
        "another process prepares this folder", where=str(folder), advice="wait for it, or use another workspace"
    )
    with alone_in(folder, refused):
        return _prepare(config, folder, inputs, progress, fill, begin)


def _prepare(
    config: Config, folder: Path, inputs: list[Input], progress: bool, fill: Fill, begin: float
) -> PrepareSummary:
    parameters = CutoutParameters(config.prepare.size_px, config.prepare.crop_fraction)
    inputs_sha256 = inputs_sha256_of(config, parameters, inputs)
    facts = whole_facts(folder)
    if facts is not None and facts.get("inputs_sha256") == inputs_sha256:
        return _summary(folder, facts, 0, begin)
    inputs = [read_rows(part, config.prepare, folder) for part in inputs]
    rows, as_text = chosen_rows(config, inputs)
    plan = plan_of(inputs, rows)
    pixels_sha256 = pixels_sha256_of(parameters, inputs, plan, config.images)
    own = {
        "inputs_sha256": inputs_sha256,
        "pixels_sha256": pixels_sha256,
        "without_image": sum(part.without_image for part in inputs),
        "sources": [part.config.name for part in inputs],
        "frames": {part.config.name: [part.config.frame_px, part.config.stored_px] for part in inputs},
        "hdu": config.images.hdu,
        "columns": list(dict.fromkeys(name for part in inputs for name in part.columns)),
        "remarks": [*(remark for part in inputs for remark in part.remarks), *text_remarks(as_text)],
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
    """Count the outcomes of all files seen, each count by itself: a test adds them up."""
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
