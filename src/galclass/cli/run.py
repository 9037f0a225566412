"""`galclass run`: the whole workflow."""

from __future__ import annotations

import click

from galclass.cli.options import cluster_option, on_cluster, resolve_config
from galclass.cli.terminal import say
from galclass.config import config_to_toml, load_config


@click.command()
@click.argument("config_file", metavar="CONFIG", type=click.Path(dir_okay=False))
@click.option("--from", "first", metavar="STAGE", help="First stage to run.")
@click.option("--until", "last", metavar="STAGE", help="Last stage to run.")
@click.option("--workspace", help="Folder for everything the run writes (default ./workspace).")
@click.option("--database", envvar="GALCLASS_DATABASE", help="Database URL (default: SQLite in the workspace).")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override one key of the configuration.")
@cluster_option
def run(
    config_file: str,
    first: str | None,
    last: str | None,
    workspace: str | None,
    database: str | None,
    settings: tuple[str, ...],
    cluster: str | None,
) -> None:
    """Run the workflow: download, prepare, train, evaluate, register, score, publish.

    Finished, unchanged stages are skipped.

    Example: galclass run configs/demo.toml --until evaluate
    """
    from galclass.pipeline import run as run_stages

    config = on_cluster(resolve_config(config_file, workspace, database, settings), cluster)
    written = config.workspace_path / "config.toml"
    if written.exists() and written.samefile(config_file):
        own = written.read_text(encoding="utf-8")
        if own != config_to_toml(load_config(config_file)):
            raise click.UsageError(f"{config_file} would be replaced by the resolved configuration: move it elsewhere")
    for result in run_stages(config, first=first, last=last):
        say(result.summary)
