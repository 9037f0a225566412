"""`galclass publish` and `galclass services`: versions of web services in the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from galclass.cli.options import LATEST, existing_database, with_config
from galclass.cli.terminal import say
from galclass.config import Config

if TYPE_CHECKING:
    from galclass.database import Services
    from galclass.database.services import ServiceRecord


def _line(record: ServiceRecord) -> str:
    aliases = f" ({', '.join(record.aliases)})" if record.aliases else ""
    return f"{record.name} {record.version}{aliases} answered by {record.model}"


def _services(config: Config) -> Services:
    from galclass.database import Services

    return Services(existing_database(config))


@click.command()
@click.argument("name")
@click.option("--model", required=True, metavar="NAME[@VERSION|@ALIAS]", help="The registered model that answers.")
@click.option("--version", required=True, help='A new version such as "1.0"; versions never change.')
@click.option("--description", default="", help="One sentence for people.")
@with_config
def publish(config: Config, name: str, model: str, version: str, description: str) -> None:
    """Publish a registered model as a versioned web service; `latest` moves to it.

    A running server answers for it within a second.

    Example: galclass publish galaxy-class --model galaxy@production --version 1.0
    """
    from galclass.database import open_database
    from galclass.database.publish import publish as publish_model

    click.echo(str(publish_model(open_database(config.database_url), name, model, version, description)))


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

    table = Table("service", "version", "aliases", "model", "published", "by")
    for one in _services(config).list(name):
        published = one.created_at.strftime("%Y-%m-%d %H:%M")
        table.add_row(one.name, one.version, " ".join(one.aliases), str(one.model), published, one.created_by)
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
        say(f"{event.at:%Y-%m-%d %H:%M:%S} {event.by} {event.action}{moved} {event.version}")


@services.command()
@click.argument("name")
@click.option("--model", required=True, metavar="NAME[@VERSION|@ALIAS]", help="The model of the new version.")
@click.option("--version", help="The new version; the present one with its last number raised when left out.")
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
    """Let an alias stand for the version it stood for before.

    Example: galclass services rollback galaxy-class
    """
    click.echo(_line(_services(config).rollback(name, alias)))


@services.command()
@click.argument("name")
@click.argument("alias")
@click.argument("version")
@with_config
def alias(config: Config, name: str, alias: str, version: str) -> None:
    """Let ALIAS stand for VERSION.

    Example: galclass services alias galaxy-class latest 1.0
    """
    click.echo(_line(_services(config).alias(name, alias, version)))


@services.command()
@click.argument("name")
@click.argument("version")
@with_config
def delete(config: Config, name: str, version: str) -> None:
    """Delete a version that no alias stands for, or the last one of a service.

    Example: galclass services delete galaxy-class 1.0
    """
    record = _services(config).delete(name, version)
    click.echo(f"{record.name} {record.version} deleted")
