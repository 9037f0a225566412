"""`galclass score` and `galclass sql`: predictions as rows, and questions about them."""

from __future__ import annotations

from pathlib import Path

import click

from galclass.cli import FINISHED_WITH_REJECTS, MOSTLY_UNLIKE
from galclass.cli.options import (
    catalog_options_given,
    cluster_option,
    flags_of,
    keep_inputs,
    on_cluster,
    require_database,
    with_catalog_options,
    with_config,
)
from galclass.cli.terminal import say
from galclass.config import Config


@click.command()
@click.option(
    "--pending", is_flag=True, help="Score only what is in the database; do not add images of the prepared objects."
)
@click.option("--watch", is_flag=True, help="Keep running and score new images as they arrive.")
@click.option("--model", metavar="NAME[@VERSION|@ALIAS]", help="The registered model (default: production).")
@cluster_option
@click.option(
    "--images", metavar="PATH|URL", help="With --cluster: folder, zip, WebDataset shards or Parquet to score."
)
@click.option("--output", metavar="PATH|URL", help="With --cluster: folder of the predictions, in HATS layout.")
@click.option(
    "--catalog", type=click.Path(dir_okay=False), help="With --cluster: table with the sky positions of the objects."
)
@click.option("--frame-px", type=click.IntRange(1), help="With --cluster: side of the survey's frame.")
@with_config
@with_catalog_options
@click.pass_context
def score(
    ctx: click.Context, config: Config, pending: bool, watch: bool, model: str | None, cluster: str | None,
    images: str | None, output: str | None, catalog: str | None, frame_px: int | None,
) -> None:  # fmt: skip
    """Score the images in the database that the model has not scored, or a survey on a cluster.

    Start as many as you like, on any machine that can reach the database; stop them at any time. With --cluster the
    images of a folder or object store become partitioned Parquet; --model may then be an .onnx file or `package`.

    Example: galclass score --pending --watch
    """
    from galclass.cutouts import LOCAL
    from galclass.database import open_database, score_pending
    from galclass.database.stages import registered_model, score_stage

    config = on_cluster(config, cluster, images=images, output=output, catalog=catalog)
    if config.cluster.address is not None:
        ctx.exit(_score_survey(config, model, frame_px))
    survey = {"images": images, "output": output, "catalog": catalog, "frame_px": frame_px} | catalog_options_given()
    named = {name: value for name, value in survey.items() if value is not None}
    if named:
        raise click.UsageError(f"{flags_of(named)}: only with --cluster")
    if not (pending or watch or model):
        summary = score_stage(config, progress=True)
    else:
        with open_database(config.database_url) as database:
            name = model or config.score.model or registered_model(database, config)
            limits = LOCAL.with_seconds(config.images.max_decode_s).with_hdu(config.images.hdu)
            summary = score_pending(database, name, watch=watch, progress=True, limits=limits)
    say(summary)
    if not summary.complete:
        ctx.exit(FINISHED_WITH_REJECTS)
    if summary.foreign:
        ctx.exit(MOSTLY_UNLIKE)


def _score_survey(config: Config, model: str | None, frame_px: int | None) -> int:
    from galclass.cluster.stages import score_stage as score_on_cluster

    summary = score_on_cluster(config, model=model, frame_px=frame_px)
    say(summary)
    if summary.rejected:
        return FINISHED_WITH_REJECTS
    return MOSTLY_UNLIKE if summary.foreign else 0


@click.command()
@click.argument("statement")
@click.option("--write", is_flag=True, help="Let the statement change the database.")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1), help="Rows to print.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write all rows to .csv or .parquet.")
@click.option("--model", metavar="NAME[@VERSION|@ALIAS]", help="The model behind predict_galaxy_class(img) on SQLite.")
@with_config
def sql(config: Config, statement: str, write: bool, limit: int, output: Path | None, model: str | None) -> None:
    """Run one SQL statement, which can call predict_galaxy_class(img), _group(img) and _json(img).

    Example: galclass sql "select object_id, predict_galaxy_class(img) from galaxy_images limit 5"
    """
    from galclass.cli.tables import Table, show_table
    from galclass.cutouts import SERVED
    from galclass.database import open_database, run_sql
    from galclass.database.rows import check_suffix, write_rows
    from galclass.database.sql import sql_rows

    if output:
        check_suffix(output)
    keep_inputs("--output", output, config=config)
    if not write:
        require_database(config)
    with open_database(config.database_url, model=model or config.score.model or config.register.reference) as database:
        if database.functions is not None:
            database.functions.limits = SERVED.with_seconds(config.serve.max_decode_s)
        if output:
            with sql_rows(database, statement, write=write) as (columns, rows):
                count = write_rows(columns, rows, output)
            click.echo(f"{count:,} rows written to {output}")
            return
        result = run_sql(database, statement, write=write, limit=limit)
    if not result.columns:
        click.echo("done")
        return
    table = Table(*result.columns)
    for row in result.rows:
        table.add_row(*(_cell(value) for value in row))
    show_table(table)
    if result.cut:
        click.echo(f"the first {limit} rows; use --limit for more")


def _cell(value: object) -> str:
    if isinstance(value, (bytes, memoryview)):
        return f"{len(value):,} bytes"
    return "" if value is None else str(value)
