"""`galclass db`: the schema, the functions in the server, exports, and a check of everything."""

from __future__ import annotations

import click

from galclass.cli.options import with_config
from galclass.config import Config
from galclass.database.connection import Database


@click.group()
def db() -> None:
    """Bring the schema up to date, install functions in the server, export, check.

    Example: galclass db doctor
    """


@db.command()
@with_config
def migrate(config: Config) -> None:
    """Bring the schema up to date; what was applied before is skipped.

    Example: galclass db migrate --database postgresql://me@localhost/galaxies
    """
    with Database(config.database_url) as database:
        steps = database.migrate()
        click.echo(f"{database.url}: applied {', '.join(steps)}" if steps else f"{database.url}: up to date")
