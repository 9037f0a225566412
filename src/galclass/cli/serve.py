"""`galclass serve`: the web service and the page."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing
from dataclasses import replace

import click

from galclass.cli.options import with_config
from galclass.config import Config
from galclass.errors import ServiceError
from galclass.extras import require


@click.command()
@click.option("--host", help="Address to listen on (default 127.0.0.1: this machine only).")
@click.option("--port", type=click.IntRange(1, 65535), help="Port (default 8000).")
@click.option("--workers", type=click.IntRange(1, 64), help="Server processes (default 1).")
@with_config
def serve(config: Config, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the published services and the page until interrupted.

    Example: galclass serve --port 8000 --workers 2
    """
    require("serve", what="`galclass serve`")
    from galclass.database import Services, open_database
    from galclass.service.http.gate import Hosts
    from galclass.service.server.run import addresses
    from galclass.service.server.run import serve as run_server

    given = config.serve
    settings = replace(given, host=host or given.host, port=port or given.port, workers=workers or given.workers)
    config = replace(config, serve=settings)
    with open_database(config.database_url) as database:
        published = Services(database).list()
    check_port(settings.host, settings.port)
    if not published:
        click.echo(
            "No service has been published yet: `galclass publish galaxy-class --model galaxy --version 1.0`", err=True
        )
    if Hosts(settings.host, settings.allowed_hosts).any and "*" not in settings.allowed_hosts:
        click.echo(
            "Warning: listening on all addresses and accepting any Host header, so that any site's page may read it "
            "through its own host name (DNS rebinding): --set serve.allowed_hosts='[\"galaxies.example.org\"]'",
            err=True,
        )
    page, docs = addresses(config)
    click.echo(f"The page is at {page}\nThe API docs are at {docs}\nCtrl-C stops the server.")
    run_server(config)


def check_port(host: str, port: int) -> None:
    """Bind the address once before it is announced, as the server will.

    Raises
    ------
    ServiceError
        If the port is in use, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with closing(socket.socket(family, kind, protocol)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServiceError(
                f"port {port} is in use",
                advice="stop the program that is listening there, or choose another with --port",
            ) from error
        got = error.strerror if isinstance(error, socket.gaierror) or not error.errno else os.strerror(error.errno)
        raise ServiceError(f"port {port} of {host} cannot be served", got=got) from error
