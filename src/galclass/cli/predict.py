"""`galclass predict` and `galclass similar`: answers for image files, straight after install."""

from __future__ import annotations

from pathlib import Path

import click

from galclass.cli import FINISHED_WITH_REJECTS, MOSTLY_UNLIKE
from galclass.cli.options import with_config
from galclass.config import Config

_MODEL_HELP = "A registered model, an .onnx file, or `package`: the model in the package (default)."


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path())
@click.option("--model", metavar="NAME[@VERSION|@ALIAS]", help=_MODEL_HELP)
@click.option("--output", type=click.Path(dir_okay=False), help="Write all columns to a .csv or .parquet file.")
@click.option(
    "--frame-px", type=click.IntRange(1), help="Side of the survey's frame, where files hold only its centre."
)
@click.option("--processes", type=click.IntRange(0), default=0, help="0 (default): all cores once that pays.")
@with_config
@click.pass_context
def predict(
    ctx: click.Context,
    config: Config,
    paths: tuple[str, ...],
    model: str | None,
    output: str | None,
    frame_px: int | None,
    processes: int,
) -> None:
    """Classify image files, or all images in folders (to the bottom) and archives (zip, tar).

    A file that is no image is reported and does not stop the rest; the exit status is then 3, as it is for a picture in
    a format that is not read. Other files are counted and named. If more than half of at least 10 images are unlike
    what the model was trained on, a sentence says so, and the exit status is 4.

    Example: galclass predict my_images/ --output predictions.csv
    """
    from galclass.cli.predictions import load_scorer, predict_with_progress, show_predictions

    scorer = load_scorer(config, model)
    summary = predict_with_progress(paths, scorer, output, frame_px=frame_px, processes=processes)
    show_predictions(summary, output)
    if not summary.complete:
        ctx.exit(FINISHED_WITH_REJECTS)
    if summary.foreign:
        ctx.exit(MOSTLY_UNLIKE)


@click.command()
@click.argument("image", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--model", metavar="NAME[@VERSION|@ALIAS]", help=_MODEL_HELP)
@click.option("--count", default=8, show_default=True, type=click.IntRange(1, 1000), help="How many galaxies.")
@click.option("--frame-px", type=click.IntRange(1), help="Side of the survey's frame, where the file holds its centre.")
@with_config
def similar(config: Config, image: Path, model: str | None, count: int, frame_px: int | None) -> None:
    """Find the prepared galaxies that look most like IMAGE to the model.

    Example: galclass similar my_galaxy.jpg --workspace workspace
    """
    from galclass.cli.predictions import load_scorer, show_neighbours
    from galclass.similar import find_similar

    scorer = load_scorer(config, model)
    show_neighbours(find_similar(image, scorer, config.workspace_path / "prepared", count=count, frame_px=frame_px))
