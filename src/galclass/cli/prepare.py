"""`galclass prepare`: images and catalogs to the packed store of cutouts."""

from __future__ import annotations

import click

from galclass.cli import FINISHED_WITH_REJECTS
from galclass.cli.options import with_config
from galclass.config import Config


@click.command()
@with_config
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")
def prepare(config: Config, progress: bool) -> int:
    """Cut every image of the sources, split the objects, and write the prepared/ folder of the workspace.

    A second run does nothing; an interrupted one goes on where it stopped. Files and catalog rows that
    are left out stand in prepared/rejects.parquet with the reason (exit status 3).

    Example: galclass prepare --config configs/demo.toml
    """
    from galclass.preprocess.prepare import prepare as prepare_stage

    summary = prepare_stage(config, progress=progress)
    click.echo(str(summary))
    return FINISHED_WITH_REJECTS if summary.rejects else 0
