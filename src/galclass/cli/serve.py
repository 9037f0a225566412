"""`galclass serve`: the web service and the page."""

from __future__ import annotations

from dataclasses import replace

import click

from galclass.cli.options import with_config
from galclass.config import Config


@click.command()
@click.option("--host", help="Address to listen on (default 127.0.0.1: this machine only).")
@click.option("--port", type=click.IntRange(1, 65535), help="Port (default 8000).")
@click.option("--workers", type=click.IntRange(1, 64), help="Server processes (default 1).")
@with_config
def serve(config: Config, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the published services and the page until interrupted.

    Example: galclass serve --port 8000 --workers 2
    """
    from galclass.service.server import addresses
    from galclass.service.server import serve as run_server

    given = config.serve
    settings = replace(given, host=host or given.host, port=port or given.port, workers=workers or given.workers)
    config = replace(config, serve=settings)
    page, docs = addresses(config)
    click.echo(f"The page is at {page}\nThe API docs are at {docs}\nCtrl-C stops the server.")
    run_server(config)
