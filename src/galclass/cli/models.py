"""`galclass register` and `galclass models`: the registry of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from galclass.cli.options import existing_database, keep_inputs, with_config
from galclass.cli.terminal import say
from galclass.config import Config

if TYPE_CHECKING:
    from galclass.database import ModelInfo, Registry


def _registry(config: Config) -> Registry:
    from galclass.database import Registry

    return Registry(existing_database(config))


def _line(info: ModelInfo) -> str:
    aliases = f" ({', '.join(info.aliases)})" if info.aliases else ""
    return f"{info.model}{aliases} sha256 {info.sha256[:12]}"


_PROMOTE_HELP = "Make it production whatever its measured accuracy."


@click.command()
@click.option("--promote", is_flag=True, help=_PROMOTE_HELP)
@with_config
def register(config: Config, promote: bool) -> None:
    """Register the model that `galclass train` produced.

    The first version of a name becomes production; a later one if it is measurably no worse on held-out objects, or
    with --promote. Aliases named in the configuration are always moved.

    Example: galclass register --workspace workspace
    """
    from galclass.tuning.register import register_stage

    click.echo(str(register_stage(config, promote=promote)))


@click.group()
def models() -> None:
    """Register, list, move, check and delete models.

    Example: galclass models list
    """


@models.command(name="register")
@click.argument("file", metavar="FILE|package")
@click.option("--name", default="galaxy", show_default=True, help="Name of the model.")
@click.option("--alias", "aliases", multiple=True, help="Aliases to move (default: production, if it is no worse).")
@click.option("--promote", is_flag=True, help=_PROMOTE_HELP)
@click.option("--metrics", type=click.File(), help="A JSON file of metrics to store with it.")
@click.option("--card", type=click.File(), help="A text file that describes the model.")
@with_config
def register_file(
    config: Config, file: str, name: str, aliases: tuple[str, ...], promote: bool, metrics: Any, card: Any
) -> None:
    """Register an ONNX FILE, or the packaged model, as the next version of a model.

    It is tried first, as by `galclass models verify`. The first version of a name becomes production; a later one with
    --promote, with --alias production, or if it is measurably no worse on held-out objects.

    Example: galclass models register workspace/training/model.onnx --alias candidate
    """
    from galclass.database import open_database
    from galclass.scoring import IN_PACKAGE
    from galclass.scoring.checks import read_json
    from galclass.scoring.model_bytes import read_model

    found = read_json(metrics.read(), "the file of metrics", where=metrics.name) if metrics else {}
    text = card.read() if card else ""
    value, where = read_model(None if file == IN_PACKAGE else Path(file))
    from galclass.tuning.register import register_file as register_any

    with open_database(config.database_url) as database:
        done = register_any(
            database, config, value, name=name, aliases=aliases or None, promote=promote, metrics=found, card=text,
            where=where,
        )  # fmt: skip
    click.echo(_line(done.model))
    if done.remark:
        click.echo(done.remark)


@models.command(name="list")
@click.argument("name", required=False)
@with_config
def list_(config: Config, name: str | None) -> None:
    """List every version of every model, or of NAME.

    Example: galclass models list galaxy
    """
    from galclass.cli.tables import Table, show_table

    table = Table("model", "version", "aliases", "sha256", "registered", "by")
    for one in _registry(config).list(name):
        created = one.created_at.strftime("%Y-%m-%d %H:%M")
        table.add_row(one.name, str(one.version), " ".join(one.aliases), one.sha256[:12], created, one.created_by)
    show_table(table)


@models.command()
@click.argument("reference", metavar="NAME[@VERSION|@ALIAS]")
@with_config
def show(config: Config, reference: str) -> None:
    """Show a model's signature, metrics and card, and the history of its aliases.

    Example: galclass models show galaxy@production
    """
    from galclass.database.model_figures import shown_metrics
    from galclass.scoring.fitted_ids import without_hashes

    registry = _registry(config)
    record = registry.get(reference)
    click.echo(f"{_line(record)}, {len(record.value) / 1e6:.2f} MB, registered {record.created_at:%Y-%m-%d %H:%M} UTC")
    if record.signature:
        about = without_hashes(record.signature.to_dict()) | {"unlike": record.signature.unlike is not None}
        click.echo(json.dumps(about, indent=2))
    if shown_metrics(record.metrics):
        click.echo(json.dumps(shown_metrics(record.metrics), indent=2))
    for move in registry.log(record.name):
        say(f"{move.set_at:%Y-%m-%d %H:%M} {move.alias or 'deleted'}: {move.old} -> {move.new} by {move.set_by}")
    say(record.card)


@models.command()
@click.argument("name")
@click.argument("alias")
@click.argument("version", type=int)
@with_config
def alias(config: Config, name: str, alias: str, version: int) -> None:
    """Point ALIAS of model NAME at VERSION; the move is logged.

    Example: galclass models alias galaxy production 2
    """
    click.echo(_line(_registry(config).alias(name, alias, version)))


@models.command()
@click.argument("name")
@click.option("--alias", default="production", show_default=True, help="The alias to move back.")
@with_config
def rollback(config: Config, name: str, alias: str) -> None:
    """Point an alias of model NAME back at its previous version.

    Example: galclass models rollback galaxy
    """
    click.echo(_line(_registry(config).rollback(name, alias)))


@models.command()
@click.argument("reference", metavar="NAME[@VERSION|@ALIAS]")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_config
def export(config: Config, reference: str, file: Path) -> None:
    """Write a model's ONNX file, with its signature inside.

    Example: galclass models export galaxy@production galaxy.onnx
    """
    keep_inputs("FILE", file, config=config)
    record = _registry(config).export(reference, file)
    click.echo(f"{file}: {record.model}, {len(record.value):,} bytes, sha256 {record.sha256}")


@models.command()
@click.argument("reference", metavar="NAME[@VERSION|@ALIAS]")
@with_config
def verify(config: Config, reference: str) -> None:
    """Check that a model is unchanged, runs, and predicts its probe image as recorded.

    It is tried in a separate process with limited time and memory (GALCLASS_MODEL_SECONDS and
    GALCLASS_MODEL_MEMORY_MIB in the environment).

    Example: galclass models verify galaxy@production
    """
    difference = _registry(config).verify(reference)
    probe = "no probe" if difference is None else f"probe reproduced within {difference:.1e}"
    click.echo(f"{reference}: sound, {probe}")


@models.command()
@click.argument("reference", metavar="NAME@VERSION")
@with_config
def delete(config: Config, reference: str) -> None:
    """Delete a version that no alias and no service points at.

    Example: galclass models delete galaxy@1
    """
    click.echo(f"deleted {_registry(config).delete(reference).model}")
