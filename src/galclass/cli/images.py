"""`galclass images`: images in the database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from galclass.cli import FINISHED_WITH_REJECTS
from galclass.cli.options import (
    catalog_options_given,
    existing_database,
    flags_of,
    keep_inputs,
    with_catalog_options,
    with_config,
    with_hdu,
)
from galclass.cli.terminal import say
from galclass.config import Config

if TYPE_CHECKING:
    from galclass.catalog import CatalogReport
    from galclass.database import Database
    from galclass.database.images import AddSummary
    from galclass.database.positions import CatalogRow

SHOWN = 10
"""Rejects that are printed."""


@click.group()
def images() -> None:
    """Add images to the database and list them.

    Example: galclass images add my_images/
    """


@images.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--catalog", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Object ids, ra, dec, labels."
)
@click.option(
    "--mapping", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="gz2_filename_mapping.csv."
)
@click.option("--frame-px", type=click.IntRange(1), help="Side of the survey's frame in px.")
@click.option("--stored-px", type=click.IntRange(1), help="Side of the files, if they hold only the frame's centre.")
@click.option(
    "--duplicates",
    type=click.Choice(["reject", "keep"]),
    default="reject",
    show_default=True,
    help="How to treat one image under several object ids: leave all out, or add all.",
)
@click.option(
    "--rejects",
    "rejects_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all rejects to a .csv file.",
)
@with_config
@with_hdu
@with_catalog_options
@click.pass_context
def add(
    ctx: click.Context,
    config: Config,
    paths: tuple[Path, ...],
    catalog: Path | None,
    mapping: Path | None,
    frame_px: int | None,
    stored_px: int | None,
    duplicates: str,
    rejects_file: Path | None,
) -> None:
    """Add image files, folders or archives (zip, tar); the name without suffix is the object_id.

    Existing images are left unchanged; a file that is not an image, a different image or frame of an existing
    object_id, and one image under several object ids are reported (exit status 3). With a catalog, object ids,
    positions and labels come from it. Files that are not images are counted and listed; images in unsupported formats
    lead to exit status 3.

    Example: galclass images add images_gz2.zip --catalog gz2_hart16.csv
    """
    from galclass.catalog import CatalogReport
    from galclass.cutouts import LOCAL
    from galclass.database import open_database
    from galclass.database.bulk import add_images, check_images

    if not catalog and (given := catalog_options_given()):
        raise click.UsageError(f"{flags_of(given)}: only with --catalog")
    keep_inputs("--rejects", rejects_file, catalog, mapping, *paths, config=config)
    report = CatalogReport()
    known = _read(catalog, mapping, config, report) if catalog else {}
    listings = check_images(paths, known)
    with open_database(config.database_url) as database:
        added = add_images(
            database, paths, known, frame_px=frame_px, stored_px=stored_px,
            keep_duplicates=duplicates == "keep", listings=listings,
            limits=LOCAL.with_seconds(config.images.max_decode_s).with_hdu(config.images.hdu),
        )  # fmt: skip
        _show_added(added)
        if rejects_file:
            _write_rejects(added, rejects_file)
        complete = not catalog or _describe(database, catalog, known, report)
    if not (added.complete and complete):
        ctx.exit(FINISHED_WITH_REJECTS)


def _read(catalog: Path, mapping: Path | None, config: Config, report: CatalogReport) -> dict[str, CatalogRow]:
    from galclass.catalog import CatalogColumns
    from galclass.database.positions import read_objects

    settings = config.prepare
    columns = CatalogColumns.of(settings)
    return read_objects(catalog, mapping, format=settings.catalog_format, columns=columns, report=report)


def _show_added(added: AddSummary) -> None:
    for reject in added.rejects[:SHOWN]:
        say(f"rejected {reject}")
    if len(added.rejects) > SHOWN:
        say(f"and {len(added.rejects) - SHOWN:,} more: use --rejects FILE to get them all")
    say(str(added))


def _write_rejects(added: AddSummary, path: Path) -> None:
    from galclass.atomic_files import replacing
    from galclass.csv_cells import CsvRows

    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = CsvRows(file, ("file", "code", "reason"))
        for reject in added.rejects:
            rows.write((reject.file, reject.code, reject.reason))


def _describe(database: Database, catalog: Path, known: Mapping[str, CatalogRow], report: CatalogReport) -> bool:
    """Store what the catalog says; return whether each of its rows has an image."""
    from galclass.database.bulk import add_catalog

    summary = add_catalog(database, (row for first in known.values() for row in first.all), catalog.name)
    say(str(summary))
    for remark in report.remarks:
        say(f"catalog: {remark}")
    if report.rejects:
        say(f"catalog rows {report}")
    if not summary.labels:
        say(
            f"no labels: {', '.join(report.columns)}; labels are in a column label, gz2_class, class or morphology, "
            "or in the one that --label-column names"
        )
    return summary.with_image == summary.rows and not report.rejects


@images.command(name="list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Rows to print.")
@click.option("--after", default="", help="Print only object ids that sort after this one.")
@click.option(
    "--cone", nargs=3, type=float, metavar="RA DEC RADIUS", help="Only within RADIUS arcsec of RA, DEC (deg)."
)
@with_config
def list_(config: Config, limit: int, after: str, cone: tuple[float, float, float] | None) -> None:
    """List images by object_id, or those near a position, nearest first.

    Example: galclass images list --cone 180.0 0.5 60
    """
    from galclass.cli.tables import Table, show_table
    from galclass.database import Images

    table = Table("object_id", "bytes", "frame_px", "ra", "dec", "file")
    with existing_database(config) as database:
        store = Images(database)
        rows = store.cone_search(*cone, limit=limit) if cone else store.list(limit=limit, after=after)
        for one in rows:
            numbers = (one.size_bytes, one.frame_px, one.ra, one.dec)
            table.add_row(one.object_id, *("" if value is None else str(value) for value in numbers), one.uri)
        show_table(table)
        say(f"{store.count():,} images in the database")
