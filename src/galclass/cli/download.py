"""`galclass download`: bring sources, or cutouts by sky position, into the workspace."""

from __future__ import annotations

from pathlib import Path

import click

from galclass.cli.options import with_catalog_options, with_config
from galclass.cli.terminal import say
from galclass.config import Config


class _SourcesByDefault(click.Group):
    """A group whose words are sources unless the first one is a command: `download sample`, `download cutouts`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command before the sources."""
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["sources", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_SourcesByDefault, subcommand_metavar="[SOURCE...] | cutouts")
def download() -> None:
    """Download a source (default: the configured one), or cutouts by sky position, into the workspace.

    Example: galclass download sample
    """


def _warn(text: str) -> None:
    say(f"Warning: {text}", err=True)


@download.command()
@click.argument("names", metavar="[SOURCE]...", nargs=-1)
@click.option("--list", "list_only", is_flag=True, help="List the known sources with licence and citation.")
@with_config
def sources(config: Config, names: tuple[str, ...], list_only: bool) -> None:
    """Fetch sources from the manifest and verify checksums; resumes interrupted downloads.

    Example: galclass download galaxy_zoo_2 --workspace gz2
    """
    from galclass.download import download as fetch_source
    from galclass.download import known_sources

    if list_only:
        for source in known_sources(config.download.manifest).values():
            click.echo(f"{source.name}: {source.title}\n  licence: {source.licence}\n  cite: {source.citation}")
        return
    for name in names or (config.download.source,):
        click.echo(fetch_source(config, source=name))


@download.command()
@click.option("--catalog", required=True, type=click.Path(exists=True, path_type=Path), help="Table with ra and dec.")
@click.option("--service", default="sdss", show_default=True, type=click.Choice(["sdss", "legacy", "hips2fits"]))
@click.option("--size-px", default=424, show_default=True, help="Side of each image in px.")
@click.option("--arcsec-per-px", type=float, help="Scale (default: 0.02 petroR90_r if known, else 0.396).")
@click.option("--layer", help="Survey layer (legacy) or HiPS id (hips2fits).")
@click.option("--service-url", "base_url", help="Alternative URL of the service.")
@click.option("--requests-per-s", type=float, help="Request rate (default: the service's own limit).")
@with_config
@with_catalog_options
def cutouts(config: Config, **wanted: object) -> int:
    """Fetch a colour image for every row of a catalog with ra and dec (degrees, or sexagesimal).

    Files are named after the object ids; characters not allowed in file names are written as %XX, and every command
    decodes such a name to the object id.

    Example: galclass download cutouts --catalog my.csv --service legacy
    """
    from galclass.download import CutoutRequest, download_cutouts

    request = CutoutRequest(**wanted)  # type: ignore[arg-type]  # click checked the types
    summary = download_cutouts(request, config, warn=_warn, notify=lambda text: say(text, err=True))
    say(summary)
    return 3 if summary.rejected else 0
