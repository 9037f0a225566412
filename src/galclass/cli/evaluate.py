"""`galclass evaluate`: measure the trained model on a held-out split."""

from __future__ import annotations

import click

from galclass.cli.options import with_config
from galclass.cli.terminal import say
from galclass.config import Config


@click.command()
@with_config
def evaluate(config: Config) -> None:
    """Measure the trained model and write the report.

    Prints the confusion matrices with the error of each class; writes evaluation/report.html,
    metrics.json and predictions.parquet into the workspace.

    Example: galclass evaluate --workspace workspace
    """
    from galclass.evaluate import evaluate as evaluate_model
    from galclass.evaluate import tables_as_text

    summary = evaluate_model(config)
    click.echo(tables_as_text(summary.tables), nl=bool(summary.tables))
    say(summary)
