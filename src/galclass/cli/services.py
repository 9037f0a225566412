"""`galclass publish` and `galclass services`: versions of web services in the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

import click

from galclass.cli.options import LATEST, existing_database, flags_of, with_config
from galclass.cli.terminal import say
from galclass.config import Config

if TYPE_CHECKING:
    from galclass.database import Services
    from galclass.database.service_rows import ServiceRecord


DEADLINE_S, MEMORY_MIB = 10.0, 4096
"""As in `galclass.service.functions.facts`, so that the help imports no server; a test compares them."""

_LIMITS = {"deadline": DEADLINE_S, "memory": MEMORY_MIB}


def _line(record: ServiceRecord) -> str:
    aliases = f" ({', '.join(record.aliases)})" if record.aliases else ""
    return f"{record.name} {record.version}{aliases} served by {record.answered_by}"


def _services(config: Config) -> Services:
    from galclass.database import Services

    return Services(existing_database(config))


@click.command()
@click.argument("name")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[PARAMETER=]NAME[@VERSION|@ALIAS]",
    help="The registered model to publish; for a function with several, the model of each parameter.",
)
@click.option("--version", required=True, help='A new version such as "1.0"; versions never change.')
@click.option("--description", default="", help="One sentence for people.")
@click.option("--function", metavar="MODULE:FUNCTION", help="Publish this function; its code stays on this machine.")
@click.option("--code", metavar="FOLDER", help="Folder that holds the function's module (default: Python's path).")
@click.option("--requires", multiple=True, metavar="NAME", help="A package whose version is part of the service's.")
@click.option(
    "--example",
    "examples",
    multiple=True,
    type=click.File("rb"),
    help="JSON file of example inputs: called now, and shown in the API docs.",
)
@click.option("--deadline", default=DEADLINE_S, show_default=True, help="Time limit of a call, in seconds.")
@click.option("--memory", default=MEMORY_MIB, show_default=True, help="Address-space limit of a process, in MiB.")
@click.option("--confirm", is_flag=True, help="If the code differs from VERSION's, publish it as the next version.")
@with_config
def publish(
    config: Config,
    name: str,
    models: tuple[str, ...],
    version: str,
    description: str,
    function: str | None,
    **options: Any,
) -> None:
    """Publish a registered model, or a function, as a versioned web service; `latest` moves to it.

    A running server picks it up within a second. A function has annotated inputs and output; parameters of type
    Scorer receive the registered models. Servers run it only in the workspace in which it was published.

    Example: galclass publish galaxy-class --model galaxy@production --version 1.0
    """
    from galclass.database import open_database
    from galclass.database.publish import publish as publish_model

    database = open_database(config.database_url)
    if function is None:
        _refuse_function_options(options)
        if len(models) != 1:
            raise click.UsageError("name one --model, or a --function")
        summary = publish_model(database, name, models[0], version, description)
    else:
        from galclass.service.functions.publish import publish_function

        summary = publish_function(
            database,
            config.workspace_path,
            name,
            function,
            version,
            models=_models_by_parameter(models),
            requirements=options["requires"],
            examples=[_example(file) for file in options["examples"]],
            code=[options["code"]] if options["code"] else None,
            deadline_s=options["deadline"],
            memory_mib=options["memory"],
            description=description,
            confirm=options["confirm"],
        )
    click.echo(str(summary))


def _refuse_function_options(options: Mapping[str, Any]) -> None:
    given = {key: value for key, value in options.items() if key not in ("deadline", "memory") and value}
    given |= {key: options[key] for key, usual in _LIMITS.items() if options[key] != usual}
    if given:
        raise click.UsageError(f"{flags_of(given)}: only with --function")


def _models_by_parameter(models: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.rpartition("=") for one in models]
    found = {parameter: model for parameter, _, model in pairs}
    if len(found) < len(models):
        raise click.UsageError("--model: each parameter gets one model, written PARAMETER=MODEL")
    return found


def _example(file: IO[bytes]) -> dict[str, Any]:
    try:
        value = json.load(file)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--example: {file.name} is not JSON") from error
    if not isinstance(value, dict):
        raise click.UsageError(f"--example: {file.name} is not an object of inputs")
    return value


@click.group()
def services() -> None:
    """List, switch and delete published services.

    Example: galclass services list
    """


@services.command(name="list")
@click.argument("name", required=False)
@with_config
def list_(config: Config, name: str | None) -> None:
    """List every version of every service, or of NAME.

    Example: galclass services list galaxy-class
    """
    from galclass.cli.tables import Table, show_table

    table = Table("service", "version", "aliases", "served by", "published", "by")
    for one in _services(config).list(name):
        published = one.created_at.strftime("%Y-%m-%d %H:%M")
        table.add_row(one.name, one.version, " ".join(one.aliases), one.answered_by, published, one.created_by)
    show_table(table)


@services.command()
@click.argument("name")
@click.argument("version", default=LATEST)
@with_config
def show(config: Config, name: str, version: str) -> None:
    """Show a version of a service and the service's log.

    Example: galclass services show galaxy-class 1.0
    """
    found = _services(config)
    record = found.get(name, version)
    click.echo(_line(record))
    say(record.description)
    for event in found.log(name):
        moved = f" {event.alias}: {event.old_version or '-'} ->" if event.alias else ""
        say(f"{event.at:%Y-%m-%d %H:%M:%S} {event.by} {event.action}{moved} {event.version or '-'}")


@services.command()
@click.argument("name")
@click.option("--model", required=True, metavar="NAME[@VERSION|@ALIAS]", help="The model of the new version.")
@click.option("--version", help="The new version (default: the current one with its last number incremented).")
@click.option("--description", default="", help="One sentence for people.")
@with_config
def update(config: Config, name: str, model: str, version: str | None, description: str) -> None:
    """Publish another model as the next version and move `latest` to it; the old version stays.

    Example: galclass services update galaxy-class --model galaxy@2
    """
    from galclass.database import Services
    from galclass.database.publish import publish as publish_model

    database = existing_database(config)
    present = Services(database).get(name)
    text = description or present.description
    summary = publish_model(database, name, model, version or present.version, text, next_version=version is None)
    click.echo(str(summary))


@services.command()
@click.argument("name")
@click.option("--alias", default=LATEST, show_default=True, help="The alias to move back.")
@with_config
def rollback(config: Config, name: str, alias: str) -> None:
    """Point an alias of a service back at its previous version.

    Example: galclass services rollback galaxy-class
    """
    click.echo(_line(_services(config).rollback(name, alias)))


@services.command()
@click.argument("name")
@click.argument("alias")
@click.argument("version")
@with_config
def alias(config: Config, name: str, alias: str, version: str) -> None:
    """Point ALIAS at VERSION.

    Example: galclass services alias galaxy-class latest 1.0
    """
    click.echo(_line(_services(config).alias(name, alias, version)))


@services.command()
@click.argument("name")
@click.option("--most", default=20, show_default=True, type=click.IntRange(0), help="Objects that differ to list.")
@click.option("--off", is_flag=True, help="Remove the alias `shadow`; the counts are kept.")
@with_config
def shadow(config: Config, name: str, most: int, off: bool) -> None:
    """Show how often the shadow of a service agrees, and the objects that it classifies differently.

    The version under the alias `shadow` handles the same predict requests out of sight. `galclass services alias NAME
    shadow VERSION` starts it and resets the counts.

    Example: galclass services shadow galaxy-class
    """
    from galclass.cli.shadow import show_shadow
    from galclass.database.service_rows import SHADOW
    from galclass.database.shadows import Shadows

    found = _services(config)
    if off:
        record = found.unalias(name, SHADOW)
        click.echo(f"{record.name} {record.version} is no longer a shadow")
        return
    found.get(name)
    show_shadow(found.shadow(name), Shadows(existing_database(config)).reports(name, most=most))


@services.command()
@click.argument("name")
@click.argument("version")
@with_config
def delete(config: Config, name: str, version: str) -> None:
    """Delete a version that no alias points at, or the last one of a service.

    Example: galclass services delete galaxy-class 1.0
    """
    record = _services(config).delete(name, version)
    click.echo(f"{record.name} {record.version} deleted")
