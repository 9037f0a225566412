"""Options that command groups share: the configuration and the values that override it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import click

from galclass.config import Config, load_config


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--config`, `--workspace`, `--database` and `--set`; it gets them as one `config: Config`."""

    @click.option("-c", "--config", "config_file", type=click.Path(dir_okay=False), help="TOML configuration file.")
    @click.option("--workspace", help="Folder of everything a run writes (default ./workspace).")
    @click.option("--database", envvar="GALCLASS_DATABASE", help="Database URL (default: SQLite in the workspace).")
    @click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override one key, e.g. train.mini_batch_size=64."
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


cluster_option = click.option(
    "--cluster", metavar="ADDRESS", help='Work on a Ray cluster: HOST:PORT, "auto", or "local" for one on this machine.'
)


def on_cluster(config: Config, address: str | None, **named: str | None) -> Config:
    """Put `--cluster` and the flags that belong to it into the section `cluster`."""
    given: dict[str, Any] = {key: value for key, value in {"address": address, **named}.items() if value is not None}
    return replace(config, cluster=replace(config.cluster, **given)) if given else config


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
