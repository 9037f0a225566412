"""`galclass db`: the schema, the functions in the server, exports, and a check of everything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from galclass.cli import FINISHED_WITH_REJECTS
from galclass.cli.options import PRODUCTION_MODEL, existing_database, keep_inputs, require_database, with_config
from galclass.config import Config

if TYPE_CHECKING:
    from galclass.database.procedure import Finding, ProcedureDialect


@click.group()
def db() -> None:
    """Bring the schema up to date, install functions in the server, export, check, free disk.

    Example: galclass db doctor
    """


@db.command()
@with_config
def migrate(config: Config) -> None:
    """Bring the schema up to date; migrations already applied are skipped.

    Example: galclass db migrate --database postgresql://me@localhost/galaxies
    """
    from galclass.database.connection import Database

    with Database(config.database_url) as database:
        steps = database.migrate()
        click.echo(f"{database.url}: applied {', '.join(steps)}" if steps else f"{database.url}: up to date")


@db.command(name="install-procedure")
@click.option("--dry-run", is_flag=True, help="Print the SQL and what is missing; change nothing.")
@click.option(
    "--dialect", type=click.Choice(["postgresql", "tsql", "tsql-rest"]), default="postgresql", show_default=True
)
@click.option("--model", default=PRODUCTION_MODEL, show_default=True, help="The model used if a call names none.")
@click.option("--url", metavar="URL", help="tsql-rest: the published service, https://HOST/v1/services/NAME/VERSION.")
@with_config
def install_procedure(config: Config, dry_run: bool, dialect: ProcedureDialect, model: str, url: str | None) -> None:
    """Define predict_galaxy_class(img) and friends in the server, and the batch procedure.

    With --dialect tsql (Python inside SQL Server) or tsql-rest (SQL Server 2025 and Azure SQL: calls a published
    service) the SQL is printed; it has not been tested against a server. Its columns are
    those of the model's own classes if --model is registered in the database.

    Example: galclass db install-procedure --dry-run
    """
    from galclass.database import open_database
    from galclass.database.procedure import DEFAULT_URL, check_server, procedure_sql
    from galclass.database.procedure import install_procedure as install

    if url is not None and dialect != "tsql-rest":
        raise click.UsageError("--url: only with --dialect tsql-rest")
    if dialect != "postgresql":
        click.echo(procedure_sql(dialect, model=model, url=url or DEFAULT_URL, classes=_classes_of(config, model)))
        return
    with open_database(config.database_url) as database:
        if dry_run:
            sql = procedure_sql(model=model, max_decode_s=config.serve.max_decode_s)
            click.echo(f"BEGIN;\n\n{sql}\nCOMMIT;")
            show_findings(check_server(database) if database.dialect == "postgresql" else [], comment=True)
        else:
            show_findings(install(database, model=model, max_decode_s=config.serve.max_decode_s))


def _classes_of(config: Config, model: str) -> tuple[str, ...]:
    """Return the classes of a registered model, and the 13 where the database does not know it."""
    from galclass.database import Registry
    from galclass.errors import DatabaseError, RegistryError
    from galclass.morphology import CLASSES

    try:
        with existing_database(config) as database:
            signature = Registry(database).get(model).signature
    except (DatabaseError, RegistryError):
        signature = None
    return CLASSES if signature is None else signature.classes


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--model", metavar="NAME[@VERSION|@ALIAS]", help="Only this model's predictions (default: all).")
@click.option(
    "--catalog",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write this table with the predictions added, joined by object id.",
)
@with_config
@click.pass_context
def export(ctx: click.Context, config: Config, file: Path, model: str | None, catalog: Path | None) -> None:
    """Write all predictions to FILE: .parquet or .csv (streamed), .fits or .vot; with positions if they are known.

    With --catalog every row of the table is kept; those without a prediction have an error (exit status 3).

    Example: galclass db export predictions.parquet
    """
    from galclass.database.export import export_predictions, predictions_by_id

    keep_inputs("FILE", file, catalog, config=config)
    if catalog is None:
        with existing_database(config) as database:
            click.echo(str(export_predictions(database, file, model=model)))
        return
    from galclass.catalog import CatalogColumns
    from galclass.joined import join_rows

    with existing_database(config) as database:
        found = predictions_by_id(database, model=model)
    summary = join_rows(catalog, found, file, CatalogColumns.of(config.prepare))
    click.echo(str(summary))
    if not summary.complete:
        ctx.exit(FINISHED_WITH_REJECTS)


@db.command()
@click.option("--model", default=PRODUCTION_MODEL, show_default=True, metavar="NAME[@VERSION|@ALIAS]")
@with_config
def embed(config: Config, model: str) -> None:
    """Compute missing image embeddings for the label desk and the map; can be interrupted and resumed.

    Example: galclass db embed --model galaxy@production
    """
    from rich.progress import Progress

    from galclass.cutouts import LOCAL
    from galclass.database import Registry
    from galclass.database.embeddings import Embeddings

    with existing_database(config) as database:
        store = Embeddings(database)
        limits = LOCAL.with_seconds(config.images.max_decode_s).with_hdu(config.images.hdu)
        scorer = Registry(database).get(model).scorer(limits=limits)
        before = store.progress(scorer.sha256)
        with Progress(transient=True) as bar:
            task = bar.add_task("embed", total=before.total - before.done)
            computed = store.fill(scorer, advance=lambda count: bar.advance(task, count))
        after = store.progress(scorer.sha256)
        click.echo(
            f"embed: {computed:,} computed, {after.done:,} of {after.total:,} stored, {after.failed:,} without a cutout"
        )


@db.command()
@with_config
def vacuum(config: Config) -> None:
    """Rewrite a SQLite file to free unused space; afterwards it frees space by itself.

    It needs free disk space of up to twice the file size, and blocks writers meanwhile. Files created by this version
    need it rarely, if at all; PostgreSQL reuses the space of deleted rows.

    Example: galclass db vacuum
    """
    from galclass.database.space import vacuum as rewrite

    with existing_database(config) as database:
        before, after = rewrite(database)
        sizes = f"{before.size_bytes / 1e6:,.1f} MB before, {after.size_bytes / 1e6:,.1f} MB now"
        click.echo(f"{database.url}: {sizes}")


@db.command()
@with_config
@click.pass_context
def doctor(ctx: click.Context, config: Config) -> None:
    """Check schema, models, aliases, queue and the functions in the server; says how to fix any problems.

    Example: galclass db doctor
    """
    from galclass.database.doctor import examine

    require_database(config)
    findings = examine(config.database_url)
    show_findings(findings)
    if not all(finding.ok for finding in findings):
        ctx.exit(1)


def show_findings(findings: Sequence[Finding], *, comment: bool = False) -> None:
    """Print what was checked, and how to fix any problems; as SQL comments if asked."""
    for one in findings:
        mend = "" if one.ok else f"; {one.mend}"
        click.echo(f"{'-- ' if comment else ''}{'ok     ' if one.ok else 'MISSING'} {one.what}: {one.found}{mend}")
