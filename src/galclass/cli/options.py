"""Options that command groups share: the configuration and the values that override it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from galclass.config import Config, load_config
from galclass.errors import DatabaseError

if TYPE_CHECKING:
    from galclass.database import Database

LATEST = "latest"
PRODUCTION_MODEL = "galaxy@production"
ROLES = ("reader", "publisher", "admin")
"""Defaults and choices as the help shows them, so that it imports no database; a test compares them with the code."""


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config`, `--workspace`, `--database` and `--set` to a command, which gets them as one `config: Config`."""

    @click.option("-c", "--config", "config_file", type=click.Path(dir_okay=False), help="TOML configuration file.")
    @click.option("--workspace", help="Folder for everything a run writes (default ./workspace).")
    @click.option("--database", envvar="GALCLASS_DATABASE", help="Database URL (default: SQLite in the workspace).")
    @click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one key, e.g. train.mini_batch_size=64; an empty value restores the default.",
    )
    @wraps(command)
    def wrapped(
        config_file: str | None,
        workspace: str | None,
        database: str | None,
        settings: tuple[str, ...],
        **arguments: Any,
    ) -> Any:
        config = resolve_config(config_file, workspace, database, settings)
        return command(config=config, **arguments)

    return wrapped


def with_hdu(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--hdu`, which overrides `images.hdu` in a command's `config`."""

    @click.option("--hdu", metavar="NAME|N", help="HDU with the image in FITS files (default: bands, SCI, first).")
    @wraps(command)
    def wrapped(config: Config, hdu: str | None, **arguments: Any) -> Any:
        if hdu is not None:
            config = replace(config, images=replace(config.images, hdu=hdu))
        return command(config=config, **arguments)

    return wrapped


_GIVEN = "galclass.catalog_options"
_CATALOG_OPTIONS = {
    "id_column": ("--id-column", "Column of object ids (default: the usual names)."),
    "label_column": ("--label-column", "Column of labels (default: the usual names)."),
    "file_column": ("--file-column", "Column of image files (default: the usual names)."),
    "ra_column": ("--ra-column", "Column of right ascensions (default: the usual names)."),
    "dec_column": ("--dec-column", "Column of declinations (default: the usual names)."),
    "table": ("--table", "Table of a FITS file or VOTable that has several: number or name."),
    "catalog_format": ("--catalog-format", 'Format of the catalog, such as gz2_hart16 (default: "auto").'),
}


def with_catalog_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add options for the columns of its catalog to a command; they override `prepare.*` in its `config`."""

    @wraps(command)
    def wrapped(config: Config, **arguments: Any) -> Any:
        named = {name: arguments.pop(name) for name in _CATALOG_OPTIONS}
        given = {name: value for name, value in named.items() if value is not None}
        click.get_current_context().meta[_GIVEN] = given
        return command(config=replace(config, prepare=replace(config.prepare, **given)), **arguments)

    for name, (flag, text) in reversed(_CATALOG_OPTIONS.items()):
        wrapped = click.option(flag, name, help=text)(wrapped)
    return wrapped


def catalog_options_given() -> dict[str, Any]:
    """Return the options of `with_catalog_options` that the command line has, by their names."""
    return dict(click.get_current_context().meta.get(_GIVEN, {}))


def flags_of(given: Mapping[str, Any]) -> str:
    """Return options as they are written, in one line."""
    return ", ".join("--" + name.replace("_", "-") for name in given)


def refuse_with_sources(config: Config, given: Mapping[str, Any]) -> None:
    """Refuse flags for the one catalog of `prepare` where the configuration names several sources.

    Raises
    ------
    click.UsageError
        With the flags that would be passed over.
    """
    if given and config.prepare.sources:
        raise click.UsageError(
            f"{flags_of(given)}: for one catalog only; the configuration has its own for each of prepare.sources"
        )


cluster_option = click.option(
    "--cluster", metavar="ADDRESS", help='Work on a Ray cluster: HOST:PORT, "auto", or "local" for one on this machine.'
)


def on_cluster(config: Config, address: str | None, **named: str | None) -> Config:
    """Put `--cluster` and the flags that belong to it into the section `cluster`."""
    given: dict[str, Any] = {key: value for key, value in {"address": address, **named}.items() if value is not None}
    return replace(config, cluster=replace(config.cluster, **given)) if given else config


def existing_database(config: Config, **options: Any) -> Database:
    """Open the database for a command that makes nothing new in it.

    Raises
    ------
    DatabaseError
        If it is a SQLite file that is not there; opening it would make it.
    """
    from galclass.database import open_database

    require_database(config)
    return open_database(config.database_url, **options)


def require_database(config: Config) -> None:
    """Check that a SQLite file is there.

    Raises
    ------
    DatabaseError
        If it is not.
    """
    from galclass.database.connection import parse_url

    url = parse_url(config.database_url)
    file = url.database or ":memory:"
    if url.get_backend_name() != "sqlite" or file == ":memory:" or file.startswith("file:") or Path(file).exists():
        return
    raise DatabaseError(
        f"no database at {file}",
        advice="name another with --database or --workspace, or create one: `galclass models register package`",
    )


def keep_inputs(name: str, output: Path | None, *inputs: Path | str | None, config: Config | None = None) -> None:
    """Refuse to write over what a command reads.

    Parameters
    ----------
    name : str
        The option or argument, for the message.
    output : Path, optional
        The file to write.
    inputs : paths
        Files that the command reads, under whatever name; None and what is no file are passed over.
    config : Config, optional
        Its SQLite database is an input, too.

    Raises
    ------
    click.UsageError
        If the output is one of them.
    """
    if output is None or not output.exists():
        return
    read = [Path(one) for one in inputs if one is not None]
    if config is not None:
        from galclass.database.connection import parse_url

        url = parse_url(config.database_url)
        read += [Path(url.database)] if url.get_backend_name() == "sqlite" and url.database else []
    for one in read:
        if one.is_file() and output.samefile(one):
            raise click.UsageError(f"{name} would replace {one}, which this command reads: name another file")


def resolve_config(
    config_file: str | None, workspace: str | None, database: str | None, settings: tuple[str, ...]
) -> Config:
    """Read the file, then apply `--set`, then the flags that have names of their own."""
    config = load_config(config_file, settings)
    named: dict[str, Any] = {
        key: value for key, value in (("workspace", workspace), ("database", database)) if value is not None
    }
    if not named:
        return config
    return replace(config, **named)
