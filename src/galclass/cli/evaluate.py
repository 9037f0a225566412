"""`galclass evaluate`: measure the trained model on a held-out split, or any model on any labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from galclass.cli import FINISHED_WITH_REJECTS
from galclass.cli.options import (
    catalog_options_given,
    flags_of,
    keep_inputs,
    with_catalog_options,
    with_config,
    with_hdu,
)
from galclass.cli.terminal import say
from galclass.config import Config

if TYPE_CHECKING:
    from galclass.tuning.labelled import Reject


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME[@VERSION|@ALIAS]|package|FILE",
    help="Evaluate this model on --catalog; give two to compare them on the same objects (default: the packaged one).",
)
@click.option(
    "--catalog", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Labels: object ids or files."
)
@click.option(
    "--images",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder, archive or file of images; repeat for several (default: the folder of the catalog).",
)
@click.option("--frame-px", type=click.IntRange(1), help="Side of the survey's frame, if a file holds only its centre.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rows that were left out to a .csv file.",
)
@with_config
@with_hdu
@with_catalog_options
@click.pass_context
def evaluate(
    ctx: click.Context,
    config: Config,
    models: tuple[str, ...],
    catalog: Path | None,
    images: tuple[Path, ...],
    frame_px: int | None,
    rejects: Path | None,
) -> None:
    """Evaluate the trained model and write the report, or evaluate any model on any labels.

    Without --catalog: print the confusion matrices with the error of each class; write evaluation/report.html,
    metrics.json and predictions.parquet into the workspace.

    With --catalog: print the accuracy with its 95 % interval, overall and for each label; for two models also the
    paired difference, second minus first. Labels that a model has no class for are counted and left out, and so are
    objects that it or its base model was fitted to, recognised by their ids. Rows without an image or a prediction lead
    to exit status 3.

    Example: galclass evaluate --model rings@1 --catalog rings.csv --images my_images/
    """
    if catalog is None:
        _refuse_options_of_catalogs(models, images, rejects)
        _evaluate_trained(config)
        return
    if len(models) > 2:
        raise click.UsageError("--model: at most two")
    keep_inputs("--rejects", rejects, catalog, *images, *models, config=config)
    left_out = _evaluate_on(config, models, catalog, images or (catalog.parent,), frame_px)
    if rejects:
        from galclass.tuning.labelled import write_rejects

        write_rejects(left_out, rejects)
    if left_out:
        say(
            f"{len(left_out):,} rows were left out" + (f": {rejects}" if rejects else "; --rejects FILE.csv lists them")
        )
        ctx.exit(FINISHED_WITH_REJECTS)


def _refuse_options_of_catalogs(models: tuple[str, ...], images: tuple[Path, ...], rejects: Path | None) -> None:
    given = {"--model": models, "--images": images, "--rejects": rejects}
    flags = [flag for flag, value in given.items() if value]
    if found := catalog_options_given():
        flags.append(flags_of(found))
    if flags:
        raise click.UsageError(f"{', '.join(flags)}: only with --catalog")


def _evaluate_trained(config: Config) -> None:
    from galclass.evaluate import evaluate, tables_as_text

    summary = evaluate(config)
    click.echo(tables_as_text(summary.tables), nl=bool(summary.tables))
    say(summary)


def _evaluate_on(
    config: Config, models: tuple[str, ...], catalog: Path, images: tuple[Path, ...], frame_px: int | None
) -> list[Reject]:
    """Print the accuracy of models on the labels of a catalog; return the rows that were left out."""
    from galclass.cli.predictions import load_scorer
    from galclass.scoring import IN_PACKAGE
    from galclass.tuning.labelled import read_labelled
    from galclass.tuning.measure import difference, measure

    names = models or (IN_PACKAGE,)
    scorers = [load_scorer(config, name) for name in names]
    labelled = read_labelled(catalog, images, config.prepare)
    results = [
        measure(scorer, name, labelled, frame_px=frame_px, catalog=catalog.name)
        for scorer, name in zip(scorers, names, strict=True)
    ]
    for remark in labelled.remarks:
        say(f"catalog: {remark}")
    for measured, _ in results:
        say(measured)
    if len(results) == 2:
        (first, _), (second, _) = results
        left_out = first.fitted or second.fitted or first.unknown or second.unknown
        if len(set(first.right) & set(second.right)) < 2 and left_out:
            say(f"{second.model} less {first.model}: not compared, there are no two objects that neither was fitted to")
        else:
            say(f"{second.model} less {first.model}: {difference(second.right, first.right)} (paired, 95 %)")
    return list(dict.fromkeys([*labelled.rejects, *(one for _, rejected in results for one in rejected)]))
