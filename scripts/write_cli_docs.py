"""Write docs/cli.md from the help texts of the commands.

.venv/bin/python scripts/write_cli_docs.py            # write
.venv/bin/python scripts/write_cli_docs.py --check    # exit status 1 if the page is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from galclass.cli import cli

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
WIDTH = 100

HEAD = """# Command line

Made from the help texts by `scripts/write_cli_docs.py`; a test compares the two.

Exit status: 0 done, 1 error, 2 usage, 3 finished but some items were rejected, 4 finished but most images are unlike
what the model was trained on, 130 interrupted. Servers (`serve`, `label`) that Ctrl-C or SIGTERM stops are done: 0.
"""


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Return (name, help text) of a command and of all below it, in the order of the help."""
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from commands(below, _context(below, name, context))


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    return click.Context(command, info_name=name, parent=parent, **settings)


def page() -> str:
    """Return the whole page."""
    sections = [
        f"{'##' if path.count(' ') < 2 else '###'} {path}\n\n```text\n{text.rstrip()}\n```\n"
        for path, text in commands(cli, _context(cli, "galclass"))
    ]
    return "\n".join([HEAD, *sections])


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        if current != text:
            print(f"{PAGE} is out of date; run scripts/write_cli_docs.py")
            return 1
        return 0
    temporary = PAGE.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(PAGE)
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
