"""The command line: one module a command group; parse, call the Python API, print.

Exit status: 0 done, 1 error, 2 usage, 3 finished but some items were rejected, 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from galclass import __version__
from galclass.errors import GalclassError

FINISHED_WITH_REJECTS = 3
INTERRUPTED = 130

_COMMANDS = {
    "run": "run",
    "download": "download",
    "prepare": "prepare",
    "train": "train",
    "evaluate": "evaluate",
    "predict": "predict",
    "similar": "predict",
    "topology": "topology",
    "register": "models",
    "models": "models",
    "images": "images",
    "score": "score",
    "sql": "score",
    "db": "db",
    "publish": "services",
    "services": "services",
    "tokens": "tokens",
    "serve": "serve",
}
"""Command -> module of this package that defines it under the same name (dashes become underscores)."""


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is first needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"galclass.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="galclass")
def cli() -> None:
    """Galaxy morphology from survey images: train, register, score in SQL, serve and look.

    Example: galclass predict my_images/ --output predictions.csv
    """


def main() -> None:
    """Run the command line and turn errors into messages and exit statuses."""
    try:
        status = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except GalclassError as error:
        click.secho(f"Error: {error}", fg="red", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted; run the same command again to go on.", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)
