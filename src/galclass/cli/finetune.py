"""`galclass finetune`: own classes on the network of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from galclass.cli import FINISHED_WITH_REJECTS
from galclass.cli.options import with_catalog_options, with_config, with_hdu
from galclass.cli.terminal import say
from galclass.config import Config

if TYPE_CHECKING:
    from galclass.tuning.layers import Layers


@click.command()
@click.argument("catalog", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--images",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder, archive or file of images; repeat for several (default: the folder of the catalog).",
)
@click.option("--name", default="own", show_default=True, help="Name under which the model is registered.")
@click.option(
    "--classes", help="Labels to fit, separated by commas; rows with other labels are left out (default: all)."
)
@click.option(
    "--model", metavar="NAME[@VERSION|@ALIAS]|FILE", help="Model whose network is used (default: the packaged one)."
)
@click.option(
    "--layers",
    type=click.Choice(["head", "last", "all"]),
    default="head",
    show_default=True,
    help="What is fitted: a layer for the labels alone, or the last layers or all of the network too.",
)
@click.option("--frame-px", type=click.IntRange(1), help="Side of the survey's frame, if a file holds only its centre.")
@click.option("--promote", is_flag=True, help="Make it production whatever its measured accuracy.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@with_config
@with_hdu
@with_catalog_options
@click.pass_context
def finetune(
    ctx: click.Context,
    config: Config,
    catalog: Path,
    images: tuple[Path, ...],
    name: str,
    classes: str | None,
    model: str | None,
    layers: Layers,
    frame_px: int | None,
    promote: bool,
    quiet: bool,
) -> None:
    """Fit a model to the labels in CATALOG, whatever they are called, and register it.

    The network is that of the packaged model; a layer for the labels is fitted to its embeddings, in seconds and
    without torch. --layers fine-tunes the last layers or all of them too (minutes, with torch), and keeps the head
    alone where it predicts held-out objects as well. It needs 3 labels per class, and 10 per class to estimate an
    accuracy; with 200 images or more, a share is held out. The first version of a name becomes production, a later one
    only if it is measurably no worse.

    Example: galclass finetune rings.csv --images my_images/ --name rings
    """
    from galclass.cli.predictions import load_scorer
    from galclass.database.references import check_name
    from galclass.tuning.finetune import finetune as fit

    check_name(name, "model name")
    wanted = [one.strip() for one in classes.split(",")] if classes else None
    scorer = load_scorer(config, model)
    columns = (MofNCompleteColumn(), *Progress.get_default_columns()[1:2], TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task("embed", total=None)
        epochs = bar.add_task("fine-tune", total=None, visible=False)

        def advance(count: int, total: int) -> None:
            bar.update(task, advance=count, total=total)

        def advance_epochs(count: int, total: int) -> None:
            bar.update(epochs, advance=count, total=total, visible=True)

        summary = fit(
            config,
            catalog,
            images or (catalog.parent,),
            scorer,
            name=name,
            classes=wanted,
            layers=layers,
            frame_px=frame_px,
            promote=promote,
            advance=advance,
            advance_epochs=advance_epochs,
        )
    say(summary)
    if summary.rejects:
        ctx.exit(FINISHED_WITH_REJECTS)
