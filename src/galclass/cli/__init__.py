"""The command line: one module a command group; parse, call the Python API, print.

Exit status: 0 done, 1 error, 2 usage, 3 finished but some items were rejected, 4 finished but most images are unlike
what the model was trained on, 130 interrupted. Servers (`serve`, `label`) that Ctrl-C or SIGTERM stops are done: 0.
"""

from __future__ import annotations

import difflib
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from galclass import __version__
from galclass.errors import GalclassError
from galclass.extras import missing_extra

FINISHED_WITH_REJECTS = 3
MOSTLY_UNLIKE = 4
INTERRUPTED = 130

_GRACE_S = 1.0
"""How long threads may take to end after an error or Ctrl-C."""

_THREADS_BEFORE: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
"""Threads of whoever called `main`: they are not waited for."""

_COMMANDS = {
    "run": "run",
    "download": "download",
    "prepare": "prepare",
    "train": "train",
    "finetune": "finetune",
    "evaluate": "evaluate",
    "compare": "compare",
    "predict": "predict",
    "similar": "predict",
    "cut": "cut",
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
    "label": "label",
}
"""Command -> module of this package that defines it under the same name (dashes become underscores)."""

_INNER = {
    "cutouts": "download cutouts",
    "migrate": "db migrate",
    "export": "db export",
    "embed": "db embed",
    "alias": "models alias",
    "add": "images add",
    "classify": "predict",
    "tune": "finetune",
    "fine-tune": "finetune",
}
"""Words that people try as commands -> what they mean."""

_GOES_ON = "Interrupted; run the same command again to resume."
_WHEN_INTERRUPTED = {
    **dict.fromkeys(("run", "download", "prepare", "train", "images", "score", "cut"), _GOES_ON),
    "predict": "Interrupted; no file was written, and the same command will start over.",
    "serve": "Stopped.",
    "label": "Stopped.",
}


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command, or suggest some of similar names: click knows only those that are imported."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(_no_such_command(name))
        return super().resolve_command(ctx, args)


def _no_such_command(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), [*_COMMANDS, *_INNER], n=2)
    meant = " or ".join(dict.fromkeys(f"`galclass {_INNER.get(one, one)}`" for one in near))
    return f"No such command {name!r}." + (f" Did you mean {meant}?" if meant else "")


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="galclass")
def cli() -> None:
    """Galaxy morphology from survey images: train, register, score in SQL, serve and explore.

    Example: galclass predict my_images/ --output predictions.csv
    """


def main() -> None:
    """Run the command line and turn errors into messages and exit statuses."""
    command = next((word for word in sys.argv[1:] if word in _COMMANDS), "")
    _THREADS_BEFORE.update(threading.enumerate())
    try:
        with _terminated_as_interrupted(command):
            status = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except GalclassError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        missing = missing_extra(error, f"`galclass {command}`" if command else "this")
        if missing is None:
            raise
        _fail(str(missing))
    except OSError as error:
        path = error.filename2 or error.filename
        _fail(f"{path}: {error.strerror}" if path and error.strerror else str(error))
    except (KeyboardInterrupt, click.Abort):
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # Ctrl-C once more: at once
        click.echo(_WHEN_INTERRUPTED.get(command, "Interrupted."), err=True)
        _abandon_threads(INTERRUPTED)
        if "obstore" in sys.modules:  # its own threads panic where they drop a request while the interpreter ends
            _end(INTERRUPTED)
        sys.exit(INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


def _abandon_threads(status: int) -> None:
    """Wait a moment for the command's threads; end the process if one still waits for a silent server."""
    until = time.monotonic() + _GRACE_S
    others = [thread for thread in threading.enumerate() if not (thread.daemon or thread in _THREADS_BEFORE)]
    for thread in others:
        thread.join(max(0.0, until - time.monotonic()))
    if any(thread.is_alive() for thread in others):
        _end(status)


def _end(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _fail(message: str) -> NoReturn:
    from galclass.cli.terminal import printable

    click.secho(f"Error: {printable(message)}", fg="red", err=True)
    _abandon_threads(1)
    sys.exit(1)


@contextmanager
def _terminated_as_interrupted(command: str) -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, so that nothing half-written stays; then end by that signal after all.

    The web server has a way of its own to end.
    """
    terminated = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True
        interrupt = signal.getsignal(signal.SIGINT)  # training's own finishes the step first
        if not callable(interrupt):
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    if command in ("serve", "label"):
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if terminated:
            signal.raise_signal(signal.SIGTERM)
