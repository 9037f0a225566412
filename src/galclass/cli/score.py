"""`galclass score` and `galclass sql`: predictions as rows, and questions about them."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from galclass.cli import FINISHED_WITH_REJECTS
from galclass.cli.options import with_config
from galclass.config import Config
from galclass.database import open_database, run_sql, score_pending, score_stage


@click.command()
@click.option("--pending", is_flag=True, help="Score what is in the database; add no images of the prepared objects.")
@click.option("--watch", is_flag=True, help="Go on and score new images as they arrive.")
@click.option("--model", metavar="NAME[@VERSION|@ALIAS]", help="The registered model (default: production).")
@with_config
@click.pass_context
def score(ctx: click.Context, config: Config, pending: bool, watch: bool, model: str | None) -> None:
    """Score the images in the database that the model has not scored.

    Start as many as you like, on any machine that reaches the database; stop them at any time.

    Example: galclass score --pending --watch
    """
    name = model or config.score.model or f"{config.register.name}@production"
    if not (pending or watch or model):
        summary = score_stage(config, progress=True)
    else:
        with open_database(config.database_url) as database:
            summary = score_pending(database, name, watch=watch, progress=True)
    click.echo(str(summary))
    if summary.rejected:
        ctx.exit(FINISHED_WITH_REJECTS)


@click.command()
@click.argument("statement")
@click.option("--write", is_flag=True, help="Let the statement change the database.")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1), help="Rows to print.")
@click.option("--model", metavar="NAME[@VERSION|@ALIAS]", help="The model behind predict_galaxy_class(img) on SQLite.")
@with_config
def sql(config: Config, statement: str, write: bool, limit: int, model: str | None) -> None:
    """Run one SQL statement; predict_galaxy_class(img), _group(img) and _json(img) are there.

    Example: galclass sql "select object_id, predict_galaxy_class(img) from galaxy_images limit 5"
    """
    with open_database(config.database_url, model=model or f"{config.register.name}@production") as database:
        result = run_sql(database, statement, write=write, limit=limit)
    table = Table(*result.columns)
    for row in result.rows:
        table.add_row(*(_cell(value) for value in row))
    Console().print(table if result.columns else "done")
    if result.cut:
        click.echo(f"the first {limit} rows; ask for more with --limit")


def _cell(value: object) -> str:
    if isinstance(value, (bytes, memoryview)):
        return f"{len(value):,} bytes"
    return "" if value is None else str(value)
