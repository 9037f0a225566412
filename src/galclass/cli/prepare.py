"""`galclass prepare`: images and catalogs to the packed store of cutouts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from galclass.cli import FINISHED_WITH_REJECTS
from galclass.cli.options import (
    catalog_options_given,
    cluster_option,
    on_cluster,
    refuse_with_sources,
    with_catalog_options,
    with_config,
    with_hdu,
)
from galclass.cli.terminal import say
from galclass.config import Config


@click.command()
@click.option("--images", metavar="PATH", help="Folder or archive of images (default: the download).")
@click.option("--catalog", metavar="FILE", help="Object ids, labels, votes.")
@click.option("--mapping", metavar="FILE", help="gz2_filename_mapping.csv.")
@with_config
@with_hdu
@with_catalog_options
@cluster_option
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")
@click.pass_context
def prepare(ctx: click.Context, /, config: Config, cluster: str | None, progress: bool, **named: str | None) -> None:
    """Make cutouts of all images, split the objects, and write the prepared/ folder of the workspace.

    A second run does nothing; an interrupted one resumes where it stopped. Files and catalog rows that are left out
    are listed in prepared/rejects.parquet with the reason (exit status 3), as are objects that share an image unless
    prepare.duplicates is "keep". Images in unsupported formats are listed (exit status 3).

    Example: galclass prepare --images my_images/ --catalog my.csv
    """
    given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    refuse_with_sources(config, given | catalog_options_given())
    config = on_cluster(replace(config, prepare=replace(config.prepare, **given)), cluster)
    if config.cluster.address is not None:
        from galclass.cluster.stages import prepare_stage

        summary = prepare_stage(config, progress=progress)
    else:
        from galclass.prepare.stage import prepare as prepare_here

        summary = prepare_here(config, progress=progress)
    say(summary)
    if not summary.complete:
        ctx.exit(FINISHED_WITH_REJECTS)
