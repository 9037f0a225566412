"""`galclass predict` and `galclass similar`: predictions for image files, straight after install."""

from __future__ import annotations

from pathlib import Path

import click

from galclass.cli import FINISHED_WITH_REJECTS, MOSTLY_UNLIKE
from galclass.cli.options import (
    catalog_options_given,
    flags_of,
    keep_inputs,
    with_catalog_options,
    with_config,
    with_hdu,
)
from galclass.config import Config

_MODEL_HELP = "A registered model, an .onnx file, or `package`: the packaged model (default)."


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path())
@click.option("--model", metavar="NAME[@VERSION|@ALIAS]", help=_MODEL_HELP)
@click.option("--output", type=click.Path(dir_okay=False), help="Write all columns to a .csv or .parquet file.")
@click.option("--frame-px", type=click.IntRange(1), help="Side of the survey's frame, if files hold only its centre.")
@click.option(
    "--processes", type=click.IntRange(0), default=0, help="0 (default): one for each core, if there are enough files."
)
@click.option("--embedding", is_flag=True, help="Also write the embeddings, float32 (to .parquet, or with --catalog).")
@click.option(
    "--catalog",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write this table with our columns added: .fits, .vot, .ecsv, .parquet, .csv or .tsv.",
)
@with_config
@with_hdu
@with_catalog_options
@click.pass_context
def predict(
    ctx: click.Context,
    config: Config,
    paths: tuple[str, ...],
    model: str | None,
    output: str | None,
    frame_px: int | None,
    processes: int,
    embedding: bool,
    catalog: Path | None,
) -> None:
    """Classify image files, or all images in folders (recursively) and archives (zip, tar).

    A file that is not an image is reported and does not stop the rest; the exit status is then 3, as it is for an image
    in an unsupported format. Other files are counted and listed. If more than half of at least 10 images are unlike
    what the model was trained on, a warning says so, and the exit status is 4.

    With --catalog every row of the table is kept and gets the prediction for the image named after its
    file, asset_id or id; rows without an image have an error (exit status 3).

    Example: galclass predict my_images/ --output predictions.csv
    """
    from galclass.cli.predictions import load_scorer, predict_with_progress, show_predictions

    if not catalog and (given := catalog_options_given()):
        raise click.UsageError(f"{flags_of(given)}: only with --catalog")
    if catalog and not output:
        raise click.UsageError("--catalog needs --output: the table is never overwritten")
    if embedding and not output:
        raise click.UsageError("--embedding needs --output")
    keep_inputs("--output", Path(output) if output else None, catalog, model, *paths, config=config)
    if catalog and output:
        _join(ctx, config, paths, model, catalog, Path(output), (frame_px, processes, embedding))
        return

    scorer = load_scorer(config, model)
    summary = predict_with_progress(paths, scorer, output, frame_px=frame_px, processes=processes, embedding=embedding)
    show_predictions(summary, output)
    if not summary.complete:
        ctx.exit(FINISHED_WITH_REJECTS)
    if summary.foreign:
        ctx.exit(MOSTLY_UNLIKE)


def _join(
    ctx: click.Context,
    config: Config,
    paths: tuple[str, ...],
    model: str | None,
    catalog: Path,
    output: Path,
    options: tuple[int | None, int, bool],
) -> None:
    from galclass.cli.predictions import join_with_progress, load_scorer
    from galclass.cli.terminal import say

    frame_px, processes, embedding = options
    settings = {"frame_px": frame_px, "processes": processes, "embedding": embedding}
    summary = join_with_progress(paths, load_scorer(config, model), catalog, output, config, **settings)
    say(str(summary))
    if not summary.complete:
        ctx.exit(FINISHED_WITH_REJECTS)
    if summary.foreign:
        ctx.exit(MOSTLY_UNLIKE)


@click.command()
@click.argument("image", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--model", metavar="NAME[@VERSION|@ALIAS]", help=_MODEL_HELP)
@click.option("--count", default=8, show_default=True, type=click.IntRange(1, 1000), help="How many galaxies.")
@click.option(
    "--frame-px", type=click.IntRange(1), help="Side of the survey's frame, if the file holds only its centre."
)
@click.option(
    "--images-from",
    type=click.Choice(["prepared", "database"]),
    default="prepared",
    show_default=True,
    help="The prepared folder of the workspace, or the images in the database, with files and positions.",
)
@with_config
@with_hdu
def similar(config: Config, image: Path, model: str | None, count: int, frame_px: int | None, images_from: str) -> None:
    """Find the prepared or stored galaxies that look most like IMAGE to the model.

    With --images-from database, embeddings that the database lacks are computed first and kept.

    Example: galclass similar my_galaxy.jpg --workspace workspace
    """
    from galclass.cli.predictions import load_scorer, show_neighbours, show_stored_neighbours
    from galclass.similar import find_similar

    scorer = load_scorer(config, model)
    if images_from == "database":
        show_stored_neighbours(config, image, scorer, count, frame_px)
        return
    show_neighbours(find_similar(image, scorer, config.workspace_path / "prepared", count=count, frame_px=frame_px))
