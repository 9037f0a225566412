"""`galclass cut`: cutouts of a catalog's objects from survey tiles."""

from __future__ import annotations

from pathlib import Path

import click

from galclass.cli import FINISHED_WITH_REJECTS
from galclass.cli.options import with_catalog_options, with_config, with_hdu
from galclass.config import Config

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MAX_SIZE_ARCSEC = 3600.0


@click.command()
@click.argument("tiles", metavar="TILE...", nargs=-1, required=True, type=_FILE)
@click.option("--catalog", required=True, type=_FILE, help="Object ids, ra, dec (deg) and perhaps petroR90_r (arcsec).")
@click.option(
    "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the cutouts."
)
@click.option("--size-px", default=424, show_default=True, type=click.IntRange(32, 4096), help="Side in px.")
@click.option("--size-arcsec", type=float, help="Side on the sky, of every cutout.")
@click.option("--size-column", help="Column with the side in arcsec (default: 0.02 petroR90_r per pixel).")
@click.option(
    "--format", "kind", type=click.Choice(["png", "fits"]), default="png", show_default=True, help="Drawn, or fluxes."
)
@with_config
@with_hdu
@with_catalog_options
@click.pass_context
def cut(
    ctx: click.Context,
    config: Config,
    tiles: tuple[Path, ...],
    catalog: Path,
    output: Path,
    size_px: int,
    size_arcsec: float | None,
    size_column: str | None,
    kind: str,
) -> None:
    """Cut the objects of a catalog out of one FITS tile, or of three that become red, green and blue (i, r, g).

    Each cutout has north up, east left and the object at its centre. Objects outside the tile, or partly so, are listed
    in rejects.csv (exit status 3). Existing cutouts are kept, so an interrupted run resumes. positions.csv says
    what each file shows; if the catalog's position or size has changed since, the object is cut again.

    Example: galclass cut tile_i.fits tile_r.fits tile_g.fits --catalog mine.fits --output cutouts
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from galclass.catalog import CatalogColumns
    from galclass.cli.terminal import say
    from galclass.cut import CutRequest
    from galclass.cut import cut as cut_tile

    if len(tiles) not in (1, 3):
        raise click.UsageError(f"one TILE or three (i, r, g), not {len(tiles)}")
    if size_arcsec is not None and not 0 < size_arcsec <= MAX_SIZE_ARCSEC:
        raise click.BadParameter(
            f"above 0 and at most {MAX_SIZE_ARCSEC:,} arcsec (a degree)", param_hint="--size-arcsec"
        )
    if size_arcsec and size_column:
        raise click.UsageError("--size-arcsec and --size-column: use only one of them")
    columns = CatalogColumns.of(config.prepare)
    hdu = None if config.images.hdu is None else str(config.images.hdu)
    request = CutRequest(tiles, catalog, output, size_px, size_arcsec, size_column, kind, columns, hdu)
    with Progress(
        *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("cutting", total=None)
        summary = cut_tile(request, lambda done, total: bar.update(task, completed=done, total=total))
    say(str(summary))
    if summary.rejects:
        ctx.exit(FINISHED_WITH_REJECTS)
