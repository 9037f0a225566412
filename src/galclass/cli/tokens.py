"""`galclass tokens`: who may use the web service for what."""

from __future__ import annotations

import click

from galclass.cli.options import ROLES, existing_database, with_config
from galclass.cli.terminal import say
from galclass.config import Config


@click.group()
def tokens() -> None:
    """Create, list and revoke access tokens of the web service.

    Example: galclass tokens create --role publisher --label alice
    """


@tokens.command()
@click.option("--role", type=click.Choice(ROLES), default="reader", show_default=True, help="What the token allows.")
@click.option("--label", default="", help="Whose it is; shown in labels and logs.")
@with_config
def create(config: Config, role: str, label: str) -> None:
    """Create a token and print it once; the database keeps only its hash.

    reader: predict and list. publisher: publish, move aliases, label. admin: delete.

    Example: galclass tokens create --role publisher --label alice
    """
    from galclass.database import Tokens, open_database

    click.echo(Tokens(open_database(config.database_url)).create(role, label))


@tokens.command(name="list")
@with_config
def list_(config: Config) -> None:
    """List tokens by number, without their text.

    Example: galclass tokens list
    """
    from galclass.cli.tables import Table, show_table
    from galclass.database import Tokens

    table = Table("id", "role", "label", "created", "revoked")
    for one in Tokens(existing_database(config)).list():
        revoked = one.revoked_at.strftime("%Y-%m-%d %H:%M") if one.revoked_at else ""
        table.add_row(str(one.id), one.role, one.label, one.created_at.strftime("%Y-%m-%d %H:%M"), revoked)
    show_table(table)


@tokens.command()
@click.argument("number", type=int)
@with_config
def revoke(config: Config, number: int) -> None:
    """Revoke a token; a running server refuses it within a second.

    Example: galclass tokens revoke 3
    """
    from galclass.database import Tokens

    info = Tokens(existing_database(config)).revoke(number)
    say(f"token {info.id} ({info.role} {info.label}) is revoked")
