"""`galclass compare`: two training runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from galclass.cli.terminal import say

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("first", metavar="RUN", type=_FOLDER)
@click.argument("second", metavar="RUN", type=_FOLDER)
def compare(first: Path, second: Path) -> None:
    """Compare two training runs, given by their --workspace folders.

    Print the settings that differ, the figures of both, and, if both were evaluated, the difference of their
    accuracies on the same objects with its paired 95 % interval. Runs evaluated on different objects are refused.

    Example: galclass compare workspace another_workspace
    """
    from galclass.cli.tables import Table, show_table
    from galclass.tuning.compare_runs import compare_runs

    found = compare_runs(first, second)
    if found.settings:
        table = Table("setting", str(first), str(second))
        for key, values in found.settings.items():
            table.add_row(key, *(_setting(value) for value in values))
        show_table(table)
    else:
        click.echo("the settings are the same")
    table = Table("figure", str(first), str(second))
    for name, figures in found.figures.items():
        table.add_row(name, *(_figure(value) for value in figures))
    show_table(table)
    if found.accuracy is not None:
        say(f"accuracy of {second} minus that of {first}: {found.accuracy}")
        return
    for run in (found.first, found.second):
        if run.right is None:
            say(f"{run.folder} has no stored predictions: `galclass evaluate --workspace {run.folder}` makes them")


def _setting(value: Any) -> str:
    return "-" if value is None else str(value)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if float(value).is_integer() else f"{value:.4f}"
