"""`galclass label`: the label desk on a folder, as a page of this machine alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import click

from galclass.cli.options import with_config
from galclass.cli.terminal import say
from galclass.config import Config
from galclass.extras import require

LOCAL_HOST = "127.0.0.1"


@click.command()
@click.argument("folder", metavar="PATH", type=click.Path(exists=True, path_type=Path))
@click.option("--want", metavar="CLASS", help='What you are looking for, such as "ring" (default: the page asks).')
@click.option("--port", type=click.IntRange(1, 65535), help="Port (default 8000).")
@click.option("--frame-px", type=click.IntRange(1), help="Side of the survey's frame in px.")
@with_config
def label(config: Config, folder: Path, want: str | None, port: int | None, frame_px: int | None) -> None:
    """Label the images of a folder or archive, the most informative first: add them and open the label desk.

    It serves the page on this machine and prints its URL with a token that is valid until Ctrl-C. Over ssh,
    forward the port: `ssh -L 8000:127.0.0.1:8000 HOST`, then open the URL on your own machine. Labels stay in
    the database of the workspace.

    Example: galclass label my_images/ --want ring
    """
    require("serve", what="`galclass label`")
    from galclass.cli.serve import check_port
    from galclass.database import Registry, Tokens, open_database
    from galclass.database.bulk import add_images, check_images
    from galclass.database.desk_labels import check_label
    from galclass.database.references import current_user
    from galclass.scoring.model_bytes import read_model
    from galclass.service.server.run import addresses
    from galclass.service.server.run import serve as run_server

    config = replace(config, serve=replace(config.serve, host=LOCAL_HOST, port=port or config.serve.port))
    if want is not None:
        check_label("", want)
    listings = check_images([folder], {})
    check_port(LOCAL_HOST, config.serve.port)
    with open_database(config.database_url) as database:
        say(add_images(database, [folder], {}, frame_px=frame_px, listings=listings))
        if not Registry(database).list():
            Registry(database).register(read_model(None)[0])
            click.echo("Registered the packaged model as galaxy, which the desk uses for embeddings.")
        tokens = Tokens(database)
        secret = tokens.create("publisher", current_user())
        page, _ = addresses(config)
        desk = f"#/label/{_desk(want)}?target={quote(want)}&class={quote(f'no {want}'[:40])}" if want else "#/label"
        click.echo(f"Label at {page}{desk}\nToken: {secret}\nPress Ctrl-C to stop; labels are kept.")
        try:
            run_server(config)
        finally:
            made = tokens.verify(secret)
            if made is not None:
                tokens.revoke(made.id)
            click.echo("Stopped; the labels are kept.")


def _desk(want: str) -> str:
    """Return the name of a desk for a class, as the page names it."""
    plain = "".join(one if one.isascii() and one.isalnum() else "-" for one in want.lower())
    name = "-".join(part for part in plain.split("-") if part)
    return name or "desk-" + "-".join(f"{ord(one):x}" for one in want)
